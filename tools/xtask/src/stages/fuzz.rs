//! The fuzz targets of `tools/fuzz`.
//!
//! They are built by the stable compiler: what cargo-fuzz adds is a set of flags, which stand
//! here, so that nothing has to be installed. The folder has cargo-fuzz's layout all the same.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::command::{cargo, command, exists, root, run, scratch, target_dir};

/// Coverage counters at every edge, and comparisons shown to the fuzzer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions";
/// The platform is named so that the flags reach no build script.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
/// The largest input: more than a target reads anything into.
const INPUT_BYTES_MAX: u32 = 16 << 10;

/// Why the targets cannot be built.
pub(crate) fn no_fuzz() -> Option<String> {
    let there = exists("c++", "--version");
    (!there).then(|| "no C++ compiler (c++) to build libFuzzer with".to_owned())
}

/// Runs one target, or all of them, for `seconds` together.
pub(crate) fn fuzz(seconds: u64, target: Option<&str>) -> anyhow::Result<()> {
    let targets = chosen(target)?;
    let mut build = cargo("build --release --manifest-path tools/fuzz/Cargo.toml --bins");
    build.args(["--target", PLATFORM]);
    build.env("CARGO_TARGET_DIR", build_dir());
    run(build.env("RUSTFLAGS", FLAGS))?;
    let each = (seconds / targets.len() as u64).max(1);
    for target in &targets {
        println!("-- {target}, {each} s");
        run_target(target, each)?;
    }
    Ok(())
}

fn build_dir() -> PathBuf {
    target_dir().join("fuzz")
}

/// The targets are the files of `fuzz_targets`.
fn chosen(target: Option<&str>) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for file in std::fs::read_dir(root().join("tools/fuzz/fuzz_targets"))? {
        let path = file?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        names.extend(name.map(str::to_owned));
    }
    names.sort();
    let Some(target) = target else {
        return Ok(names);
    };
    if !names.iter().any(|name| name == target) {
        bail!(
            "no fuzz target is called {target}; there are {}",
            names.join(", ")
        );
    }
    Ok(vec![target.to_owned()])
}

fn run_target(target: &str, seconds: u64) -> anyhow::Result<()> {
    // New inputs go here and not to the corpus, which stays small and chosen.
    let found = scratch("fuzz")?;
    let program = build_dir().join(PLATFORM).join("release").join(target);
    let mut fuzzer: Command = command(program, [found.path()]);
    fuzzer.arg(root().join("tools/fuzz/corpus").join(target));
    fuzzer.arg(format!("-max_total_time={seconds}"));
    fuzzer.arg(format!("-max_len={INPUT_BYTES_MAX}"));
    fuzzer.args(["-timeout=10", "-rss_limit_mb=4096", "-verbosity=0"]);
    fuzzer.args(["-print_final_stats=1", "-artifact_prefix=tools/fuzz/"]);
    let output = fuzzer.output().context("cannot start the fuzz target")?;
    // The fuzzer says much; as long as all is well its last numbers are enough.
    let said = String::from_utf8_lossy(&output.stderr);
    let all = !output.status.success();
    for line in said
        .lines()
        .filter(|line| all || line.starts_with("stat::"))
    {
        println!("{line}");
    }
    if all {
        bail!("fuzz target {target}: the input named above breaks it");
    }
    Ok(())
}
