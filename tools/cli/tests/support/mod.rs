//! What the tests of the binary share: ledgers in folders of their own, the binary's commands, a
//! server that runs, and a client.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod client;
pub(crate) mod disk;
pub(crate) mod load;
pub(crate) mod namespace;
pub(crate) mod server;
pub(crate) mod terminal;
pub(crate) mod trio;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use giro_log::{Identity, SEGMENT_BYTES_MIN};

/// Segments small enough that a test fills some.
pub(crate) const SEGMENT_BYTES: u64 = SEGMENT_BYTES_MIN;

/// A folder below the build's, whose disk has direct I/O.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A new ledger with small segments; `giro format` makes large ones.
pub(crate) fn format(dir: &Path) {
    let identity = Identity {
        cluster: 0,
        replica: 0,
        replica_count: 1,
        incarnation: 0,
        hash_key: [1, 2],
        segment_bytes: SEGMENT_BYTES,
    };
    giro_log::format(dir, &identity).unwrap();
}

/// Waits until a program has shown so many lines with this text: a busy machine takes a while to
/// come to where a test wants it.
pub(crate) fn await_lines(child: &mut Child, count: usize, text: &str) {
    let stdout = child.stdout.as_mut().unwrap();
    let (mut line, mut shown) = (String::new(), 0);
    while shown < count {
        // Byte by byte: what comes later is for whoever reads the rest.
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it ended: {line}");
        if byte == *b"\n" {
            shown += usize::from(line.contains(text));
            line.clear();
        } else {
            line.push(byte[0].into());
        }
    }
}

/// The binary with these arguments and nothing of the environment that could change it.
pub(crate) fn giro(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_giro"));
    command.args(arguments);
    without_settings(command)
}

/// The same, begun with so few files that may be open, as long as it asks for no more.
pub(crate) fn giro_with_few_files(files: u32, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -S -n {files}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_giro")]);
    command.args(arguments);
    without_settings(command)
}

/// As [`giro`], and a limit to the size of its files is an error where it writes, and no signal.
pub(crate) fn giro_with_file_limits(arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = "trap '' XFSZ; exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_giro")]);
    command.args(arguments);
    without_settings(command)
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIRO_") {
            command.env_remove(name);
        }
    }
    command
}

/// Asserts that all of `parts` were said.
pub(crate) fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
}

/// What a command that ended said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) succeeded: bool,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            succeeded: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            error: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs the binary on a directory to its end.
pub(crate) fn run(arguments: &[&str], dir: &Path) -> Said {
    giro(arguments).arg(dir).output().unwrap().into()
}

/// Runs the binary on a directory; it must refuse, and say all of `parts` in its last line.
pub(crate) fn refused(arguments: &[&str], dir: &Path, parts: &[&str]) -> Said {
    let said = run(arguments, dir);
    assert!(!said.succeeded, "{arguments:?} succeeded: {said:?}");
    assert!(!said.error.contains("panicked"), "{said:?}");
    for part in parts {
        assert!(said.error.contains(part), "{part:?} is missing: {said:?}");
    }
    said
}

/// The transfers that `giro verify` finds, all else being in order.
pub(crate) fn verified_transfers(dir: &Path) -> u128 {
    let said = run(&["verify", "--json"], dir);
    assert!(said.succeeded, "{said:?}");
    let found: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    found["transfers"].as_u64().unwrap().into()
}

/// The log's segments, oldest first.
pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(dir.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    paths.sort();
    paths
}
