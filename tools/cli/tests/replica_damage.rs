//! A group of which one replica's disk is damaged: it says so, stops, and is replaced.

mod support;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use giro_client::{Client, CreateTransferStatus, Transfer};
use support::load::{ACCOUNTS, FORGETFUL, Load, outgrow, pay_many, running};
use support::trio::Trio;
use support::{assert_says, refused, run, segments};

/// Settings with which much of the ledger is soon in the history.
const SMALL: [&str; 2] = ["--generation-rows=16384", "--log-kept-mib=0"];

/// Changes a bit of a byte.
fn flip(path: &Path, offset: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path);
    let file = file.unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

/// The files in a folder, if it is there.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Damages every page of the id runs of a replica but their headers.
fn damage_ids(dir: &Path) {
    for path in files(&dir.join("history/ids")) {
        let pages = path.metadata().unwrap().len() / 4096;
        (1..pages).for_each(|page| flip(&path, page * 4096 + 1000));
    }
}

/// Another replica, made anew, takes the place of `lost`.
fn replace(trio: &mut Trio, lost: usize) {
    trio.format_one(3, 3);
    trio.start(3);
    trio.recover(lost, 3);
}

/// Those three have the same state, and any two of them are enough.
async fn audit(trio: &mut Trio, replicas: [usize; 3], made: u64) {
    trio.assert_same_state(&replicas);
    let leader = trio.leader();
    trio.kill(leader);
    // The one that was replaced is still in the list, as it may be for long with an operator.
    let client = trio.connect_to(&[0, 1, 2, 3]).await;
    let ids: Vec<u128> = (1..=ACCOUNTS).collect();
    let accounts = client.lookup_accounts(&ids).await.unwrap();
    let debits: u128 = accounts.iter().map(|account| account.debits_posted).sum();
    let credits: u128 = accounts.iter().map(|account| account.credits_posted).sum();
    assert_eq!((debits, credits), (made.into(), made.into()));
}

#[tokio::test]
async fn a_follower_with_a_damaged_record_is_replaced() {
    let (mut trio, client) = running(&[]).await;
    let load = Load::start(&client);
    load.more(100).await;
    let leader = trio.leader();
    let follower = (leader + 1) % 3;
    trio.kill(follower);
    // In the middle of what it has acknowledged.
    let path = segments(&trio.dir(follower))[0].clone();
    flip(&path, 20 * 4096 + 300);
    let recover = format!("recover --lost={follower} --replica=NEW");
    let place = format!("offset {}", 20 * 4096);
    let parts = [path.to_str().unwrap(), &place, "record 21", "damaged"];
    for _ in 0..2 {
        trio.start(follower);
        let said = trio.ended(follower);
        assert_says(&said, &parts);
        assert_says(&said, &["Nothing was changed", &recover, "cluster.md"]);
    }
    refused(&["verify"], &trio.dir(follower), &parts);
    // What is before the damage can be looked at.
    let shown = run(&["inspect", "log"], &trio.dir(follower));
    assert!(
        !shown.succeeded && shown.out.contains("record=20"),
        "{shown:?}"
    );
    load.more(20).await;
    replace(&mut trio, follower);
    load.more(20).await;
    let made = load.audit(&client).await;
    drop(client);
    let other = 3 - leader - follower;
    audit(&mut trio, [leader, other, 3], made).await;
}

/// Enough payments that most are in the history, the first of them known by their ids.
async fn outgrow_memory(trio: &Trio, client: &Client, damaged: usize) -> (u64, Vec<Transfer>) {
    let first: Vec<Transfer> = (0..100).map(support::load::payment).collect();
    client.create_transfers(&first).await.unwrap();
    let mut made = 0;
    while made < 48_000 {
        pay_many(client, &mut made).await;
    }
    let dir = trio.dir(damaged).join("history");
    let mut before = Vec::new();
    trio.until("its history is at rest", || {
        let pieces = files(&dir.join("checkpoints"));
        let now = [pieces.clone(), files(&dir.join("ids"))].concat();
        let is_at_rest = now == std::mem::replace(&mut before, now.clone());
        std::thread::sleep(Duration::from_millis(300));
        !pieces.is_empty() && is_at_rest
    });
    (made + 100, first)
}

/// The same payments once more: each replica has to look their ids up.
async fn repeat(client: &Client, first: &[Transfer]) {
    let results = client.create_transfers(first).await.unwrap();
    let exists = |status| status == CreateTransferStatus::Exists;
    assert!(results.iter().all(|result| exists(result.status)));
}

#[tokio::test]
async fn a_follower_that_meets_damage_while_it_runs_stops_and_is_replaced() {
    let (mut trio, client) = running(&SMALL).await;
    let leader = trio.leader();
    let follower = (leader + 1) % 3;
    let (made, first) = outgrow_memory(&trio, &client, follower).await;
    damage_ids(&trio.dir(follower));
    repeat(&client, &first).await;
    let said = trio.ended(follower);
    let recover = format!("recover --lost={follower} --replica=NEW");
    assert_says(
        &said,
        &[
            "the history is damaged at",
            "history/ids",
            "offset",
            &recover,
        ],
    );
    assert_says(&said, &["stops serving"]);
    // It stays away, also when something starts it again.
    trio.start(follower);
    let said = trio.ended(follower);
    assert_says(&said, &["must leave its group", "giro.leave"]);
    refused(
        &["verify"],
        &trio.dir(follower),
        &["history/ids", "damaged"],
    );
    drop(client);
    replace(&mut trio, follower);
    let other = 3 - leader - follower;
    audit(&mut trio, [leader, other, 3], made).await;
}

#[tokio::test]
async fn a_leader_that_meets_damage_ends_and_another_one_answers() {
    let (mut trio, client) = running(&SMALL).await;
    let leader = trio.leader();
    let (made, first) = outgrow_memory(&trio, &client, leader).await;
    damage_ids(&trio.dir(leader));
    // The client gets its answer: from whoever leads then.
    repeat(&client, &first).await;
    let said = trio.ended(leader);
    assert_says(&said, &["the history is damaged at", "stops serving"]);
    assert_ne!(trio.leader(), leader);
    drop(client);
    replace(&mut trio, leader);
    let others = [(leader + 1) % 3, (leader + 2) % 3, 3];
    audit(&mut trio, others, made).await;
}

#[tokio::test]
async fn a_leader_that_cannot_send_its_history_ends_and_another_one_does() {
    let (mut trio, client) = running(&FORGETFUL).await;
    let leader = trio.leader();
    let (away, other) = ((leader + 1) % 3, (leader + 2) % 3);
    trio.stop(away);
    let mut made = 0;
    outgrow(&trio, &client, leader, &mut made).await;
    drop(client);
    // What only a transfer reads.
    let history = files(&trio.dir(leader).join("history"));
    for path in history.iter().filter(|path| path.is_file()) {
        flip(path, 3 * 4096 + 1000);
    }
    trio.start(away);
    let said = trio.ended(leader);
    assert_says(
        &said,
        &["the history is damaged at", "offset 12288", "recover"],
    );
    trio.assert_same_state(&[other, away]);
    assert!(trio.log(away).contains("opening the directory again"));
}
