//! Replies that wait for a replica in another region, too: four processes, of which one is a
//! learner.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use giro_client::{Account, Client, CreateTransferStatus, Transfer, new_id};
use rustix::process::Signal;
use support::trio::Trio;

/// The learner.
const REGION: usize = 3;

/// A group of three with a learner, whose replies wait for that.
fn with_region(flags: &[&'static str]) -> Trio {
    let mut trio = Trio::format(3);
    trio.flags = flags.to_vec();
    trio.start_all(3);
    let leader = trio.leader();
    trio.format_one(REGION, 3);
    trio.start(REGION);
    let peer = trio.peer(REGION);
    let add = ["add", "--replica", "3", "--peer", &peer];
    trio.cluster(leader, &add).unwrap();
    trio
}

async fn client_of(trio: &Trio) -> Client {
    let client = trio.connect().await;
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    };
    client
        .create_accounts(&[account(1), account(2)])
        .await
        .unwrap();
    client
}

fn payment() -> Transfer {
    Transfer {
        id: new_id(),
        debit_account_id: 1,
        credit_account_id: 2,
        amount: 1,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    }
}

async fn pay(client: &Client, payment: Transfer) -> CreateTransferStatus {
    let results = client.create_transfers(&[payment]).await.unwrap();
    results[0].status
}

#[tokio::test]
async fn a_reply_waits_while_the_region_is_away_and_its_id_tells_what_became_of_it() {
    let trio = with_region(&["--reply-gate=3"]);
    let client = client_of(&trio).await;
    for _ in 0..20 {
        assert_eq!(pay(&client, payment()).await, CreateTransferStatus::Created);
    }
    trio.signal(REGION, Signal::STOP);
    let unknown = payment();
    let quick = client.with_deadline(Duration::from_millis(1500));
    quick.create_transfers(&[unknown]).await.unwrap_err();
    let leader = trio.leader();
    let gate = trio.status(leader).unwrap()["gate"].clone();
    assert_eq!(gate["replicas"], serde_json::json!([3]));
    assert_eq!(
        (&gate["is_degraded"], &gate["passed"]),
        (&false.into(), &0.into())
    );
    assert!(gate["held"].as_u64() >= Some(1), "{gate}");
    assert!(gate["waited_ms"].as_u64() >= Some(1000), "{gate}");
    let late = "replies wait for the gate's replica";
    trio.until("the log says so", || trio.log(leader).contains(late));
    trio.signal(REGION, Signal::CONT);
    assert_eq!(pay(&client, payment()).await, CreateTransferStatus::Created);
    assert_eq!(pay(&client, unknown).await, CreateTransferStatus::Exists);
}

#[tokio::test]
async fn a_gate_with_a_limit_opens_with_an_alarm_and_closes_again() {
    let mut trio = with_region(&[
        "--reply-gate=3",
        "--reply-gate-degrade-ms=600",
        "--http=127.0.0.1:0",
    ]);
    let client = client_of(&trio).await;
    let leader = trio.leader();
    // It may have opened while the new replica caught up.
    gate_closes(&trio, leader);
    assert_eq!(pay(&client, payment()).await, CreateTransferStatus::Created);
    trio.kill(REGION);
    let lost = Instant::now();
    assert_eq!(pay(&client, payment()).await, CreateTransferStatus::Created);
    assert!(lost.elapsed() >= Duration::from_millis(500), "it waited");
    assert_eq!(pay(&client, payment()).await, CreateTransferStatus::Created);
    let gate = trio.status(leader).unwrap()["gate"].clone();
    assert_eq!(gate["is_degraded"], true, "{gate}");
    assert!(gate["passed"].as_u64() >= Some(2), "{gate}");
    trio.until("the log says so", || trio.log(leader).contains("ALARM"));
    let is_open = "giro_server_gate_degraded 1";
    trio.until("the metrics say so", || {
        metrics(&trio, leader).contains(is_open)
    });
    trio.start(REGION);
    gate_closes(&trio, leader);
    assert_eq!(pay(&client, payment()).await, CreateTransferStatus::Created);
}

fn gate_closes(trio: &Trio, leader: usize) {
    trio.until("the gate closes", || {
        let status = trio.status(leader).unwrap();
        status["gate"]["is_degraded"] == false
    });
}

/// The page of a replica that serves HTTP at a port of the system's choice.
fn metrics(trio: &Trio, replica: usize) -> String {
    let log = trio.log(replica);
    let line = log.lines().find(|line| line.contains("serving HTTP"));
    let address = line.unwrap().rsplit("address=").next().unwrap();
    let mut stream = TcpStream::connect(address.trim()).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: giro\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[test]
fn a_ledger_that_is_alone_has_no_gate() {
    let dir = support::folder();
    support::format(dir.path());
    let flags = ["start", "--addresses=0", "--reply-gate=1"];
    support::refused(&flags, dir.path(), &["reply_gate", "alone"]);
}
