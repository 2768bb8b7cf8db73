//! Who leads, and when.

use giro_replication::{Busy, Content, ProposeError, Role};

use crate::support::{World, payload};

#[test]
fn a_new_group_of_one_elects_itself() {
    let mut world = World::new(1);
    assert_eq!(world.elect(), 1);
    world.propose(1, "a", 7);
    world.settle();
    assert_eq!(world.node(1).texts(), ["a"]);
    assert_eq!(world.node(1).tickets(), [7]);
}

#[test]
fn the_same_seed_elects_in_the_same_way() {
    let run = || {
        let mut world = World::new(3);
        let mut story = Vec::new();
        for _ in 0..4 {
            let leader = world.elect();
            story.push((leader, world.node(leader).group.role().term));
            world.crash(leader);
            world.ticks(40);
            world.restart(leader);
        }
        let records: Vec<_> = world.nodes.iter().map(|node| node.disk.clone()).collect();
        (story, records)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_new_group_starts_in_term_one() {
    // Nodes 2 and 3 refuse node 1, which campaigns first and has a lower priority. In term 0 the
    // library could not say no without ending the process.
    let mut world = World::new(3);
    world.restart_with_priority(1, -1);
    world.node(3).is_stalled = true;
    let leader = world.elect();
    assert_eq!(leader, 2);
    assert!(world.node(leader).group.role().term >= 2);
}

#[test]
fn a_follower_refuses_a_proposal_and_names_the_leader() {
    let mut world = World::new(3);
    world.elect_node(2);
    let refused = world.node(3).group.propose(payload("x"), 1);
    let leader = Some(2);
    assert_eq!(refused, Err(ProposeError::NotLeader { leader }));
    world.ticks(5);
    assert!(world.node(2).texts().is_empty(), "it was not passed on");
}

#[test]
fn proposals_are_refused_while_leadership_is_handed_over() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.cut.push((1, 2));
    world.node(1).group.transfer(2).unwrap();
    let refused = world.node(1).group.propose(payload("x"), 1);
    assert_eq!(refused, Err(Busy::Transferring.into()));
    world.heal();
    world.ticks(30);
    let leader = world.elect();
    world.propose(leader, "y", 2);
    world.settle();
    assert_eq!(world.node(leader).texts(), ["y"]);
}

#[test]
fn a_leader_serves_only_behind_its_own_first_entry() {
    let mut world = World::new(3);
    world.elect_node(1);
    for id in 1..=3 {
        world.node(id).is_stalled = true;
    }
    world.propose(1, "old", 1);
    world.settle();
    world.crash(1);
    for id in 2..=3 {
        world.node(id).is_stalled = false;
    }
    // Their writes go on; a new leader has the entry and not yet executed it.
    let mut seen_busy = false;
    for _ in 0..200 {
        for id in 2..=3 {
            world.node(id).group.tick();
        }
        for _ in 0..50 {
            world.poll_all();
            if let Some(leader) = world.leader()
                && !world.node(leader).group.is_serving()
            {
                let refused = world.node(leader).group.propose(payload("early"), 9);
                assert_eq!(refused, Err(Busy::NotServing.into()));
                seen_busy = true;
            }
            for id in 2..=3 {
                world.node(id).write_one();
            }
            world.deliver();
        }
        if seen_busy && world.leader().is_some() {
            break;
        }
    }
    assert!(seen_busy);
    let leader = world.elect();
    assert_eq!(world.node(leader).texts(), ["old"]);
}

#[test]
fn two_voters_stop_when_one_is_lost() {
    let mut world = World::new(2);
    let leader = world.elect();
    world.crash(3 - leader);
    world.propose(leader, "x", 1);
    world.ticks(30);
    assert_ne!(world.node(leader).group.role().role, Role::Leader);
    assert!(world.node(leader).texts().is_empty());
    assert_eq!(world.node(leader).unknown, [1]);
}

#[test]
fn a_stall_of_the_disk_shows_before_it_costs_the_leadership() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.node(1).is_stalled = true;
    world.propose(1, "x", 1);
    world.ticks(4);
    let status = world.node(1).group.status();
    assert!(status.stalled_ticks >= 3, "{status:?}");
    assert_eq!(status.peers.len(), 2);
    assert!(status.peers.iter().all(|peer| peer.is_healthy));
}

#[test]
fn a_lone_voter_keeps_its_learners_waiting_for_its_vote() {
    let mut world = World::new(1);
    world.elect_node(1);
    world.add_node(2, 1);
    let learner = giro_replication::Change::AddLearner(crate::support::member(2));
    world.node(1).group.change(&learner, 1).unwrap();
    world.ticks(5);
    world.crash(1);
    world.restart(1);
    // It leads a new term at once, but its vote is not durable.
    world.node(1).is_stalled = true;
    for _ in 0..30 {
        world.node(1).group.tick();
        world.poll(1);
    }
    let role = world.node(1).group.role();
    assert_eq!(role.role, Role::Leader);
    assert!(world.wire.is_empty(), "nobody hears of term {}", role.term);
    world.node(1).is_stalled = false;
    world.ticks(5);
    let durable = world.node(2).disk.last().unwrap().clone();
    assert_eq!(durable.0.term, role.term);
    assert!(matches!(durable.1, Content::Entry(_)));
}

#[test]
fn a_greeting_makes_a_node_heard_of_and_changes_nothing() {
    let mut world = World::new(3);
    world.elect_node(1);
    let roles = |world: &mut World| [1, 2, 3].map(|id| world.node(id).group.role());
    let before = roles(&mut world);
    for (from, to) in [(3, 2), (3, 1), (1, 2), (2, 1)] {
        let greeting = world.node(from).group.greeting(to).unwrap();
        world.node(to).group.receive(&greeting.to_bytes()).unwrap();
    }
    world.settle();
    assert_eq!(roles(&mut world), before);
    // One of a node that was left behind, too.
    world.isolate(3);
    world.node(1).group.transfer(2).unwrap();
    world.ticks(3);
    let before = roles(&mut world);
    let late = world.node(3).group.greeting(2).unwrap();
    world.node(2).group.receive(&late.to_bytes()).unwrap();
    world.settle();
    assert_eq!(roles(&mut world), before);
}
