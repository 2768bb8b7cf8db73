//! Copies of replicas: consistent, checked, and never taken for the replica.

mod support;

use std::fs::{DirEntry, read_dir};
use std::path::Path;
use std::time::{Duration, Instant};

use giro_client::{Client, ClientOptions};
use serde_json::Value;
use support::load::{ACCOUNTS, Load, open_accounts, pay_many, payment};
use support::server::Server;
use support::trio::Trio;
use support::{Said, folder, giro, refused, run};

fn copy(command: &str, from: &Path, to: &Path) -> Value {
    let said = giro(&[command, "--json"]).arg(from).arg(to).output();
    let said: Said = said.unwrap().into();
    assert!(said.succeeded, "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

fn verified(dir: &Path) -> Value {
    let said = run(&["verify", "--json"], dir);
    assert!(said.succeeded, "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

/// Waits for the first generation to be on disk.
async fn has_history(dir: &Path) {
    let pieces = dir.join("history/checkpoints");
    let is_piece = |entry: DirEntry| entry.path().extension().is_some_and(|e| e == "chk");
    let start = Instant::now();
    while !read_dir(&pieces).unwrap().flatten().any(is_piece) {
        assert!(start.elapsed() < Duration::from_secs(30), "no generation");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn running_replicas_are_backed_up_and_the_copies_are_alone() {
    let mut trio = Trio::format(3);
    trio.flags = vec!["--generation-rows=16384", "--log-kept-mib=4"];
    trio.start_all(3);
    let leader = trio.leader();
    let client = trio.connect().await;
    open_accounts(&client).await;
    let mut made = 0;
    while made < 40_000 {
        pay_many(&client, &mut made).await;
    }
    for replica in 0..3 {
        has_history(&trio.dir(replica)).await;
    }
    let load = Load::start(&client);
    load.more(20).await;
    let copies = folder();
    for replica in 0..3 {
        let name = |what: &str| copies.path().join(format!("{what}-{replica}"));
        let (backup, restored) = (name("backup"), name("restored"));
        let acknowledged = load.paid();
        let first = copy("backup", &trio.dir(replica), &backup);
        assert_eq!(first["copy_of_replica"], replica);
        assert_eq!(first["is_alone"], true);
        let transfers = first["transfers"].as_u64().unwrap();
        assert!(transfers > made);
        if replica == leader {
            assert!(transfers >= made + acknowledged, "{first}");
        }
        // The original goes on; the copy stays where it was.
        load.more(5).await;
        let again = copy("restore", &backup, &restored);
        assert_eq!(
            (&again["op"], &again["digest"]),
            (&first["op"], &first["digest"])
        );
        let found = verified(&restored);
        assert_eq!(found["digest"], first["digest"]);
        assert!(found["history"]["transfers"].as_u64().unwrap() > 0);
        goes_on_alone(&restored, transfers).await;
    }
    load.audit_behind(&client, made).await;
    drop(client);
    trio.assert_same_state(&[0, 1, 2]);
}

/// A restored copy is a ledger, and no replica of anything.
async fn goes_on_alone(dir: &Path, transfers: u64) {
    let identity = run(&["inspect", "identity", "--json"], dir).out;
    let identity: Value = serde_json::from_str(&identity).unwrap();
    assert!(identity["incarnation"].is_null(), "{identity}");
    assert_eq!(identity["replica_count"], 1);
    // Started as the replica it was, it is refused.
    let many = ["start", "--addresses=3001,3002,3003"];
    refused(&many, dir, &["a ledger that is alone has one"]);
    let server = Server::start(dir);
    refused(&["cluster", "status"], dir, &["alone takes no orders"]);
    let options = ClientOptions {
        cluster: 5,
        ..ClientOptions::default()
    };
    let client = Client::connect(&server.port().to_string(), options).await;
    let client = client.unwrap();
    client.create_transfers(&[payment(1)]).await.unwrap();
    let ids: Vec<u128> = (1..=ACCOUNTS).collect();
    let accounts = client.lookup_accounts(&ids).await.unwrap();
    let debits: u128 = accounts.iter().map(|account| account.debits_posted).sum();
    assert_eq!(debits, u128::from(transfers) + 1);
    drop(client);
    server.stop();
}

#[tokio::test]
async fn a_replica_that_does_not_run_is_backed_up_as_far_as_its_log_knows() {
    let mut trio = Trio::format(3);
    trio.start_all(3);
    trio.leader();
    let client = trio.connect().await;
    open_accounts(&client).await;
    let load = Load::start(&client);
    load.more(30).await;
    load.audit(&client).await;
    drop(client);
    (0..3).for_each(|replica| trio.stop(replica));
    let copies = folder();
    for replica in 0..3 {
        let to = copies.path().join(replica.to_string());
        let copied = copy("backup", &trio.dir(replica), &to);
        assert_eq!(copied["digest"], verified(&trio.dir(replica))["digest"]);
        assert!(copied["ops_left_out"].as_u64().unwrap() <= 2, "{copied}");
        assert_eq!(verified(&to)["digest"], copied["digest"]);
    }
    // The replicas themselves are as they were.
    trio.start_all(3);
    trio.leader();
    trio.assert_same_state(&[0, 1, 2]);
}
