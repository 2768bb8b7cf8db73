//! The server as a process: its first line, signals, and what is left after them.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use giro_base::Operation;
use rustix::process::{Pid, Signal, kill_process};
use support::client::{Client, body, created, message, transfers};
use support::server::Server;
use support::{folder, format, giro, verified_transfers};

#[test]
fn port_zero_prints_the_port_as_the_first_line() {
    let dir = folder();
    format(dir.path());
    let first = Server::start(dir.path());
    assert_ne!(first.port(), 0);
    first.connect().register(1).open_accounts();
    let log = first.stop();
    assert!(log.contains("listening"), "{log}");
}

#[test]
fn what_was_acknowledged_survives_kill_nine() {
    let dir = folder();
    format(dir.path());
    let server = Server::start(dir.path());
    let mut client = server.connect();
    client.register(1).open_accounts();
    client.pay(1..4001);
    client.pay(4001..4002);
    let last = client.next(Operation::CreateTransfers, &transfers(4002..4003));
    client.send(&last);
    let reply = client.answer().unwrap();
    server.kill();

    let server = Server::start(dir.path());
    let mut again = server.connect();
    again.resume(&client);
    // The session has survived too: the same request gets the same reply.
    again.send(&last);
    assert_eq!(again.answer().unwrap().body, reply.body);
    let found = again.ask(Operation::LookupTransfers, &4002_u128.to_le_bytes());
    assert_eq!(&found[..16], &4002_u128.to_le_bytes());
    again.pay(4003..4004);
    server.stop();
    assert_eq!(verified_transfers(dir.path()), 4003);
}

#[test]
fn a_stop_answers_what_was_taken_and_loses_nothing() {
    const SESSIONS: u128 = 8;
    const EACH: u128 = 8000;
    let dir = folder();
    format(dir.path());
    let server = Server::start(dir.path());
    let mut client = server.connect();
    client.register(100).open_accounts();
    let request = |client: &mut Client, id: u128| {
        client.register(id);
        let records = transfers(id * EACH..(id + 1) * EACH);
        let body = body(Operation::CreateTransfers, &records);
        message(id, client.session, 1, Operation::CreateTransfers, &body)
    };
    let requests: Vec<_> = (1..=SESSIONS).map(|id| request(&mut client, id)).collect();
    for request in &requests {
        client.send(request);
    }
    server.terminate();
    let mut answered = 0;
    while let Some(reply) = client.answer() {
        assert_eq!(created(&reply.body, EACH as usize), EACH as usize);
        answered += 1;
    }
    let (well, log) = server.ended();
    assert!(well && log.contains("stopped"), "{log}");

    // Those without an answer were not taken, or their answer is recorded: sent again, all are.
    let server = Server::start(dir.path());
    let mut client = server.connect();
    for request in &requests {
        client.send(request);
        let reply = client.answer().unwrap();
        assert_eq!(created(&reply.body, EACH as usize), EACH as usize);
    }
    server.stop();
    assert!(answered <= SESSIONS);
    assert_eq!(verified_transfers(dir.path()), SESSIONS * EACH);
}

#[test]
fn a_server_whose_first_line_nobody_reads_serves_all_the_same() {
    let dir = folder();
    format(dir.path());
    serves_unread("start", dir.path(), 1);
}

#[test]
fn dev_serves_though_nobody_reads_what_it_says() {
    let dir = folder();
    let ledger = dir.path().join("giro-data");
    // A ledger that is made, and one that is opened, where the first client is known.
    serves_unread("dev", &ledger, 1);
    serves_unread("dev", &ledger, 2);
}

/// A server whose standard output was closed before it said anything serves a new client.
fn serves_unread(command: &str, dir: &Path, client: u128) {
    let mut start = giro(&[command, "--addresses=0", "--buffers=24", "--pin=false"]);
    let mut child = start
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let log = BufReader::new(child.stderr.take().unwrap());
    let lines = log.lines().map_while(Result::ok);
    let listening = lines.into_iter().find(|line| line.contains("listening"));
    let listening = listening.expect("it serves");
    let after = listening.split("address=127.0.0.1:").nth(1);
    let port = after.and_then(|rest| rest.split(' ').next()?.parse().ok());
    Client::connect(port.expect("the log has the address")).register(client);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_stop_while_it_opens_ends_it_well() {
    let dir = folder();
    format(dir.path());
    // Whoever reads this waits for somebody who writes it.
    let config = dir.path().join("config");
    rustix::fs::mkfifoat(rustix::fs::CWD, &config, 0o600.into()).unwrap();
    let mut start = giro(&["start", "--addresses=0"]);
    let start = start
        .arg("--config")
        .arg(&config)
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let writer = std::fs::File::options().write(true).open(&config).unwrap();
    kill_process(Pid::from_child(&start), Signal::TERM).unwrap();
    let ended = start.wait_with_output().unwrap();
    drop(writer);
    let log = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{log}");
    assert!(log.contains("stopped before it served"), "{log}");
}

#[test]
fn dev_makes_a_ledger_and_says_what_to_try() {
    let dir = folder();
    let ledger = dir.path().join("giro-data");
    for greeting in ["made a new ledger", "opening the ledger"] {
        let mut dev = giro(&["dev", "--addresses=0", "--buffers=24"]);
        let mut dev = dev
            .arg(&ledger)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let second = lines.next().unwrap().unwrap();
        let tour: Vec<_> = lines.map_while(Result::ok).take(4).collect();
        dev.kill().unwrap();
        dev.wait().unwrap();
        assert!(first.contains(greeting), "{first}");
        assert!(second.starts_with("listening on 127.0.0.1:"), "{second}");
        assert!(tour.iter().any(|line| line.contains("tigerbeetle")));
    }
    // The template of the settings is there to be edited.
    let config = std::fs::read_to_string(ledger.join("giro.toml")).unwrap();
    assert!(config.contains("#shards = "), "{config}");
}
