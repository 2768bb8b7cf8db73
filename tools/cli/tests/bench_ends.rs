//! `giro bench`: how runs end that somebody interrupts or nobody listens to, and what they leave.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{folder, giro};

const SMALL: &str = "--accounts 50 --warm-up 0 --prefault-mib 1";

/// `giro bench` with small defaults, below `dir`, whose report has this name there.
fn bench(dir: &Path, line: &str, out: &str) -> Command {
    let line = format!("bench {line} {SMALL}");
    let mut command = giro(&line.split_whitespace().collect::<Vec<_>>());
    command
        .arg("--dir")
        .arg(dir)
        .arg("--out")
        .arg(dir.join(out));
    command
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_run_whose_output_nobody_reads_goes_on_to_its_end() {
    let dir = folder();
    let line = "run transfers --rate 1000 --batch 10 --seconds 2";
    let mut command = bench(dir.path(), line, "report");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    let report = json(&dir.path().join("report.json"));
    assert_eq!(report["partial"], Value::Null);
    assert!(report["figures"]["served"].as_u64().unwrap() > 100);
    let left = names(dir.path());
    assert_eq!(left, ["report.hlog", "report.html", "report.json"]);
}

#[test]
fn a_failure_that_nobody_hears_of_is_one_all_the_same() {
    let dir = folder();
    let mut command = bench(dir.path(), "run transfers --batch 10000", "report");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
