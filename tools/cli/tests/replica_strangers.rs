//! What has no place in a group, on the port that its replicas talk on: each is refused with a
//! reason in the log of a replica, and the group goes on.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use giro_base::checksum;
use support::assert_says;
use support::load::{Load, running};
use support::trio::Trio;

const HEADER_BYTES: usize = 192;

/// Waits until a replica has said all of `parts` in one line.
fn says(trio: &Trio, replica: usize, parts: &[&str]) {
    trio.until(&format!("replica {replica} says {parts:?}"), || {
        let log = trio.log(replica);
        let mut lines = log.lines();
        lines.any(|line| parts.iter().all(|part| line.contains(part)))
    });
}

/// The same of all that run.
fn all_say(trio: &Trio, replicas: &[usize], parts: &[&str]) {
    replicas
        .iter()
        .for_each(|replica| says(trio, *replica, parts));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_of_another_cluster_is_refused_by_both_sides() {
    let (mut trio, client) = running(&[]).await;
    let load = Load::start(&client);
    load.more(20).await;
    let leader = trio.leader();
    let (gone, other) = ((leader + 1) % 3, (leader + 2) % 3);
    trio.kill(gone);
    // One with the same number takes its ports: an address in a list is wrong.
    let own = trio.dir(gone).with_extension("own");
    std::fs::rename(trio.dir(gone), &own).unwrap();
    trio.format_with(6, gone, 3, &trio.key());
    trio.start(gone);
    let stranger = format!("replica {gone} ");
    all_say(
        &trio,
        &[leader, other],
        &[&stranger, "belongs to cluster 0x6"],
    );
    says(
        &trio,
        gone,
        &["belongs to cluster 0x5", "check the addresses"],
    );
    load.more(20).await;
    trio.kill(gone);
    std::fs::rename(trio.dir(gone), trio.dir(gone).with_extension("other")).unwrap();
    std::fs::rename(&own, trio.dir(gone)).unwrap();
    trio.start(gone);
    load.more(20).await;
    load.audit(&client).await;
    trio.assert_same_state(&[0, 1, 2]);
}

/// What must never be done: a number is formatted a second time.
fn start_anew(trio: &mut Trio, replica: usize) {
    std::fs::remove_dir_all(trio.dir(replica)).unwrap();
    trio.format_one(replica, 3);
    trio.start(replica);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_formatted_anew_under_its_number_is_refused() {
    let (mut trio, client) = running(&[]).await;
    let load = Load::start(&client);
    load.more(20).await;
    let leader = trio.leader();
    let (again, other) = ((leader + 1) % 3, (leader + 2) % 3);
    trio.kill(again);
    start_anew(&mut trio, again);
    let used_up = ["takes no part", "used up", "giro cluster recover"];
    says(&trio, again, &used_up);
    assert_says(
        trio.status(again).unwrap()["beginning"].as_str().unwrap(),
        &used_up,
    );
    let number = format!("replica {again} ");
    let parts = [&number, "incarnation", "never given twice"];
    all_say(&trio, &[leader, other], &parts);
    load.more(20).await;
    // It has nothing, and counts for nothing: without the others there is no majority.
    let status = trio.status(again).unwrap();
    assert_eq!(
        (&status["op"], &status["is_serving"]),
        (&0.into(), &false.into())
    );
    trio.kill(other);
    let quick = client.with_deadline(Duration::from_secs(2));
    load.stop_and_forget().await;
    quick.lookup_accounts(&[1]).await.unwrap_err();
    trio.start(other);
    trio.assert_same_state(&[leader, other]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_removed_and_comes_back_is_refused() {
    let (mut trio, client) = running(&[]).await;
    let load = Load::start(&client);
    load.more(20).await;
    let leader = trio.leader();
    let (removed, other) = ((leader + 1) % 3, (leader + 2) % 3);
    trio.kill(removed);
    let number = format!("--replica={removed}");
    trio.cluster(leader, &["remove", &number]).unwrap();
    load.more(20).await;
    trio.start(removed);
    let number = format!("replica {removed} ");
    let parts = [&number, "was removed from the group"];
    all_say(&trio, &[leader, other], &parts);
    load.more(20).await;
    load.audit(&client).await;
    trio.assert_same_state(&[leader, other]);
    let status = trio.status(leader).unwrap();
    assert!(status["members"].as_array().unwrap().len() == 2, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_would_lose_the_quorum_is_refused() {
    let (mut trio, client) = running(&[]).await;
    let load = Load::start(&client);
    load.more(20).await;
    let leader = trio.leader();
    let (dead, other) = ((leader + 1) % 3, (leader + 2) % 3);
    trio.kill(dead);
    let member = |replica| {
        let status = trio.status(leader).unwrap();
        let members = status["members"].as_array().unwrap().iter();
        members
            .into_iter()
            .find(|m| m["replica"] == replica)
            .unwrap()
            .clone()
    };
    trio.until("it is missed", || member(dead)["is_healthy"] == false);
    // Two would be left, of which one does not run.
    let refused = trio.cluster(
        leader,
        &["remove", &format!("--replica={other}"), "--wait=2"],
    );
    let why = refused.unwrap_err();
    assert!(
        why.contains("of 2 voters that would be left only 1"),
        "{why}"
    );
    // A learner that never ran cannot take anybody's place.
    trio.cluster(
        leader,
        &["add", "--replica=3", &format!("--peer={}", trio.peer(3))],
    )
    .unwrap();
    for order in [
        &["promote", "--replica=3", "--wait=2"][..],
        &["transfer", "--replica=3"],
    ] {
        let why = trio.cluster(leader, order).unwrap_err();
        assert!(why.contains('3'), "{order:?}: {why}");
    }
    assert_eq!(member(other)["kind"], "voter");
    assert_eq!(member(3)["kind"], "learner");
    load.more(20).await;
    load.audit(&client).await;
}

/// What frames of a group of three carry that has this file's secret.
fn origin(key: &Path) -> u64 {
    let text = std::fs::read_to_string(key).unwrap();
    let key = u128::from_str_radix(text.trim(), 16).unwrap();
    let mut input = *b"giro group\0\0\0\0\0\0................\x03";
    input[16..24].copy_from_slice(&((key >> 64) as u64).to_le_bytes());
    input[24..32].copy_from_slice(&(key as u64).to_le_bytes());
    checksum(&input) as u64
}

/// A heartbeat's answer to replica 0 of cluster 5, without a checksum: see
/// `docs/internals/replication.md`, Frames.
fn frame(origin: u64) -> [u8; HEADER_BYTES] {
    let mut frame = [0; HEADER_BYTES];
    let mut put = |at: usize, bytes: &[u8]| frame[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &checksum(&[]).to_le_bytes());
    put(32, &5_u128.to_le_bytes());
    put(48, b"GIRP");
    put(52, &1_u16.to_le_bytes());
    put(56, &9_u64.to_le_bytes());
    put(64, &1_u64.to_le_bytes());
    put(72, &77_u64.to_le_bytes());
    put(80, &1_u64.to_le_bytes());
    put(160, &(HEADER_BYTES as u32).to_le_bytes());
    put(172, &[8]);
    put(176, &origin.to_le_bytes());
    frame
}

fn sealed_of(origin: u64, change: impl FnOnce(&mut [u8; HEADER_BYTES])) -> Vec<u8> {
    let mut frame = frame(origin);
    change(&mut frame);
    let sum = checksum(&frame[16..]);
    frame[..16].copy_from_slice(&sum.to_le_bytes());
    frame.to_vec()
}

/// Sends bytes to replica 0 on a connection of their own; true when that is closed.
fn closes(trio: &Trio, bytes: &[u8]) -> bool {
    let mut stream = TcpStream::connect(trio.peer(0)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    match stream.read(&mut [0; 16]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_none_or_of_others_are_refused_each_with_its_reason() {
    let (trio, client) = running(&[]).await;
    let load = Load::start(&client);
    let origin = origin(&trio.key());
    let sealed = |change: fn(&mut [u8; HEADER_BYTES])| sealed_of(origin, change);
    assert!(
        !closes(&trio, &sealed(|_| {})),
        "one that is in order is taken"
    );
    let mut damaged = sealed(|_| {});
    damaged[100] ^= 1;
    let cases = [
        (damaged, "the frame's header is damaged"),
        (
            vec![0x55; 4096],
            "these bytes are not of the replication protocol",
        ),
        (
            sealed(|f| f[52] = 2),
            "the frame has version 2; this node speaks 1",
        ),
        (sealed(|f| f[32] = 6), "belongs to cluster 0x6"),
        (sealed(|f| f[54] = 3), "belongs to group 3"),
        (
            sealed(|f| f[64] = 2),
            "replica 8 wants replica 1; this is another one",
        ),
        (
            sealed(|f| f[56] = 1),
            "another process says it is this node",
        ),
        (
            sealed(|f| f[56] = 2),
            "replica 1 has incarnation 0x4d, the member of this number has",
        ),
        (sealed(|f| f[172] = 99), "is out of bounds"),
    ];
    for (bytes, reason) in &cases {
        assert!(closes(&trio, bytes), "{reason}");
        says(&trio, 0, &["closed the connection of a replica", reason]);
    }
    load.more(20).await;
    load.audit(&client).await;
    trio.assert_same_state(&[0, 1, 2]);
}
