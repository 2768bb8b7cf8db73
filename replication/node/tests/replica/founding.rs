//! A ledger alone begins a group, whatever its life was before, and wherever that is cut short.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use giro::{Digest, Engine, OpPlace};
use giro_base::Operation;
use giro_log::directory::{found_group_on, read_identity_on};
use giro_log::storage::{RealStorage, Storage};
use giro_replication::{Change, Members};
use tempfile::TempDir;

use crate::support::{Cluster, HeldDisk, Node, engine_options, identity, own};

/// No other node's.
const INCARNATION: u64 = 0xf0de;

fn storage() -> Arc<dyn Storage> {
    Arc::new(RealStorage)
}

fn dir() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Makes accounts and so many transfers in requests of 20, by an engine that knows of no group, and
/// waits for `checkpoints`. Gives op and digest.
fn live_alone(dir: &Path, requests: usize, checkpoints: usize) -> (u64, Digest) {
    let mut engine = Engine::open_on(&storage(), dir, &engine_options(), &mut |_| {}).unwrap();
    let mut disk = HeldDisk::default();
    let mut cluster = Cluster::of([].into());
    let mut bodies = vec![(
        Operation::CreateAccountsUnbatched,
        crate::support::two_accounts(),
    )];
    bodies.extend((0..requests).map(|_| {
        let body = cluster.transfers(20);
        (Operation::CreateTransfersUnbatched, body)
    }));
    for (ticket, (operation, body)) in (1..).zip(bodies) {
        for _ in 0..2000 {
            if engine.can_submit(body.len()) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
            engine.flush(&mut disk).unwrap();
        }
        engine.submit_copy(1, &own(operation, ticket, &body), &body);
        engine.flush(&mut disk).unwrap();
        while let Some(write) = disk.complete() {
            engine.on_write(write.index, Ok(write.bytes)).unwrap();
        }
        while engine.execute(&mut |_| {}).unwrap() {}
    }
    let pieces = dir.join("history/checkpoints");
    for _ in 0..2000 {
        if std::fs::read_dir(&pieces).unwrap().count() >= checkpoints {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
        engine.flush(&mut disk).unwrap();
    }
    engine.settle();
    (engine.commit_op(), engine.digest())
}

fn lone_ledger() -> TempDir {
    let dir = dir();
    giro_log::directory::format_on(&storage(), dir.path(), &identity()).unwrap();
    dir
}

/// The group of one that the ledger in `dir` begins.
fn founder(dir: TempDir) -> Node {
    found_group_on(&RealStorage, dir.path(), INCARNATION).unwrap();
    let mut node = Node::in_dir(dir, 1, &Members::first(1));
    node.options.incarnation = INCARNATION;
    node
}

fn stands_at(cluster: &mut Cluster, expected: (u64, Digest)) {
    let engine = cluster.node(1).replica().engine();
    assert_eq!((engine.commit_op(), engine.digest()), expected);
}

#[test]
fn a_ledger_with_a_history_begins_a_group_and_stays_what_it_was() {
    let dir = lone_ledger();
    let expected = live_alone(dir.path(), 30, 2);
    let node = founder(dir);
    // Before it was ever started it is a member that can be verified.
    let found = node.files().unwrap();
    assert!(found.mark().unwrap().index > 0, "it has a checkpoint");
    let found = found.verify(None, &mut |_| {}).unwrap();
    assert_eq!((found.engine.commit_op(), found.engine.digest()), expected);
    assert_eq!(found.members, Members::first(1));
    let mut cluster = Cluster::of([(1, node)].into());
    cluster.node(1).start().unwrap();
    cluster.elect();
    stands_at(&mut cluster, expected);
    // It is the group's now: its own checkpoints say so, and it comes back by them.
    cluster.request(Operation::Register, &[]);
    cluster.skip_transfers(1_000);
    for _ in 0..10 {
        cluster.pay(30);
    }
    let last = cluster.node(1).replica().positions().executed;
    cluster.wait_for_checkpoint(1, last - 3);
    cluster.agree();
    let paid = cluster.paid(1);
    cluster.node(1).kill();
    let mark = cluster.node(1).files().unwrap().mark().cloned().unwrap();
    assert_eq!(mark.incarnation, INCARNATION);
    assert!(mark.term > 1, "{mark:?}");
    let known = cluster.node(1).files().unwrap().members().unwrap();
    assert_eq!(known.known[0].incarnation, INCARNATION);
    cluster.node(1).start().unwrap();
    cluster.elect();
    cluster.agree();
    assert_eq!(cluster.paid(1), paid);
}

#[test]
fn a_copy_of_a_member_begins_a_group_of_its_own() {
    let mut old = Cluster::new(3);
    old.begin();
    let leader = old.elect();
    for _ in 0..12 {
        old.pay(35);
    }
    let last = old.node(leader).replica().positions().executed;
    old.wait_for_checkpoint(leader, last - 3);
    old.agree();
    let engine = old.node(leader).replica().engine();
    let expected = (engine.commit_op(), engine.digest());
    let copy = dir();
    old.node(leader).kill();
    let node = old.node(leader);
    let dirs = (node.path(), copy.path());
    giro_node::copy_member(&storage(), dirs, &node.options, None, &mut |_| {}).unwrap();
    let node = founder(copy);
    let found = node.files().unwrap();
    // What its checkpoint says of the old group counts for nothing.
    assert_eq!(found.mark().unwrap().members, Members::first(1));
    assert_eq!(found.mark().unwrap().term, 1);
    found.verify(None, &mut |_| {}).unwrap();
    let mut cluster = Cluster::of([(1, node)].into());
    for _ in 0..2 {
        cluster.node(1).start().unwrap();
        cluster.elect();
        cluster.agree();
        let found = cluster.node(1).replica().engine();
        assert!(found.commit_op() >= expected.0 - 2, "what was committed");
        assert_eq!(cluster.node(1).replica().members().voters, [1]);
        cluster.node(1).kill();
    }
}

#[test]
fn a_group_that_was_begun_goes_on_wherever_its_first_start_was_cut_short() {
    for writes in 0..6 {
        let dir = lone_ledger();
        let expected = live_alone(dir.path(), 5, 0);
        let mut cluster = Cluster::of([(1, founder(dir))].into());
        cluster.node(1).start().unwrap();
        cluster.node(1).is_slow = true;
        let mut left = writes;
        // Its vote, its first entry, its incarnation: as many of them reach the disk.
        for _ in 0..60 {
            cluster.tick();
            let node = cluster.node(1);
            while left > 0
                && let Some(write) = node.disk.complete()
            {
                left -= 1;
                let replica = node.up.as_mut().unwrap();
                replica.on_write(write.index, Ok(write.bytes)).unwrap();
            }
        }
        cluster.node(1).kill();
        cluster.node(1).is_slow = false;
        let found = cluster.node(1).files().unwrap();
        found.verify(None, &mut |_| {}).unwrap();
        cluster.node(1).start().unwrap();
        cluster.elect();
        cluster.agree();
        stands_at(&mut cluster, expected);
        assert_eq!(cluster.paid(1), 100);
    }
}

#[test]
fn a_ledger_begins_a_group_once_and_is_none_alone_any_more() {
    let dir = lone_ledger();
    live_alone(dir.path(), 1, 0);
    let node = founder(dir);
    let again = found_group_on(&RealStorage, node.path(), 5).unwrap_err();
    assert!(again.to_string().contains("begins a group once"), "{again}");
    let kept = read_identity_on(&RealStorage, node.path()).unwrap();
    assert_eq!(kept.incarnation, INCARNATION);
    // Also before its first start: else it would write records that the group counts as committed.
    let opened = Engine::open_on(&storage(), node.path(), &engine_options(), &mut |_| {});
    assert!(matches!(opened, Err(giro::Error::Grouped)));
}

/// What a joining node holds the first entries against: the last op of the ledger alone.
#[test]
fn entries_of_a_ledger_alone_can_be_executed_by_others() {
    let dir = lone_ledger();
    live_alone(dir.path(), 3, 0);
    let node = founder(dir);
    let mut last = Some(OpPlace::default());
    for (record, content) in node.records() {
        let giro_replication::Content::Entry(entry) = content else {
            panic!("record {record} has no entry");
        };
        assert_eq!(entry.index, record);
        last = giro::check_ops(&entry.payload.bytes, last).unwrap();
    }
    assert_eq!(last.unwrap().op, 4);
}

#[test]
fn in_a_group_of_one_all_that_is_durable_counts_as_committed_until_another_one_is_added() {
    let mut cluster = Cluster::of([(1, founder(lone_ledger()))].into());
    cluster.node(1).start().unwrap();
    cluster.begin();
    cluster.pay(3);
    let engine = cluster.node(1).replica().engine();
    let expected = (engine.commit_op(), engine.digest());
    cluster.node(1).kill();
    // No later record says that the last one is committed.
    let found = cluster.node(1).files().unwrap();
    assert_eq!(found.standing().hard.commit, found.standing().entries.1);
    let found = found.verify(None, &mut |_| {}).unwrap();
    assert_eq!((found.engine.commit_op(), found.engine.digest()), expected);
    cluster.node(1).start().unwrap();
    cluster.elect();
    let add = Change::AddLearner(crate::support::member(2));
    cluster.node(1).replica().change(&add).unwrap();
    cluster.settle();
    cluster.pay(3);
    let last = cluster.node(1).replica().executed_index();
    cluster.node(1).kill();
    let standing = *cluster.node(1).files().unwrap().standing();
    assert_eq!(standing.entries.1, last);
    assert!(standing.hard.commit < last, "{standing:?}");
}

/// A group of one whose next request is decided and not durable; what the state was before.
fn ahead() -> (Cluster, (u64, Digest)) {
    let mut cluster = Cluster::of([(1, founder(lone_ledger()))].into());
    cluster.node(1).start().unwrap();
    cluster.begin();
    cluster.pay(3);
    let engine = cluster.node(1).replica().engine();
    let before = (engine.commit_op(), engine.digest());
    cluster.node(1).is_slow = true;
    let body = cluster.transfers(100);
    cluster.submit(1, Operation::CreateTransfersUnbatched, &body);
    cluster.settle();
    let engine = cluster.node(1).replica().engine();
    assert!(engine.is_ahead());
    assert_eq!(engine.commit_op(), before.0, "nobody is told");
    (cluster, before)
}

#[test]
fn a_group_of_one_decides_a_large_request_while_the_disk_writes_it() {
    let (mut cluster, before) = ahead();
    assert_eq!(cluster.node(1).replies.len(), 3);
    // A crash forgets it: it was in memory only.
    cluster.node(1).kill();
    cluster.node(1).is_slow = false;
    cluster.node(1).start().unwrap();
    cluster.elect();
    stands_at(&mut cluster, before);
    let (mut cluster, before) = ahead();
    cluster.node(1).is_slow = false;
    cluster.settle();
    assert_eq!(cluster.node(1).replies.len(), 4);
    assert_eq!(cluster.paid(1), 103);
    let engine = cluster.node(1).replica().engine();
    assert!(!engine.is_ahead());
    assert_eq!(engine.commit_op(), before.0 + 1);
    cluster.agree();
    let digest = cluster.node(1).replica().engine().digest();
    cluster.node(1).kill();
    let found = cluster.node(1).files().unwrap();
    let found = found.verify(None, &mut |_| {}).unwrap();
    assert_eq!(found.engine.digest(), digest);
}

#[test]
fn what_a_group_of_one_has_decided_stays_when_its_role_is_lost_meanwhile() {
    let (mut cluster, before) = ahead();
    // Another ledger's leader, of a later term, whose addresses are wrong.
    let (term, heartbeat) = heartbeat_of_a_stranger();
    let replica = cluster.node(1).replica();
    assert!(term > replica.role().term, "{term}");
    replica.receive(&heartbeat).unwrap();
    assert_ne!(replica.standing(), giro_node::Standing::Serving);
    assert!(replica.engine().is_ahead());
    cluster.node(1).is_slow = false;
    cluster.elect();
    let engine = cluster.node(1).replica().engine();
    assert_eq!(engine.commit_op(), before.0 + 1);
    assert_eq!(cluster.paid(1), 103);
    // Who asked is told by asking again.
    assert_eq!(cluster.node(1).replies.len(), 3);
    cluster.pay(100);
    assert_eq!(cluster.paid(1), 203);
}

/// What a leader of another group, node 2, would say to its follower if that were node 1.
fn heartbeat_of_a_stranger() -> (u64, Bytes) {
    let members = Members::of_voters(vec![crate::support::member(2)]);
    let mut other = Cluster::of([(2, Node::new(2, &members))].into());
    for _ in 0..4 {
        other.node(2).kill();
        other.node(2).start().unwrap();
        other.elect();
    }
    let add = Change::AddLearner(crate::support::member(3));
    other.node(2).replica().change(&add).unwrap();
    other.settle();
    let replica = other.node(2).replica();
    let term = replica.role().term;
    let is_heartbeat = |frame: &Bytes| frame[172] == 7;
    for _ in 0..20 {
        replica.tick().unwrap();
        let frames = replica.frames().drain(..);
        let mut frames = frames.map(|outgoing| outgoing.frame.to_bytes());
        if let Some(frame) = frames.find(is_heartbeat) {
            let mut frame = frame.to_vec();
            frame[64] = 1;
            let checksum = giro_base::checksum(&frame[16..192]);
            frame[..16].copy_from_slice(&checksum.to_le_bytes());
            return (term, frame.into());
        }
    }
    panic!("a leader is heard");
}
