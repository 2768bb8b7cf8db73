//! A group of which one replica's disk fails, its state or its log is not what it was, or whose
//! processor is slow: what it says, and that the others go on.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use giro_base::checksum;
use giro_base::limits::{OP_HEADER_BYTES, RECORD_HEADER_BYTES, SECTOR_BYTES};
use giro_client::Client;
use giro_log::{OpHeader, RecordHeader};
use rustix::process::{Pid, Signal, kill_process};
use support::load::{Load, open_accounts, pay_many, payment, running};
use support::trio::Trio;
use support::{assert_says, segments};
use zerocopy::{FromBytes, IntoBytes};

/// Behind what a replica logs in a test, and before where its log is by then.
const LIMIT: u64 = 128 << 10;
/// Payments after which the log is behind that: each has a sector of its own at least.
const ENOUGH: u64 = 100;

fn assert_did_not_leave(trio: &Trio, replica: usize, said: &str) {
    assert!(!said.contains("recover"), "{said}");
    assert!(!trio.dir(replica).join("giro.leave").exists());
}

/// Says that it must leave, now and at each further start.
fn assert_left(trio: &mut Trio, replica: usize, parts: &[&str]) {
    let said = trio.ended(replica);
    let recover = format!("recover --lost={replica} --replica=NEW");
    assert_says(&said, parts);
    assert_says(&said, &["stops serving", &recover]);
    trio.start(replica);
    let said = trio.ended(replica);
    assert_says(&said, &["must leave its group", "giro.leave"]);
}

/// Another one, made anew, takes the place of a replica that left. So many payments were made
/// before the load began.
async fn replace(trio: &mut Trio, load: Load, client: &Client, left: usize, before: u64) {
    load.more(20).await;
    trio.format_one(3, 3);
    trio.start(3);
    trio.recover(left, 3);
    load.more(20).await;
    load.audit_behind(client, before).await;
    let others: Vec<usize> = (0..=3).filter(|replica| *replica != left).collect();
    trio.assert_same_state(&others);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_whose_write_fails_ends_and_catches_up_when_it_is_started_again() {
    let (mut trio, client) = running(&[]).await;
    let load = Load::start(&client);
    load.more(ENOUGH).await;
    let follower = (trio.leader() + 1) % 3;
    trio.limit_files(follower, LIMIT);
    load.more(50).await;
    let said = trio.ended(follower);
    let parts = ["stops serving", "writing record", "File too large"];
    assert_says(&said, &parts);
    assert_says(&said, &["check the disk, then start again"]);
    assert_did_not_leave(&trio, follower, &said);
    load.more(50).await;
    trio.start(follower);
    load.more(50).await;
    load.audit(&client).await;
    trio.assert_same_state(&[0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_write_fails_ends_and_another_one_leads() {
    let (mut trio, client) = running(&[]).await;
    let load = Load::start(&client);
    load.more(ENOUGH).await;
    let leader = trio.leader();
    trio.limit_files(leader, LIMIT);
    let said = trio.ended(leader);
    assert_says(
        &said,
        &["stops serving", "writing record", "File too large"],
    );
    assert_did_not_leave(&trio, leader, &said);
    assert_ne!(trio.leader(), leader);
    load.more(50).await;
    trio.start(leader);
    load.more(50).await;
    // Every payment was acknowledged, and each is there once.
    load.audit(&client).await;
    trio.assert_same_state(&[0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_whose_log_is_an_older_one_leaves_and_is_replaced() {
    let (mut trio, client) = running(&[]).await;
    let load = Load::start(&client);
    load.more(50).await;
    let follower = (trio.leader() + 1) % 3;
    trio.stop(follower);
    let log = segments(&trio.dir(follower))[0].clone();
    let older = trio.dir(follower).with_extension("older");
    std::fs::copy(&log, &older).unwrap();
    trio.start(follower);
    load.more(50).await;
    follows(&trio, follower);
    trio.kill(follower);
    std::fs::copy(&older, &log).unwrap();
    trio.start(follower);
    let parts = ["acknowledged records are lost", "its log ends at"];
    assert_left(&mut trio, follower, &parts);
    replace(&mut trio, load, &client, follower, 0).await;
}

/// Waits until a replica has acknowledged nearly all there is.
fn follows(trio: &Trio, replica: usize) {
    let leader = trio.leader();
    trio.until("it follows", || {
        let lag = member(trio, leader, replica).map(|member| member["lag"].clone());
        lag.is_some_and(|lag| lag.as_u64().is_some_and(|lag| lag < 4))
    });
}

/// What the leader says of a replica.
fn member(trio: &Trio, leader: usize, replica: usize) -> Option<serde_json::Value> {
    let status = trio.status(leader)?;
    let members = status["members"].as_array()?.iter();
    members
        .into_iter()
        .find(|m| m["replica"] == replica)
        .cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_whose_state_differs_leaves_and_is_replaced() {
    let (mut trio, client) = running(&[]).await;
    let load = Load::start(&client);
    load.more(50).await;
    let made = load.audit(&client).await;
    client.create_transfers(&[payment(1)]).await.unwrap();
    trio.assert_same_state(&[0, 1, 2]);
    let follower = (trio.leader() + 1) % 3;
    trio.kill(follower);
    pay_more_in_the_last_record(&segments(&trio.dir(follower))[0]);
    trio.start(follower);
    // States are compared now and then.
    let load = Load::start(&client);
    let parts = ["the state after entry", "differs: this replica has digest"];
    assert_left(&mut trio, follower, &parts);
    replace(&mut trio, load, &client, follower, made + 1).await;
}

/// Makes the payment in a log's last record one of 3 more, with all checksums right: as a replica
/// would execute it whose memory failed.
fn pay_more_in_the_last_record(segment: &Path) {
    const AMOUNT: usize = RECORD_HEADER_BYTES + OP_HEADER_BYTES + 48;
    let mut bytes = std::fs::read(segment).unwrap();
    let (mut at, mut last) = (0, None);
    loop {
        let header = RecordHeader::read_from_prefix(&bytes[at..]).unwrap().0;
        if header.checksum != header.checksum_now() || header.bytes == 0 {
            break;
        }
        last = Some((at, header));
        at += (header.bytes as usize).next_multiple_of(SECTOR_BYTES);
    }
    let (at, mut header) = last.expect("the log has records");
    let mark = header.mark;
    assert_eq!((header.op_count, mark.kind), (1, 0), "the payment");
    let record = &mut bytes[at..at + header.bytes as usize];
    record[AMOUNT] += 3;
    let (before, body) = record.split_at_mut(RECORD_HEADER_BYTES + OP_HEADER_BYTES);
    let mut op = OpHeader::read_from_bytes(&before[RECORD_HEADER_BYTES..]).unwrap();
    op.checksum_body = checksum(&body[..op.body_bytes as usize]);
    let op = op.sealed();
    before[RECORD_HEADER_BYTES..].copy_from_slice(op.as_bytes());
    header.content_checksum = checksum(op.checksum.as_bytes());
    header.checksum = header.checksum_now();
    before[..RECORD_HEADER_BYTES].copy_from_slice(header.as_bytes());
    std::fs::write(segment, bytes).unwrap();
}

/// Lets a process run a twentieth of the time, until it is dropped.
struct Throttle {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Throttle {
    fn on(pid: Pid) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !shared.load(Ordering::Relaxed) {
                kill_process(pid, Signal::STOP).unwrap();
                std::thread::sleep(Duration::from_millis(95));
                kill_process(pid, Signal::CONT).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || std::thread::panicking());
    }
}

/// The most memory that a process had so far (MiB).
fn memory_max(pid: Pid) -> u64 {
    let path = PathBuf::from(format!("/proc/{}/status", pid.as_raw_nonzero()));
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() >> 10
}

/// What the buffers between two replicas may have, and some (MiB): far less than what the slow one
/// lacks at the worst. A request of 8,000 payments is an entry, and 1 MiB.
const MORE_MEMORY_MAX: u64 = 100;
const LAG: u64 = 150;

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_slower_than_the_group_does_not_hold_it_up_and_comes_after() {
    let mut trio = Trio::format(3);
    trio.flags = vec!["--generation-rows=16384", "--log-kept-mib=1024"];
    trio.start_all(3);
    let leader = trio.leader();
    let (slow, healthy) = ((leader + 1) % 3, (leader + 2) % 3);
    let client = trio.connect().await;
    open_accounts(&client).await;
    let mut made = 0;
    let alone = pay_often(&client, &mut made, 40).await;
    trio.assert_same_state(&[0, 1, 2]);

    let throttle = Throttle::on(trio.pid(slow));
    let beside = pay_often(&client, &mut made, 300).await;
    let said = member(&trio, leader, slow).unwrap();
    drop(throttle);
    assert!(beside < 3 * alone, "{alone:?} a request, then {beside:?}");
    assert!(said["lag"].as_u64().unwrap() > LAG, "{said}");
    trio.assert_same_state(&[0, 1, 2]);
    let usual = memory_max(trio.pid(healthy));
    for replica in [leader, slow] {
        let most = memory_max(trio.pid(replica));
        assert!(most < usual + MORE_MEMORY_MAX, "{most} MiB beside {usual}");
    }
    let said = member(&trio, leader, slow).unwrap();
    assert_eq!(
        (&said["lag"], &said["is_healthy"]),
        (&0.into(), &true.into())
    );
}

/// How long a request of thousands of payments takes, of so many.
async fn pay_often(client: &Client, made: &mut u64, count: u32) -> Duration {
    let began = Instant::now();
    for _ in 0..count {
        pay_many(client, made).await;
    }
    began.elapsed() / count
}
