//! Linearizable reads.

use giro_replication::{Busy, ProposeError};

use crate::support::World;

#[test]
fn reads_of_a_turn_are_one_question() {
    let mut world = World::new(3);
    world.elect_node(1);
    for ticket in 0..50 {
        world.node(1).group.read(ticket).unwrap();
    }
    world.poll(1);
    assert_eq!(world.wire.len(), 2, "a heartbeat to each follower");
    assert!(world.node(1).reads.is_empty(), "nobody answered yet");
    world.settle();
    assert_eq!(world.node(1).reads, (0..50).collect::<Vec<_>>());
}

#[test]
fn a_leader_cut_off_answers_no_read() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.isolate(1);
    world.node(1).group.read(7).unwrap();
    world.settle();
    world.ticks(5);
    assert!(world.node(1).reads.is_empty());
    world.ticks(30);
    assert!(world.node(1).reads.is_empty());
    assert_eq!(world.node(1).refused_reads, [7]);
}

#[test]
fn a_lost_question_is_asked_again() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.node(1).group.read(7).unwrap();
    world.poll(1);
    world.wire.clear();
    world.ticks(15);
    assert_eq!(world.node(1).reads, [7]);
}

#[test]
fn a_read_waits_for_execution() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.node(1).is_stalled = true;
    world.propose(1, "x", 1);
    world.settle();
    // Committed by the followers, not durable here: not executed.
    world.node(1).group.read(7).unwrap();
    world.settle();
    assert!(world.node(1).reads.is_empty());
    world.node(1).is_stalled = false;
    world.settle();
    assert_eq!(world.node(1).reads, [7]);
}

#[test]
fn a_voter_alone_answers_at_once() {
    let mut world = World::new(1);
    let early = world.node(1).group.read(1);
    assert_eq!(early, Err(ProposeError::NotLeader { leader: None }));
    for _ in 0..30 {
        world.node(1).group.tick();
    }
    assert_eq!(world.node(1).group.read(1), Err(Busy::NotServing.into()));
    world.elect_node(1);
    world.node(1).group.read(2).unwrap();
    world.poll(1);
    assert_eq!(world.node(1).reads, [2]);
}
