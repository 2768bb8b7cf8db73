//! `giro tail` against a running server.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use giro_base::{Operation, Transfer, TransferFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::client::{ACCOUNTS, Client};
use support::server::Server;
use support::{Said, folder, format, giro};
use zerocopy::IntoBytes;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn start(port: u16, flags: &[&str]) -> Child {
    let addresses = format!("--addresses={port}");
    let mut tail = giro(&["tail", &addresses]);
    tail.args(flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn tail(port: u16, flags: &[&str]) -> Said {
    start(port, flags).wait_with_output().unwrap().into()
}

fn lines(said: &Said) -> Vec<Value> {
    assert!(said.succeeded, "{said:?}");
    let parse = |line| serde_json::from_str(line).unwrap();
    said.out.lines().map(parse).collect()
}

fn transfer(id: u128) -> Transfer {
    Transfer {
        id,
        debit_account_id: 1,
        credit_account_id: 2 + id % (ACCOUNTS - 1),
        amount: 10,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    }
}

fn held(id: u128) -> Transfer {
    Transfer {
        timeout: 1,
        flags: TransferFlags::PENDING,
        ..transfer(id)
    }
}

fn client(server: &Server, id: u128) -> Client {
    let mut client = server.connect();
    client.register(id);
    client.open_accounts();
    client
}

fn create(client: &mut Client, transfers: &[Transfer]) {
    client.ask(Operation::CreateTransfers, transfers.as_bytes());
}

/// Ends it as an operator would.
fn terminate(mut tail: Child) -> Said {
    kill_process(Pid::from_child(&tail), Signal::TERM).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while tail.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the tail does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    tail.wait_with_output().unwrap().into()
}

#[test]
fn a_line_has_every_field_and_the_position_behind_it() {
    let dir = folder();
    format(dir.path());
    let server = Server::start(dir.path());
    let mut client = client(&server, 5);
    let first = Transfer {
        user_data_128: u128::MAX,
        user_data_64: u64::MAX,
        user_data_32: 7,
        ..held(90)
    };
    let post = Transfer {
        id: 91,
        pending_id: 90,
        amount: 4,
        flags: TransferFlags::POST_PENDING_TRANSFER,
        ..Transfer::default()
    };
    create(&mut client, &[first, post, transfer(92)]);
    let shown = lines(&tail(server.port(), &[]));
    assert_eq!(shown.len(), 3);
    let kinds: Vec<_> = shown.iter().map(|line| &line["type"]).collect();
    assert_eq!(
        kinds,
        ["two_phase_pending", "two_phase_posted", "single_phase"]
    );
    let made = &shown[0];
    let timestamp = &made["timestamp"];
    assert_eq!(
        made["transfer"],
        json!({
            "id": "90", "amount": "10", "pending_id": "0",
            "user_data_128": u128::MAX.to_string(), "user_data_64": u64::MAX.to_string(),
            "user_data_32": 7, "timeout": 1, "code": 1, "flags": ["pending"],
            "timestamp": timestamp,
        })
    );
    assert_eq!(made["ledger"], 1);
    assert_eq!(
        made["position"],
        format!("{}-0", timestamp.as_str().unwrap())
    );
    let account = &made["debit_account"];
    assert_eq!(
        account,
        &json!({
            "id": "1", "debits_pending": "10", "debits_posted": "0", "credits_pending": "0",
            "credits_posted": "0", "user_data_128": "0", "user_data_64": "0", "user_data_32": 0,
            "code": 1, "flags": [], "timestamp": account["timestamp"],
        })
    );
    assert_eq!(shown[1]["credit_account"]["credits_posted"], "4");
    assert_eq!(shown[1]["transfer"]["pending_id"], "90");

    let limited = tail(server.port(), &["--limit=2"]);
    assert_eq!(lines(&limited), shown[..2]);
    let position = shown[1]["position"].as_str().unwrap();
    assert!(
        limited.error.contains(&format!("--after={position}")),
        "{limited:?}"
    );
    let after = format!("--after={position}");
    assert_eq!(lines(&tail(server.port(), &[&after])), shown[2..]);
    let time = shown[0]["timestamp"].as_str().unwrap();
    let after = format!("--after={time}");
    let since = lines(&tail(server.port(), &[&after]));
    assert_eq!(since.len(), 2);
    assert_eq!(since[0]["transfer"], shown[1]["transfer"]);
    assert_eq!(
        lines(&tail(server.port(), &["--limit=0"])),
        [json!(null); 0]
    );
}

#[test]
fn a_follower_shows_what_comes_and_ends_well_when_told() {
    let dir = folder();
    format(dir.path());
    let server = Server::start(dir.path());
    let mut client = client(&server, 5);
    let mut follower = start(server.port(), &["--follow"]);
    let mut out = BufReader::new(follower.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    let mut last = Value::Null;
    for id in 90..95 {
        create(&mut client, &[held(id)]);
        last = next();
        assert_eq!(last["transfer"]["id"], id.to_string());
    }
    for id in 90..95 {
        last = next();
        assert_eq!(last["type"], "two_phase_expired");
        assert_eq!(last["transfer"]["id"], id.to_string());
    }
    let said = terminate(follower);
    assert!(said.succeeded, "{said:?}");
    let position = last["position"].as_str().unwrap();
    assert!(
        said.error.contains(&format!("--after={position}")),
        "{said:?}"
    );
}

#[test]
fn who_waits_for_an_event_ends_when_nobody_reads_or_it_is_told() {
    let dir = folder();
    format(dir.path());
    let server = Server::start(dir.path());
    let mut unread = start(server.port(), &["--follow"]);
    std::thread::sleep(Duration::from_millis(300));
    assert!(unread.try_wait().unwrap().is_none(), "it waits");
    drop(unread.stdout.take());
    let said: Said = unread.wait_with_output().unwrap().into();
    assert!(said.succeeded, "{said:?}");

    let said = terminate({
        let follower = start(server.port(), &["--follow", "--after=77-5"]);
        std::thread::sleep(Duration::from_millis(300));
        follower
    });
    assert!(said.succeeded, "{said:?}");
    assert!(said.error.contains("--after=77-5"), "{said:?}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for after in [
        "--after=x",
        "--after=1-",
        "--after=-1",
        "--after=9223372036854775808",
    ] {
        let said = tail(1, &[after]);
        assert!(!said.succeeded, "{said:?}");
        assert!(said.error.contains("position"), "{said:?}");
    }
    let said = tail(1, &["--deadline-ms=200"]);
    assert!(!said.succeeded, "{said:?}");
    assert!(said.error.contains("cannot open a session"), "{said:?}");
}

/// Pays, some of it pending for a second, until it is told to stop.
fn pay(server: &Server, session: u128, stop: &AtomicBool) {
    let mut client = client(server, session);
    let mut id = 1_000_000 * session;
    while !stop.load(Ordering::Relaxed) {
        let batch = [(); 20].map(|()| {
            id += 1;
            if id.is_multiple_of(5) {
                held(id)
            } else {
                transfer(id)
            }
        });
        create(&mut client, &batch);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whole lines that a follower wrote until it was killed.
fn killed_after(port: u16, position: &str, time: Duration) -> Vec<String> {
    let mut follower = start(port, &["--follow", &format!("--after={position}")]);
    std::thread::scope(|scope| {
        let mut out = follower.stdout.take().unwrap();
        let reader = scope.spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        std::thread::sleep(time);
        follower.kill().unwrap();
        follower.wait().unwrap();
        let text = reader.join().unwrap();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        text[..whole].lines().map(str::to_owned).collect()
    })
}

#[test]
fn a_follower_killed_at_any_moment_goes_on_from_its_last_line() {
    let dir = folder();
    format(dir.path());
    let mut seen: Vec<String> = Vec::new();
    let mut position = "0".to_owned();
    let mut go_on = |port, time| {
        let lines = killed_after(port, &position, time);
        if let Some(last) = lines.last() {
            let last: Value = serde_json::from_str(last).unwrap();
            position = last["position"].as_str().unwrap().to_owned();
        }
        seen.extend(lines);
    };
    for session in 1..=3 {
        let server = Server::start_with(dir.path(), &["--archive=true"]);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let payer = scope.spawn(|| pay(&server, session, &stop));
            // From before the session is open to long behind.
            for round in 0..12 {
                go_on(server.port(), Duration::from_millis(20 + 17 * round));
            }
            stop.store(true, Ordering::Relaxed);
            payer.join().unwrap();
        });
        if session == 3 {
            // Everything due has expired, and the feed stands still.
            std::thread::sleep(Duration::from_millis(1500));
            go_on(server.port(), Duration::from_secs(2));
            let all = tail(server.port(), &[]);
            assert!(all.succeeded, "{}", all.error);
            let all: Vec<&str> = all.out.lines().collect();
            assert!(all.len() > 2000, "{} events", all.len());
            assert_eq!(seen.len(), all.len());
            assert!(seen == all);
            return;
        }
        if session == 1 {
            server.kill();
        } else {
            server.stop();
        }
    }
}
