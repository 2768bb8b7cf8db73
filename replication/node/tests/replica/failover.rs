//! Leaders come and go.

use giro_base::Operation;
use giro_node::Standing;

use crate::support::Cluster;

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
