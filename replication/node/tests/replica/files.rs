//! What a member's directory says when nobody runs it.

use std::sync::Arc;

use giro_base::Operation;
use giro_log::storage::{RealStorage, Storage};
use giro_node::{
    CopiedMember, Executed, Fate, MemberFiles, NodeError, VerifiedMember, copy_member,
};
use giro_replication::{Change, NodeId};
use tempfile::TempDir;

use crate::support::{Cluster, own};

fn files(cluster: &mut Cluster, id: NodeId) -> MemberFiles {
    cluster.node(id).files().unwrap()
}

fn verified(cluster: &mut Cluster, id: NodeId, until: Option<u64>) -> VerifiedMember {
    files(cluster, id).verify(until, &mut |_| {}).unwrap()
}

fn paid(verified: &VerifiedMember) -> u128 {
    let account = verified.engine.machine().account(2);
    account.map_or(0, |account| account.credits_posted)
}

/// Stops all nodes and verifies them: at the last op that all of them know to be committed, all
/// have the same state. Returns that of each as far as it knows.
fn all_verify_alike(cluster: &mut Cluster) -> Vec<VerifiedMember> {
    let ids: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    ids.iter().for_each(|id| cluster.node(*id).kill());
    let all: Vec<VerifiedMember> = ids.iter().map(|id| verified(cluster, *id, None)).collect();
    let known = all.iter().map(|found| found.engine.commit_op());
    let known = known.min().unwrap();
    let digests = ids.iter().map(|id| {
        let found = verified(cluster, *id, Some(known));
        assert_eq!(found.engine.commit_op(), known);
        found.engine.digest()
    });
    let digests: Vec<_> = digests.collect();
    assert!(digests.windows(2).all(|two| two[0] == two[1]), "op {known}");
    all
}

/// Requests that node `id` takes as the leader that it was, and that nobody else hears of.
fn unheard(cluster: &mut Cluster, id: NodeId) {
    cluster.cut.push(id);
    for count in 1..4 {
        let body = cluster.transfers(count);
        let engine = cluster.node(id).replica().engine_mut();
        let meta = own(Operation::CreateTransfersUnbatched, 1, &body);
        engine.submit_copy(1, &meta, &body);
        cluster.settle();
    }
}

#[test]
fn members_without_a_checkpoint_verify_to_the_same_state() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    (0..5).for_each(|_| cluster.pay(2));
    cluster.agree();
    for found in all_verify_alike(&mut cluster) {
        assert!(found.history.is_none());
        assert_eq!(found.standing.void, 0);
        assert!((8..=10).contains(&paid(&found)), "{}", paid(&found));
        assert_eq!(found.members.voters, [1, 2, 3]);
    }
}

#[test]
fn members_with_checkpoints_in_the_middle_of_entries_verify_to_the_same_state() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    let leader = cluster.elect();
    for _ in 0..12 {
        for count in [30, 40] {
            let body = cluster.transfers(count);
            let meta = own(Operation::CreateTransfersUnbatched, 1, &body);
            let engine = cluster.node(leader).replica().engine_mut();
            engine.submit_copy(1, &meta, &body);
        }
        cluster.settle();
    }
    cluster.agree();
    let last = cluster.node(leader).replica().positions().executed;
    (1..=3).for_each(|id| cluster.wait_for_checkpoint(id, last - 2));
    // All of them hear that what the checkpoints have is committed.
    (0..3).for_each(|_| cluster.pay(1));
    cluster.agree();
    for found in all_verify_alike(&mut cluster) {
        assert!(found.history.is_some_and(|history| history.rows > 0));
        assert!(found.compared > 0, "the log still has what the history has");
        assert!(found.standing.applied > 0);
    }
}

#[test]
fn what_is_not_known_to_be_committed_is_not_executed() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    cluster.pay(1);
    cluster.agree();
    let old = cluster.leader().unwrap();
    unheard(&mut cluster, old);
    cluster.node(old).kill();
    let files = files(&mut cluster, old);
    let (standing, mark) = (*files.standing(), files.mark().cloned());
    assert!(mark.is_none());
    assert!(
        standing.entries.1 - standing.hard.commit >= 2,
        "{standing:?}"
    );
    let found = files.verify(None, &mut |_| {}).unwrap();
    assert_eq!(paid(&found), 1);
}

#[test]
fn overwritten_entries_are_void() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    cluster.pay(1);
    let old = cluster.leader().unwrap();
    unheard(&mut cluster, old);
    cluster.elect();
    (0..5).for_each(|_| cluster.pay(2));
    cluster.cut.clear();
    cluster.agree();
    cluster.pay(1);
    cluster.agree();
    let all = all_verify_alike(&mut cluster);
    let found = &all[old as usize - 1];
    // The third was still gathering with nobody to hear of the first two.
    assert_eq!(found.standing.void, 2, "{:?}", found.standing);
    assert!((11..=12).contains(&paid(found)));
    // Each record says what became of it.
    let files = files(&mut cluster, old);
    let (mut void, mut without, mut committed) = (0, 0, 0);
    for (record, content) in cluster.node(old).records() {
        match files.fate(record, &content) {
            Fate::Void => void += 1,
            Fate::None => without += 1,
            Fate::Committed => committed += 1,
            Fate::Open => {}
        }
    }
    assert_eq!(void, 2);
    assert!(without > 0, "it voted");
    assert_eq!(committed, found.standing.hard.commit);
}

#[test]
fn members_are_those_behind_the_committed_changes() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    let leader = cluster.leader().unwrap();
    let gone = (1..=3).find(|id| *id != leader).unwrap();
    cluster.node(gone).kill();
    let replica = cluster.node(leader).replica();
    replica.change(&Change::Remove(gone)).unwrap();
    cluster.agree();
    cluster.pay(1);
    cluster.agree();
    let expected = cluster.node(leader).replica().members().clone();
    cluster.node(leader).kill();
    let files = files(&mut cluster, leader);
    assert_eq!(files.members().unwrap(), expected);
    assert!(!expected.voters.contains(&gone));
}

#[test]
fn a_history_of_another_ledger_is_found_out() {
    // Two groups whose logs are alike in all but the ids of their transfers.
    let mut histories = Vec::new();
    for other_ids in [0, 10_000] {
        let mut cluster = Cluster::new(1);
        cluster.begin();
        cluster.transfers(other_ids);
        (0..4).for_each(|_| cluster.pay(40));
        let last = cluster.node(1).replica().positions().executed;
        cluster.wait_for_checkpoint(1, last - 2);
        cluster.node(1).kill();
        verified(&mut cluster, 1, None);
        histories.push(cluster);
    }
    let theirs = histories[1].node(1).path().join("history");
    let mine = histories[0].node(1).path().join("history");
    std::fs::remove_dir_all(&mine).unwrap();
    std::fs::rename(theirs, mine).unwrap();
    let refused = files(&mut histories[0], 1).verify(None, &mut |_| {});
    let refused = refused.err().expect("they differ").to_string();
    assert!(refused.contains("not what the log asked for"), "{refused}");
}

#[test]
fn an_op_outside_of_checkpoint_and_commit_cannot_be_verified() {
    let mut cluster = Cluster::new(1);
    cluster.begin();
    (0..4).for_each(|_| cluster.pay(40));
    let last = cluster.node(1).replica().positions().executed;
    cluster.wait_for_checkpoint(1, last - 2);
    cluster.node(1).kill();
    let refused = files(&mut cluster, 1).verify(Some(1), &mut |_| {});
    let is_it = matches!(refused, Err(NodeError::BeforeCheckpoint { until: 1, .. }));
    assert!(is_it);
    let refused = files(&mut cluster, 1).verify(Some(1_000), &mut |_| {});
    let is_it = matches!(refused, Err(NodeError::NotCommitted { until: 1_000, .. }));
    assert!(is_it);
}

/// Copies a node's directory and verifies the copy as the ledger alone that it is.
fn copied(cluster: &mut Cluster, id: NodeId) -> (CopiedMember, giro::verify::Verified, TempDir) {
    let to = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let node = cluster.node(id);
    let executed = node.up.as_ref().map(|replica| Executed {
        op: replica.engine().commit_op(),
        digest: replica.engine().digest(),
    });
    let mut answer = || executed;
    let answer: &mut dyn FnMut() -> Option<Executed> = &mut answer;
    let ask = executed.is_some().then_some(answer);
    let dirs = (node.path(), to.path());
    let copied = copy_member(&storage, dirs, &node.options, ask, &mut |_| {}).unwrap();
    let options = crate::support::engine_options();
    let alone = giro::verify::verify(to.path(), &options, &mut |_| {}).unwrap();
    assert_eq!(alone.engine.commit_op(), copied.copied.op);
    assert_eq!(alone.engine.digest(), copied.copied.digest);
    let identity = giro_log::read_identity(to.path()).unwrap();
    assert_eq!((identity.incarnation, identity.replica_count), (0, 1));
    (copied, alone, to)
}

#[test]
fn a_copy_of_a_member_has_what_is_committed_and_nothing_else() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    cluster.pay(1);
    let old = cluster.leader().unwrap();
    unheard(&mut cluster, old);
    // It runs, and does not know yet that it leads no more.
    let (copy, _, _dir) = copied(&mut cluster, old);
    let executed = cluster.node(old).replica().engine();
    assert_eq!(copy.copied.op, executed.commit_op());
    assert!(copy.left_out >= 2, "{copy:?}");
    cluster.elect();
    (0..5).for_each(|_| cluster.pay(2));
    cluster.cut.clear();
    cluster.agree();
    // All of it, also what its log alone would not know to be committed.
    let (copy, alone, _dir) = copied(&mut cluster, old);
    let executed = cluster.node(old).replica().engine();
    assert_eq!(copy.copied.digest, executed.digest());
    assert_eq!(
        alone.engine.machine().account(2).unwrap().credits_posted,
        11
    );
    cluster.node(old).kill();
    let (copy, _, _dir) = copied(&mut cluster, old);
    let found = verified(&mut cluster, old, None);
    assert_eq!(copy.copied.digest, found.engine.digest());
}

#[test]
fn a_copy_from_a_checkpoint_in_the_middle_of_an_entry_goes_on_alone() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    let leader = cluster.elect();
    for _ in 0..6 {
        for count in [30, 40] {
            let body = cluster.transfers(count);
            let meta = own(Operation::CreateTransfersUnbatched, 1, &body);
            let engine = cluster.node(leader).replica().engine_mut();
            engine.submit_copy(1, &meta, &body);
        }
        cluster.settle();
    }
    cluster.agree();
    let last = cluster.node(leader).replica().positions().executed;
    cluster.wait_for_checkpoint(leader, last - 2);
    let expected = cluster.node(leader).replica().engine().digest();
    let (copy, alone, dir) = copied(&mut cluster, leader);
    assert_eq!(copy.copied.digest, expected);
    assert!(alone.history.is_some_and(|history| history.rows > 0));
    // No group takes it for a member: to the group's own nodes it is a ledger alone.
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let options = crate::support::engine_options();
    let engine = giro::Engine::open_on(&storage, dir.path(), &options, &mut |_| {}).unwrap();
    assert_eq!(engine.digest(), expected);
}
