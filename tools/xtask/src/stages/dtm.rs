//! Two ledgers as two units, and a real DTM server between them.

use std::path::PathBuf;

use anyhow::Context;

use crate::command::{command, exists, root, run, scratch, target_dir};
use crate::server;

/// Our program, and the module that pins the coordinator.
const FOLDER: &str = "net/dtm";
/// The coordinator's package.
const COORDINATOR: &str = "github.com/dtm-labs/dtm";

pub(crate) fn no_go() -> Option<String> {
    let there = exists("go", "version");
    (!there).then(|| "no go on this machine: see net/dtm/README.md".to_owned())
}

/// Builds the coordinator and our program, which Go does once, and plays every scenario.
pub(crate) fn dtm(payments: u32, seed: Option<u64>) -> anyhow::Result<()> {
    server::build()?;
    let programs = target_dir().join("dtm");
    let coordinator = build(&programs.join("dtm"), COORDINATOR)?;
    let units = build(&programs.join("two-units"), ".")?;
    let dir = scratch("dtm")?;
    let mut trial = command(&units, ["--transactions", &payments.to_string()]);
    if let Some(seed) = seed {
        trial.args(["--seed", &seed.to_string()]);
    }
    trial.arg("--giro").arg(server::binary());
    trial.arg("--dtm").arg(coordinator);
    trial.arg("--dir").arg(dir.path().join("world"));
    let result = run(&mut trial);
    if result.is_err() {
        println!("ledgers and logs are kept in {}", dir.keep().display());
    }
    result
}

fn build(program: &PathBuf, package: &str) -> anyhow::Result<PathBuf> {
    let mut build = command("go", ["build", "-trimpath", "-o"]);
    build.arg(program).arg(package);
    // Neither where it lies nor which commit it is is part of it.
    build
        .current_dir(root().join(FOLDER))
        .env("GOFLAGS", "-buildvcs=false");
    run(&mut build).with_context(|| format!("cannot build {package}"))?;
    Ok(program.clone())
}
