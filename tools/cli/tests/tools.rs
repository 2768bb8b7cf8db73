//! `inspect`, `verify` and `version`: what they print for people and for programs.

mod support;

use serde_json::Value;
use support::server::Server;
use support::{folder, format, refused, run};

fn ledger() -> tempfile::TempDir {
    let dir = folder();
    format(dir.path());
    let server = Server::start(dir.path());
    let mut client = server.connect();
    client.register(0xC11E47).open_accounts();
    client.pay(1..6);
    server.stop();
    dir
}

fn lines(text: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

#[test]
fn inspect_log_shows_records_and_their_operations() {
    let dir = ledger();
    let said = run(&["inspect", "log", "--json"], dir.path());
    let lines = lines(&said.out);
    let records: Vec<_> = lines
        .iter()
        .filter(|line| !line["record"].is_null())
        .collect();
    let names: Vec<_> = lines
        .iter()
        .filter_map(|line| line["operation"].as_str())
        .collect();
    assert_eq!(records.len(), 3, "{said:?}");
    assert_eq!(names, ["register", "create_accounts", "create_transfers"]);
    assert_eq!(records[0]["record"], 1);
    assert_eq!(records[0]["offset"], 0);
    assert_eq!(lines.last().unwrap()["request"], 2);
    let said = run(&["inspect", "log"], dir.path());
    assert!(said.out.contains("operation=create_transfers"), "{said:?}");
}

#[test]
fn inspect_sessions_shows_the_last_reply() {
    let dir = ledger();
    let said = run(&["inspect", "sessions", "--json"], dir.path());
    let lines = lines(&said.out);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["client"], format!("{:032x}", 0xC11E47));
    assert_eq!(lines[0]["request"], 2);
    assert_eq!(lines[0]["operation"], "create_transfers");
}

#[test]
fn inspect_identity_shows_what_was_formatted_and_no_secret() {
    let dir = ledger();
    let said = run(&["inspect", "identity", "--json"], dir.path());
    let identity = &lines(&said.out)[0];
    assert_eq!(identity["cluster"], "0");
    assert_eq!(identity["replica_count"], 1);
    assert!(!said.out.contains("key"), "{said:?}");
}

#[test]
fn verify_prints_a_digest_that_it_can_be_held_against() {
    let dir = ledger();
    let said = run(&["verify", "--json"], dir.path());
    let found: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&found["ops"], &found["transfers"]), (&3.into(), &5.into()));
    let digest = found["digest"].as_str().unwrap();
    assert!(run(&["verify", "--digest", digest], dir.path()).succeeded);
    // The same log gives the same digest, whatever the number of shards.
    let said = run(&["verify", "--shards=3", "--digest", digest], dir.path());
    assert!(said.succeeded && said.out.contains("in order"), "{said:?}");
    let wrong = ["verify", "--digest", "00"];
    refused(&wrong, dir.path(), &[digest, "expected was 00", "differ"]);
}

#[test]
fn a_closed_pipe_ends_inspect_quietly() {
    let dir = ledger();
    let mut inspect = support::giro(&["inspect", "log"]);
    let mut inspect = inspect
        .arg(dir.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(inspect.stdout.take());
    let output = inspect.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && error.is_empty(), "{error}");
}

#[test]
fn version_names_the_clients_it_serves() {
    let output = support::giro(&["version", "--verbose"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("giro 0."), "{text}");
    assert!(text.contains("0.16.4 to 0.17.x"), "{text}");
}
