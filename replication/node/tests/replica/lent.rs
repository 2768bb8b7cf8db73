//! A group of one: the window has the records' own buffers, and gives them back.

use giro_base::Operation;
use giro_replication::{Change, Members};

use crate::support::{Cluster, Node, member, own};

fn alone(window_bytes: usize) -> Cluster {
    let members = Members::of_voters(vec![member(1)]);
    let mut node = Node::new(1, &members);
    node.options.window_bytes = window_bytes;
    let mut cluster = Cluster::of([(1, node)].into());
    cluster.node(1).start().unwrap();
    cluster.begin();
    cluster
}

/// So many transfers in a record of their own, given to the disk.
fn write(cluster: &mut Cluster, ticket: u128, count: usize) {
    let body = cluster.transfers(count);
    let meta = own(Operation::CreateTransfersUnbatched, ticket, &body);
    let node = cluster.node(1);
    let replica = node.up.as_mut().unwrap();
    replica.engine_mut().submit_copy(1, &meta, &body);
    replica.flush(&mut node.disk).unwrap();
}

fn add_learner(cluster: &mut Cluster) {
    let mut node = Node::new(2, &Members::of_voters(vec![member(1)]));
    node.start().unwrap();
    cluster.nodes.insert(2, node);
    let add = Change::AddLearner(member(2));
    cluster.node(1).replica().change(&add).unwrap();
}

fn free_buffers(cluster: &mut Cluster) -> usize {
    cluster.node(1).replica().engine().pool().free_count()
}

#[test]
fn a_group_of_one_gives_back_the_buffer_of_what_it_has_executed() {
    let mut cluster = alone(64 << 20);
    let free = free_buffers(&mut cluster);
    for _ in 0..40 {
        cluster.pay(2);
        assert_eq!(free_buffers(&mut cluster), free);
    }
    assert_eq!(cluster.paid(1), 80);
    // What is not durable needs its buffer, and so does what is not executed.
    cluster.node(1).is_slow = true;
    write(&mut cluster, 1, 2);
    cluster.settle();
    assert_eq!(free_buffers(&mut cluster), free - 1);
    cluster.node(1).is_slow = false;
    cluster.node(1).is_lagging = true;
    cluster.settle();
    assert_eq!(free_buffers(&mut cluster), free - 1);
    cluster.node(1).is_lagging = false;
    cluster.settle();
    assert_eq!(free_buffers(&mut cluster), free);
    assert_eq!(cluster.paid(1), 82);
}

#[test]
fn a_learner_that_is_added_while_entries_are_written_gets_all_of_them() {
    let mut cluster = alone(64 << 20);
    let free = free_buffers(&mut cluster);
    cluster.pay(5);
    cluster.node(1).is_slow = true;
    cluster.node(1).is_lagging = true;
    write(&mut cluster, 1, 3);
    write(&mut cluster, 2, 100);
    add_learner(&mut cluster);
    // These are in the window, as in any group.
    write(&mut cluster, 3, 100);
    write(&mut cluster, 4, 2);
    cluster.settle();
    assert_eq!(cluster.paid(1), 5);
    cluster.node(1).is_slow = false;
    cluster.settle();
    assert_eq!(cluster.paid(1), 5, "it executes nothing");
    (0..20).for_each(|_| cluster.tick());
    assert_eq!(cluster.paid(2), 210, "the learner has it all");
    cluster.node(1).is_lagging = false;
    cluster.agree();
    assert_eq!(cluster.paid(1), 210);
    assert_eq!(free_buffers(&mut cluster), free);
    for id in 1..=2 {
        cluster.node(id).kill();
        let found = cluster.node(id).files().unwrap();
        found.verify(None, &mut |_| {}).unwrap();
    }
}
