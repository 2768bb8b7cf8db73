//! Nodes whose execution does not keep up.

use giro_replication::NodeId;

use crate::support::World;

/// The bound of those that lag, and what may be on its way when it is reached.
const BOUND: usize = 4096;
const ON_ITS_WAY: usize = 1024;

/// A group that node 1 leads, with such a bound.
fn bounded(bound: usize) -> World {
    let mut world = World::new(3);
    for id in 1..=3 {
        world.restart_with_backlog(id, bound);
    }
    world.elect_node(1);
    world
}

fn pay(world: &mut World, count: u64) {
    let from = world.node(1).texts().len() as u64;
    for ticket in from..from + count {
        world.propose(1, &format!("{ticket}: {}", "x".repeat(200)), ticket);
        world.settle();
    }
}

fn holds_back(world: &mut World, id: NodeId) -> bool {
    let peers = world.node(1).group.status().peers;
    let peer = peers.iter().find(|peer| peer.node == id).unwrap();
    let own = world.node(id).group.status().holds_back;
    assert_eq!(peer.holds_back, own, "the leader knows");
    own
}

#[test]
fn a_follower_that_does_not_execute_has_a_bound_and_the_others_go_on() {
    let mut world = bounded(BOUND);
    world.node(3).is_lagging = true;
    pay(&mut world, 60);
    assert_eq!(world.node(1).texts().len(), 60);
    assert_eq!(world.node(2).texts().len(), 60);
    assert!(holds_back(&mut world, 3) && !holds_back(&mut world, 2));
    let status = world.node(3).group.status();
    assert!(status.backlog_bytes < BOUND + ON_ITS_WAY, "{status:?}");
    assert!(status.last < 40, "{status:?}");
    // It takes part in all else, and costs the leader nothing.
    let (fetches, term) = (world.node(1).fetches, world.node(1).group.role().term);
    world.ticks(100);
    assert_eq!(world.node(1).fetches, fetches, "nothing is read for it");
    assert_eq!(world.node(1).group.role().term, term, "nobody campaigned");
    assert_eq!(world.node(3).group.status().last, status.last);
    let peers = world.node(1).group.status().peers;
    assert!(peers.iter().all(|peer| peer.is_healthy));
    // It comes back by itself.
    world.node(3).is_lagging = false;
    world.ticks(10);
    let texts = world.node(1).texts();
    assert_eq!(world.node(3).texts(), texts);
    assert!(!holds_back(&mut world, 3));
}

#[test]
fn followers_that_hold_back_both_hold_their_leader_back() {
    let mut world = bounded(BOUND);
    (2..=3).for_each(|id| world.node(id).is_lagging = true);
    pay(&mut world, 40);
    world.ticks(10);
    let committed = world.node(1).texts().len();
    assert!((5..40).contains(&committed), "{committed}");
    assert_eq!(world.node(1).group.status().in_flight, 40 - committed);
    world.node(2).is_lagging = false;
    world.ticks(10);
    assert_eq!(world.node(1).texts().len(), 40);
    assert!(holds_back(&mut world, 3));
}

#[test]
fn a_group_goes_on_with_the_smallest_bound() {
    let mut world = bounded(1);
    for _ in 0..20 {
        pay(&mut world, 1);
        world.ticks(4);
    }
    // What is in the logs and not known to be committed must not keep a new leader from
    // committing it.
    for id in 1..=3 {
        world.crash(id);
        world.restart(id);
    }
    world.elect_node(1);
    world.ticks(10);
    for id in 1..=3 {
        assert_eq!(world.node(id).texts().len(), 20, "node {id}");
    }
}
