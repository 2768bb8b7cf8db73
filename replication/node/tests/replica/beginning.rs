//! A group whose first members do not know each other.

use std::collections::BTreeMap;

use giro_node::Fate;
use giro_replication::{Content, Members};

use crate::support::{Cluster, Node};

fn new_group(count: u64) -> Cluster {
    let members = Members::first(count);
    let nodes: BTreeMap<_, _> = (1..=count)
        .map(|id| (id, Node::new(id, &members)))
        .collect();
    Cluster::of(nodes)
}

#[test]
fn the_roll_is_in_each_log_and_read_again_and_the_directories_are_those_of_members() {
    let mut cluster = new_group(3);
    cluster.node(1).start().unwrap();
    cluster.node(2).start().unwrap();
    (0..50).for_each(|_| cluster.tick());
    assert_eq!(cluster.leader(), None);
    cluster.node(1).kill();
    assert_eq!(cluster.node(1).records(), [], "it waits for all others");
    cluster.node(1).start().unwrap();
    cluster.node(3).start().unwrap();
    cluster.begin();
    cluster.pay(3);
    cluster.agree();
    for id in 1..=3 {
        cluster.node(id).kill();
        let roll = Content::Roll(vec![100, 200, 300]);
        let records = cluster.node(id).records();
        assert_eq!(records[0], (1, roll.clone()));
        let files = cluster.node(id).files().unwrap();
        assert_eq!(files.fate(1, &roll), Fate::None);
        let known: Vec<_> = files.members().unwrap().known;
        let incarnations: Vec<_> = known.iter().map(|member| member.incarnation).collect();
        assert_eq!(incarnations, [100, 200, 300]);
        let verified = files.verify(None, &mut |_| {}).unwrap();
        assert!(verified.executed > 0);
        cluster.node(id).start().unwrap();
    }
    cluster.pay(1);
    cluster.agree();
    assert_eq!(cluster.paid(3), 4);
}

#[test]
fn a_node_that_stops_behind_its_roll_goes_on_from_there() {
    let mut cluster = new_group(3);
    for id in 1..=3 {
        cluster.node(id).start().unwrap();
    }
    // Its roll is not durable when it stops, then it is, and then nothing else is.
    cluster.node(2).is_slow = true;
    (0..20).for_each(|_| cluster.tick());
    cluster.node(2).kill();
    assert_eq!(cluster.node(2).records(), []);
    cluster.node(2).start().unwrap();
    (0..20).for_each(|_| cluster.tick());
    assert_eq!(cluster.leader(), None);
    cluster.node(2).disk.complete().unwrap();
    cluster.node(2).kill();
    assert_eq!(cluster.node(2).records().len(), 1);
    cluster.node(2).is_slow = false;
    cluster.node(2).start().unwrap();
    cluster.begin();
    cluster.pay(2);
    cluster.agree();
    assert_eq!(cluster.paid(2), 2);
}
