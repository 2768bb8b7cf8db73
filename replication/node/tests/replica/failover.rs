//! Leaders come and go.

use giro_base::Operation;
use giro_node::Standing;
use giro_replication::{Change, NodeId};

use crate::support::{Cluster, Node, member};

#[test]
fn three_nodes_elect_a_leader_and_execute_the_same() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    for _ in 0..20 {
        cluster.pay(3);
    }
    cluster.agree();
    for id in 1..=3 {
        assert_eq!(cluster.paid(id), 60);
    }
    let leader = cluster.leader().unwrap();
    for id in (1..=3).filter(|id| *id != leader) {
        let replica = cluster.node(id).replica();
        let view = u64::from(replica.view());
        assert_eq!(view % 3 + 1, leader);
        let leader = Some(leader);
        assert_eq!(replica.standing(), Standing::Elsewhere { leader });
    }
}

/// What clients believe that each of these nodes talked to: the highest view of all, and the node
/// it leads to.
fn believed(cluster: &mut Cluster, ids: &[NodeId]) -> (u32, NodeId) {
    let views = ids.iter().map(|id| cluster.node(*id).replica().view());
    let view = views.max().unwrap();
    let leader = cluster.leader().unwrap();
    let voters = &cluster.node(leader).replica().members().voters;
    (view, voters[view as usize % voters.len()])
}

#[test]
fn clients_find_a_leader_whose_place_was_moved_by_a_replacement() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    if cluster.leader() != Some(3) {
        let old = cluster.leader().unwrap();
        cluster.node(old).replica().hand_over(3).unwrap();
        (0..3).for_each(|_| cluster.tick());
    }
    assert_eq!(cluster.elect(), 3);
    let (before, named) = believed(&mut cluster, &[1, 2, 3]);
    assert_eq!(named, 3);
    cluster.node(1).kill();
    let members = cluster.node(3).replica().members().clone();
    cluster.nodes.insert(4, Node::new(4, &members));
    cluster.node(4).start().unwrap();
    let replace = Change::Replace {
        promote: 4,
        remove: 1,
    };
    for change in [Change::AddLearner(member(4)), replace] {
        cluster.node(3).replica().change(&change).unwrap();
        (0..10).for_each(|_| cluster.tick());
    }
    assert_eq!(cluster.leader(), Some(3));
    assert_eq!(cluster.node(3).replica().members().voters, [2, 3, 4]);
    // Each of them has told the view from before to somebody.
    for id in [2, 3, 4] {
        let (view, named) = believed(&mut cluster, &[id]);
        assert!(view > before, "node {id}: {view} after {before}");
        assert_eq!(named, 3);
    }
    // The next leader's counts, wherever it stands.
    let (before, _) = believed(&mut cluster, &[2, 3, 4]);
    cluster.node(3).kill();
    let new = cluster.elect();
    let (view, named) = believed(&mut cluster, &[2, 4]);
    assert!(view > before);
    assert_eq!(named, new);
}

#[test]
fn a_new_leader_has_all_that_was_acknowledged() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    for round in 1..=6 {
        cluster.pay(5);
        let old = cluster.leader().unwrap();
        let term = cluster.node(old).replica().role().term;
        cluster.node(old).kill();
        let new = cluster.elect();
        assert_ne!(new, old);
        assert_eq!(cluster.paid(new), 5 * round);
        let replica = cluster.node(new).replica();
        assert!(replica.role().term > term);
        cluster.node(old).start().unwrap();
    }
    cluster.agree();
}

#[test]
fn nothing_is_answered_without_a_majority() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    let leader = cluster.leader().unwrap();
    for id in (1..=3).filter(|id| *id != leader) {
        cluster.node(id).is_slow = true;
    }
    let body = cluster.transfers(4);
    let request = cluster.submit(leader, Operation::CreateTransfersUnbatched, &body);
    cluster.settle();
    let answered = |cluster: &Cluster| {
        let replies = &cluster.nodes[&leader].replies;
        replies.iter().any(|reply| reply.1 == request)
    };
    assert!(!answered(&cluster));
    assert_eq!(cluster.paid(leader), 0);
    let other = (1..=3).find(|id| *id != leader).unwrap();
    cluster.node(other).is_slow = false;
    cluster.settle();
    assert!(answered(&cluster));
}

#[test]
fn a_leader_with_a_slow_disk_answers_when_its_own_write_is_durable() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    let leader = cluster.leader().unwrap();
    cluster.node(leader).is_slow = true;
    let body = cluster.transfers(1);
    cluster.submit(leader, Operation::CreateTransfersUnbatched, &body);
    cluster.settle();
    assert_eq!(cluster.paid(leader), 0);
    cluster.node(leader).is_slow = false;
    cluster.settle();
    assert_eq!(cluster.paid(leader), 1);
}

#[test]
fn what_a_replaced_leader_sequenced_is_forgotten_and_its_reads_go_elsewhere() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    cluster.pay(1);
    let old = cluster.leader().unwrap();
    cluster.cut.push(old);
    let body = cluster.transfers(7);
    let lost = cluster.submit(old, Operation::CreateTransfersUnbatched, &body);
    cluster.node(old).replica().ask(42).unwrap();
    cluster.settle();
    let new = cluster.elect();
    assert_ne!(new, old);
    cluster.request -= 1;
    cluster.pay(2);
    cluster.cut.clear();
    cluster.agree();
    assert_eq!(cluster.paid(old), 3);
    let replies = &cluster.nodes[&old].replies;
    assert!(replies.iter().all(|reply| reply.1 != lost));
    let mut answers = Vec::new();
    cluster.node(old).replica().answers(&mut answers);
    assert_eq!(answers, [(42, false)]);
}

#[test]
fn a_read_is_answered_when_a_majority_still_follows() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    cluster.pay(1);
    let leader = cluster.leader().unwrap();
    cluster.node(leader).replica().ask(7).unwrap();
    let mut answers = Vec::new();
    cluster.node(leader).replica().answers(&mut answers);
    assert_eq!(answers, []);
    cluster.settle();
    cluster.node(leader).replica().answers(&mut answers);
    assert_eq!(answers, [(7, true)]);
    let other = (1..=3).find(|id| *id != leader).unwrap();
    assert!(cluster.node(other).replica().ask(8).is_err());
}

#[test]
fn leadership_is_handed_over_without_losing_a_request() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    cluster.pay(1);
    let old = cluster.leader().unwrap();
    let new = (1..=3).find(|id| *id != old).unwrap();
    cluster.node(old).replica().hand_over(new).unwrap();
    assert_eq!(cluster.node(old).replica().standing(), Standing::Busy);
    cluster.settle();
    assert_eq!(cluster.elect(), new);
    cluster.pay(1);
    cluster.agree();
    assert_eq!(cluster.paid(old), 2);
}
