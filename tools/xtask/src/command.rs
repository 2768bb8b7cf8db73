//! Running other programs.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let top = here.ancestors().nth(2).expect("two folders down");
    top.to_owned()
}

/// Where builds and trials put their files.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Room on the disk of builds and trials; 0 where the system does not say.
pub(crate) fn free_bytes() -> u64 {
    let disk = rustix::fs::statvfs(root());
    disk.map_or(0, |disk| disk.f_bavail * disk.f_frsize)
}

/// A folder of its own for a trial, on the disk that builds use and gone when dropped.
pub(crate) fn scratch(name: &str) -> anyhow::Result<tempfile::TempDir> {
    let parent = target_dir().join("xtask");
    std::fs::create_dir_all(&parent)
        .with_context(|| format!("cannot create {}", parent.display()))?;
    let mut builder = tempfile::Builder::new();
    Ok(builder.prefix(&format!("{name}-")).tempdir_in(parent)?)
}

/// `program` with these arguments, started at the top of the repository.
pub(crate) fn command<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// `cargo` with these arguments, separated by spaces.
pub(crate) fn cargo(arguments: &str) -> Command {
    // The cargo that runs us: the toolchain of `rust-toolchain.toml`.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    command(cargo, arguments.split_whitespace())
}

/// Runs a command to its end; its output goes where ours goes.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let words = words(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start {words}"))?;
    if !status.success() {
        bail!("{words}: {status}");
    }
    Ok(())
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// As [`run`], and when the output is no text.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let words = words(command);
    let output = command
        .output()
        .with_context(|| format!("cannot start {words}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("{words}: {}\n{why}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a program can be started at all.
pub(crate) fn exists(program: &str, argument: &str) -> bool {
    let probe = command(program, [argument])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success())
}

/// The command as one would type it.
fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    words.join(" ")
}
