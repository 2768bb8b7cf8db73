//! A follower whose execution does not keep up, as when its history has to.

use giro_base::Operation;
use giro_replication::Members;

use crate::support::{Cluster, Node, member};

const BOUND: usize = 16 << 10;
/// What one entry of these tests can be larger than its bound.
const ENTRY_MAX: usize = 4 << 10;

fn cluster() -> Cluster {
    let members = Members::of_voters((1..=3).map(member).collect());
    let nodes = (1..=3).map(|id| {
        let mut node = Node::new(id, &members);
        node.options.backlog_bytes = BOUND;
        // Nobody's history has to keep up.
        node.options.engine.generation_rows = 4096;
        node.start().unwrap();
        (id, node)
    });
    let mut cluster = Cluster::of(nodes.collect());
    cluster.begin();
    cluster
}

#[test]
fn a_follower_that_does_not_execute_holds_up_nobody_and_keeps_little_in_memory() {
    let mut cluster = cluster();
    let leader = cluster.leader().unwrap();
    let lagging = leader % 3 + 1;
    cluster.node(lagging).is_lagging = true;
    for paid in 1..=30 {
        // Each is acknowledged within its turn: nobody waits for a tick.
        cluster.pay(16);
        assert_eq!(cluster.paid(leader), paid * 16);
    }
    let status = cluster.node(lagging).replica().status();
    assert!(status.holds_back, "{status:?}");
    assert!(status.backlog_bytes < BOUND + ENTRY_MAX, "{status:?}");
    (0..50).for_each(|_| cluster.tick());
    assert_eq!(cluster.leader(), Some(leader));
    // It comes back by itself, from entries that the leader's memory does not have any more.
    cluster.node(lagging).is_lagging = false;
    cluster.agree();
    assert_eq!(cluster.paid(lagging), 30 * 16);
    assert!(!cluster.node(lagging).replica().status().holds_back);
}

#[test]
fn a_follower_that_holds_back_and_is_needed_is_waited_for() {
    let mut cluster = cluster();
    let leader = cluster.leader().unwrap();
    let (lagging, gone) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    cluster.node(gone).kill();
    cluster.node(lagging).is_lagging = true;
    let body = cluster.transfers(16);
    let operation = Operation::CreateTransfersUnbatched;
    while !cluster.node(lagging).replica().status().holds_back {
        cluster.submit(leader, operation, &body);
        cluster.settle();
    }
    let request = cluster.submit(leader, operation, &body);
    (0..50).for_each(|_| cluster.tick());
    let is_answered = |cluster: &Cluster| {
        let mut replies = cluster.nodes[&leader].replies.iter();
        replies.any(|reply| reply.1 == request)
    };
    assert!(!is_answered(&cluster));
    cluster.node(lagging).is_lagging = false;
    (0..10).for_each(|_| cluster.tick());
    assert!(is_answered(&cluster));
}
