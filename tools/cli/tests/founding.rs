//! A ledger that was alone becomes a group of three, while its clients go on.

mod support;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use giro_base::Operation;
use giro_client::Client;
use serde_json::Value;
use support::client::{Client as RawClient, transfers};
use support::load::{ACCOUNTS, FORGETFUL, Load, open_accounts, outgrow, pay_many};
use support::server::Server;
use support::trio::Trio;
use support::{folder, giro, refused, run};

/// Begins a group; what the command says.
fn found(dir: &Path, key: &Path) -> Value {
    let said = run(&["cluster", "found", "--json", &key_flag(key)], dir);
    assert!(said.succeeded, "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

fn key_flag(key: &Path) -> String {
    format!("--cluster-key={}", key.display())
}

fn verified(dir: &Path, flags: &[&str]) -> Value {
    let said = run(&[&["verify", "--json"], flags].concat(), dir);
    assert!(said.succeeded, "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

/// A replica that was formatted for the group joins and votes.
fn join(trio: &Trio, replica: usize) {
    let (number, peer) = (replica.to_string(), trio.peer(replica));
    trio.cluster(0, &["add", "--replica", &number, "--peer", &peer])
        .unwrap();
    promote(trio, replica);
}

fn promote(trio: &Trio, replica: usize) {
    let number = replica.to_string();
    let promoted = trio.cluster(0, &["promote", "--replica", &number, "--wait=90"]);
    promoted.unwrap_or_else(|why| panic!("{why}\n{}\n{}", trio.log(replica), trio.log(0)));
}

/// What all accounts have paid.
async fn paid(client: &Client) -> u128 {
    let ids: Vec<u128> = (1..=ACCOUNTS).collect();
    let accounts = client.lookup_accounts(&ids).await.unwrap();
    accounts.iter().map(|account| account.debits_posted).sum()
}

#[tokio::test]
async fn a_ledger_alone_grows_to_three_while_clients_go_on_and_processes_are_killed() {
    let mut trio = Trio::alone();
    trio.flags = FORGETFUL.to_vec();
    trio.start_alone();
    let client = trio.connect_to(&[0]).await;
    open_accounts(&client).await;
    let mut made = 0;
    // Its log has given up its beginning: who joins needs a checkpoint.
    outgrow(&trio, &client, 0, &mut made).await;
    let load = Load::start(&client);
    load.more(20).await;
    trio.stop(0);
    let before = verified(&trio.dir(0), &[]);
    let founded = found(&trio.dir(0), &trio.key());
    assert_eq!(founded["digest"], before["digest"]);
    let as_member = verified(&trio.dir(0), &[]);
    assert_eq!(as_member["digest"], before["digest"]);
    assert_eq!(as_member["members"].as_array().unwrap().len(), 1);
    trio.start(0);
    load.more(20).await;
    for replica in [1, 2] {
        trio.format_one(replica, 1);
        trio.start(replica);
    }
    let peer = trio.peer(1);
    trio.cluster(0, &["add", "--replica", "1", "--peer", &peer])
        .unwrap();
    // Both ends are killed while the first one joins.
    trio.kill(1);
    trio.start(1);
    load.more(5).await;
    trio.kill(0);
    trio.start(0);
    trio.leader();
    promote(&trio, 1);
    join(&trio, 2);
    load.more(20).await;
    let more = load.audit_behind(&client, made).await;
    made += more;
    trio.assert_same_state(&[0, 1, 2]);
    assert!(
        trio.log(1).contains("opening the directory again"),
        "{}",
        trio.log(1)
    );
    go_on_without_the_first(&mut trio, made).await;
}

/// Any of the three can be lost now, also the one that was alone.
async fn go_on_without_the_first(trio: &mut Trio, made: u64) {
    let client = trio.connect().await;
    trio.kill(0);
    let load = Load::start(&client);
    load.more(20).await;
    load.audit_behind(&client, made).await;
    trio.start(0);
    trio.assert_same_state(&[0, 1, 2]);
    drop(client);
    (0..3).for_each(|replica| trio.stop(replica));
    let found: Vec<Value> = (0..3).map(|n| verified(&trio.dir(n), &[])).collect();
    let lowest = found.iter().map(|found| found["ops"].as_u64().unwrap());
    let at = format!("--op={}", lowest.min().unwrap());
    let digests = (0..3).map(|n| verified(&trio.dir(n), &[&at])["digest"].clone());
    let digests: Vec<Value> = digests.collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    for found in &found {
        assert_eq!(found["members"].as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_restored_backup_of_a_replica_begins_a_group_of_its_own() {
    let mut old = Trio::format(3);
    old.flags = vec!["--generation-rows=16384", "--log-kept-mib=4"];
    old.start_all(3);
    let leader = old.leader();
    let client = old.connect().await;
    open_accounts(&client).await;
    let mut made = 0;
    while made < 48_000 {
        pay_many(&client, &mut made).await;
    }
    drop(client);
    let copies = folder();
    let backup = copies.path().join("backup");
    let copied = giro(&["backup"]).arg(old.dir(leader)).arg(&backup).output();
    assert!(copied.unwrap().status.success());
    let mut trio = Trio::alone();
    trio.flags.clone_from(&old.flags);
    std::fs::remove_dir_all(trio.dir(0)).unwrap();
    let restored = giro(&["restore"]).arg(&backup).arg(trio.dir(0)).output();
    assert!(restored.unwrap().status.success());
    let expected = verified(&trio.dir(0), &[])["digest"].clone();
    assert_eq!(found(&trio.dir(0), &trio.key())["digest"], expected);
    // The secret is the one that the old group had, and the new one is another group all the same.
    let secrets = [&trio, &old].map(|trio| std::fs::read(trio.key()).unwrap());
    assert_eq!(secrets[0], secrets[1]);
    trio.start(0);
    trio.leader();
    for replica in [1, 2] {
        trio.format_one(replica, 1);
        trio.start(replica);
        join(&trio, replica);
    }
    let client = trio.connect().await;
    assert_eq!(paid(&client).await, u128::from(made));
    let load = Load::start(&client);
    load.more(20).await;
    trio.kill(0);
    load.more(20).await;
    trio.start(0);
    load.audit_behind(&client, made).await;
    trio.assert_same_state(&[0, 1, 2]);
    old.leader();
    old.assert_same_state(&[0, 1, 2]);
}

#[test]
fn a_session_goes_on_and_its_last_reply_is_known() {
    let dir = folder();
    let ledger = dir.path().join("ledger");
    support::format(&ledger);
    let server = Server::start(&ledger);
    let mut client = server.connect();
    client.register(77).open_accounts();
    client.pay(1..21);
    let last = client.next(Operation::CreateTransfers, &transfers(21..31));
    client.send(&last);
    let reply = client.answer().unwrap();
    server.stop();
    found(&ledger, &dir.path().join("key"));
    let server = Server::start_with(&ledger, &["--peers=127.0.0.1:0"]);
    let again = ask_until_answered(&server, &client, &last);
    assert_eq!((again.op, &again.body), (reply.op, &reply.body));
    let mut next = server.connect();
    next.resume(&client);
    next.pay(31..41);
    server.stop();
    assert_eq!(support::verified_transfers(&ledger), 40);
}

/// As clients do: a node that does not lead yet says nothing.
fn ask_until_answered(
    server: &Server,
    session: &RawClient,
    request: &[u8],
) -> support::client::Reply {
    for _ in 0..40 {
        let mut again = server.connect();
        again.resume(session);
        again.send(request);
        if !again.is_silent(Duration::from_millis(250)) {
            return again.answer().unwrap();
        }
    }
    panic!("nobody answers");
}

#[test]
fn what_cannot_begin_a_group_is_refused_and_stays_as_it_is() {
    let dir = folder();
    let (ledger, key) = (dir.path().join("ledger"), dir.path().join("key"));
    let flag = key_flag(&key);
    let order = ["cluster", "found", &flag];
    refused(&order, &ledger, &["is not a ledger"]);
    support::format(&ledger);
    let server = Server::start(&ledger);
    server.connect().register(77).open_accounts();
    refused(&order, &ledger, &["another process uses this ledger"]);
    server.stop();
    // Somebody else's secret.
    std::fs::write(&key, format!("{:032x}\n", 3)).unwrap();
    refused(&order, &ledger, &["has the secret of another cluster"]);
    std::fs::remove_file(&key).unwrap();
    let before = std::fs::read(ledger.join("giro.format")).unwrap();
    // One that cannot be opened would have to leave a group in which nobody could take its place.
    let segment = support::segments(&ledger).remove(0);
    let good = std::fs::read(&segment).unwrap();
    let mut damaged = good.clone();
    damaged[300] ^= 1;
    std::fs::write(&segment, damaged).unwrap();
    refused(&order, &ledger, &["stays as it is", "damaged"]);
    assert_eq!(std::fs::read(ledger.join("giro.format")).unwrap(), before);
    assert!(!key.exists());
    std::fs::write(&segment, good).unwrap();
    found(&ledger, &key);
    refused(&order, &ledger, &["replica 0 of a group already", "once"]);
}

#[test]
fn a_founding_that_is_killed_can_be_given_again() {
    for ms in [0, 5, 10, 20, 40] {
        let dir = folder();
        let (ledger, key) = (dir.path().join("ledger"), dir.path().join("key"));
        support::format(&ledger);
        let server = Server::start(&ledger);
        server.connect().register(77).open_accounts();
        server.stop();
        let mut command = giro(&["cluster", "found", &key_flag(&key)]);
        let mut child = command.arg(&ledger).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(ms));
        child.kill().unwrap();
        child.wait().unwrap();
        let again = run(&["cluster", "found", &key_flag(&key)], &ledger);
        let is_done = again.error.contains("replica 0 of a group already");
        assert!(again.succeeded || is_done, "{again:?}");
        assert!(key.exists(), "whoever joins needs it");
        verified(&ledger, &[]);
    }
}

#[tokio::test]
async fn a_replica_with_another_secret_or_another_beginning_is_refused_with_the_reason() {
    let mut trio = Trio::alone();
    found(&trio.dir(0), &trio.key());
    trio.start(0);
    trio.leader();
    let other: PathBuf = trio.key().with_extension("other");
    trio.format_with(5, 1, 1, &other);
    // Copied from the description of a group that began with three.
    trio.format_one(2, 3);
    for replica in [1, 2] {
        trio.start(replica);
        let (number, peer) = (replica.to_string(), trio.peer(replica));
        trio.cluster(0, &["add", "--replica", &number, "--peer", &peer])
            .unwrap();
        let why = trio
            .cluster(0, &["promote", "--replica", &number, "--wait=2"])
            .unwrap_err();
        assert!(why.contains("not heard of lately"), "{why}");
        for log in [trio.log(0), trio.log(replica)] {
            assert!(
                log.contains("has another cluster key than this node"),
                "{log}"
            );
        }
    }
    // The group did not notice.
    let client = trio.connect_to(&[0]).await;
    open_accounts(&client).await;
    let load = Load::start(&client);
    load.more(20).await;
    load.stop.store(true, Ordering::Relaxed);
    load.task.await.unwrap();
}
