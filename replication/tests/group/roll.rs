//! How a group begins whose first voters do not know each other yet: the rows of "A group begins"
//! in `docs/internals/replication.md`.

use giro_replication::{
    Change, ChangeRefused, Content, Hard, NodeId, ReceiveError, Refusal, Replay, Role,
};

use crate::support::{World, member, unbound};

fn new_group(voters: u64) -> World {
    World::of(voters, &unbound(voters))
}

fn waits_for(world: &mut World, id: NodeId) -> Vec<NodeId> {
    let roll = world.node(id).group.status().roll;
    roll.expect("it has not begun").waits_for
}

fn has_begun(world: &mut World, id: NodeId) -> bool {
    world.node(id).group.has_begun()
}

/// Until all have agreed, and none of these has heard that all others have.
fn until_agreed(world: &mut World) {
    for _ in 0..400 {
        world.poll_all();
        if world.nodes.iter().all(|node| node.disk.len() == 1) {
            return;
        }
        for id in world.ids() {
            let node = world.node(id);
            node.write_one();
            node.group.tick();
        }
        // Of what is said, only that somebody is there arrives.
        let calls = |frame: &(NodeId, NodeId, bytes::Bytes)| frame.2[96] == 0;
        world.wire.retain(calls);
        while world.deliver() {}
    }
    panic!("they do not agree");
}

#[test]
fn a_group_begins_once_all_its_first_replicas_are_there() {
    let mut world = new_group(3);
    world.crash(3);
    world.ticks(100);
    assert_eq!(world.leader(), None);
    assert_eq!(waits_for(&mut world, 1), [3]);
    assert!(world.node(1).disk.is_empty() && world.node(2).disk.is_empty());
    world.restart(3);
    let leader = world.elect();
    world.propose(leader, "first", 1);
    world.ticks(5);
    for id in 1..=3 {
        assert_eq!(world.node(id).texts(), ["first"], "node {id}");
        assert_eq!(world.node(id).group.status().roll, None);
        let roll = Content::Roll(vec![1001, 1002, 1003]);
        assert_eq!(world.node(id).disk[0].1, roll, "node {id}");
    }
}

#[test]
fn a_leader_serves_nothing_before_entries_say_who_the_first_members_are() {
    let mut world = new_group(3);
    for _ in 0..200 {
        world.ticks(1);
        let serving: Vec<_> = world.ids();
        let serving = serving
            .into_iter()
            .find(|id| world.node(*id).group.is_serving());
        let Some(leader) = serving else { continue };
        let members = world.node(leader).group.members();
        assert!(members.known.iter().all(|member| member.incarnation > 1000));
        return;
    }
    panic!("nobody serves");
}

#[test]
fn a_replica_made_anew_before_anybody_agreed_is_as_good_as_the_first_one() {
    let mut world = new_group(3);
    world.cut = vec![(1, 3), (2, 3), (3, 1), (3, 2)];
    world.ticks(50);
    world.crash(2);
    world.make_anew(2, 7777);
    // Longer than a node counts as heard of.
    world.ticks(25);
    world.heal();
    world.elect();
    world.ticks(10);
    let members = world.node(3).group.members();
    assert_eq!(members.get(2).map(|member| member.incarnation), Some(7777));
}

#[test]
fn a_replica_that_was_away_when_the_others_began_comes_in() {
    let mut world = new_group(3);
    until_agreed(&mut world);
    world.crash(3);
    world.wire.clear();
    world.ticks(100);
    // They do not know that the third one has agreed.
    assert!(!has_begun(&mut world, 1) && !has_begun(&mut world, 2));
    assert_eq!(waits_for(&mut world, 1), [3]);
    world.restart(3);
    world.cut = vec![(1, 3), (2, 3)];
    // It is heard, and hears nothing.
    world.elect();
    assert!(has_begun(&mut world, 1) && !has_begun(&mut world, 3));
    world.crash(3);
    world.heal();
    world.ticks(20);
    world.restart(3);
    world.ticks(20);
    assert!(has_begun(&mut world, 3));
    let leader = world.elect();
    world.propose(leader, "later", 1);
    world.ticks(5);
    assert_eq!(world.node(3).texts(), ["later"]);
}

#[test]
fn a_replica_that_agreed_comes_in_when_the_log_has_given_up_its_beginning_and_the_others_left() {
    let mut world = new_group(3);
    until_agreed(&mut world);
    world.restart(3);
    world.cut = vec![(1, 3), (2, 3)];
    world.elect_node(1);
    world.crash(3);
    world.heal();
    for (at, text) in ["a", "b", "c", "d"].iter().enumerate() {
        world.propose(1, text, at as u64);
        world.ticks(2);
    }
    // Node 4 takes the place of node 2.
    world.add_other(4, 1004, &unbound(3));
    let change = |world: &mut World, change: Change| {
        world.node(1).group.change(&change, 90).unwrap();
        world.ticks(10);
    };
    change(&mut world, Change::AddLearner(crate::support::member(4)));
    change(
        &mut world,
        Change::Replace {
            promote: 4,
            remove: 2,
        },
    );
    world.crash(2);
    let at = world.node(1).group.executed_index();
    for id in [1, 4] {
        let checkpoint = world.node(id).checkpoint_at(at, b"all");
        world.node(id).group.set_checkpoint(checkpoint.clone());
        world.node(id).group.compact(at + 1);
        world.node(id).checkpoint = Some(checkpoint);
    }
    world.node(1).group.transfer(4).unwrap();
    world.ticks(5);
    world.crash(1);
    assert!(world.node(3).disk.len() == 1, "it has agreed, and no more");
    world.restart(3);
    world.ticks(60);
    assert!(has_begun(&mut world, 3));
    assert!(world.node(3).group.executed_index() >= at);
    assert_eq!(world.stops, []);
}

/// What the roll call is for.
#[test]
fn replicas_that_forgot_or_missed_the_beginning_do_not_lead_an_empty_group() {
    let mut world = new_group(3);
    until_agreed(&mut world);
    // Node 3 hears nothing of the beginning.
    world.cut = vec![(1, 3), (2, 3)];
    let leader = world.elect();
    world.propose(leader, "acknowledged", 1);
    world.ticks(5);
    assert_eq!(world.node(leader).tickets(), [1]);
    // The directory of node 2 is lost, its number formatted again, and node 1 is away.
    world.crash(2);
    world.make_anew(2, 7777);
    world.crash(1);
    world.heal();
    world.ticks(200);
    assert_eq!(world.leader(), None);
    assert!(!has_begun(&mut world, 2) && !has_begun(&mut world, 3));
    let roll = world.node(3).group.status().roll.unwrap();
    assert_eq!((&roll.made_anew[..], roll.is_late), (&[2][..], false));
    // Node 1 comes back: with node 3, that is a majority that knows everything.
    world.restart(1);
    world.ticks(60);
    assert_eq!(world.node(3).texts(), ["acknowledged"]);
    assert!(!has_begun(&mut world, 2));
    assert!(world.node(2).group.status().roll.unwrap().is_late);
    let reused = |refused: &ReceiveError| {
        let expected = Refusal::ReusedId {
            from: 2,
            found: 7777,
            expected: 1002,
        };
        *refused == ReceiveError::Refused(expected)
    };
    assert!(world.refused.iter().any(reused), "{:?}", world.refused);
    assert_eq!(world.stops, [], "and none of them has to end");
}

#[test]
fn a_group_one_of_which_was_made_anew_while_it_began_says_so_and_goes_no_further() {
    let mut world = new_group(3);
    until_agreed(&mut world);
    world.wire.clear();
    world.crash(2);
    world.make_anew(2, 7777);
    world.ticks(100);
    assert!(world.ids().iter().all(|id| !has_begun(&mut world, *id)));
    for id in [1, 3] {
        let roll = world.node(id).group.status().roll.unwrap();
        assert_eq!((&roll.made_anew[..], roll.is_late), (&[2][..], false));
    }
    let roll = world.node(2).group.status().roll.unwrap();
    assert_eq!((&roll.disagree[..], roll.is_late), (&[1, 3][..], false));
    // As they are told to: all anew.
    for id in 1..=3 {
        world.crash(id);
        world.make_anew(id, 8000 + id);
    }
    world.elect();
}

/// Also those that have not agreed, and cannot.
#[test]
fn a_group_that_agreed_in_part_says_on_each_replica_that_it_needs_somebody() {
    let mut world = new_group(3);
    // Only the roll of node 1 becomes durable.
    for node in &mut world.nodes {
        node.is_stalled = node.id() != 1;
    }
    world.ticks(10);
    assert_eq!(world.node(1).disk.len(), 1);
    for id in [2, 3] {
        world.crash(id);
        world.node(id).is_stalled = false;
    }
    world.make_anew(2, 7777);
    world.restart(3);
    world.ticks(60);
    for id in 1..=3 {
        let roll = world.node(id).group.status().roll.unwrap();
        assert!(roll.needs_somebody(), "node {id}: {roll}");
        assert!(
            roll.to_string().contains("format all of them anew"),
            "{roll}"
        );
    }
}

#[test]
fn a_node_that_is_to_join_later_does_not_say_that_the_group_has_begun() {
    let mut world = new_group(3);
    world.add_other(4, 1004, &unbound(3));
    world.crash(3);
    for _ in 0..30 {
        for id in [1, 2] {
            let greeting = world.node(4).group.greeting(id).unwrap();
            world.wire.push_back((4, id, greeting.to_bytes()));
        }
        world.ticks(1);
    }
    for id in [1, 2] {
        let roll = world.node(id).group.status().roll.unwrap();
        assert!(!roll.is_late, "node {id}: {roll}");
    }
    world.restart(3);
    world.elect();
}

/// It had met them under other incarnations, and refused the new ones until it was started again
/// (found by the simulator, seed 230000463).
#[test]
fn a_node_that_is_to_join_takes_first_members_that_were_made_anew() {
    let mut world = new_group(3);
    world.add_other(4, 1004, &unbound(3));
    world.elect();
    for id in 1..=3 {
        let greeting = world.node(id).group.greeting(4).unwrap();
        world.node(4).group.receive(&greeting.to_bytes()).unwrap();
    }
    // They have served nobody yet.
    for id in 1..=3 {
        world.crash(id);
    }
    for id in 1..=3 {
        world.make_anew(id, 2000 + id);
    }
    let leader = world.elect();
    world.propose(leader, "first", 1);
    let add = Change::AddLearner(member(4));
    world.node(leader).group.change(&add, 9).unwrap();
    world.ticks(10);
    assert_eq!(world.refused.len(), 0, "{:?}", world.refused);
    assert_eq!(world.node(4).texts(), ["first"]);
}

#[test]
fn a_replica_that_takes_no_part_is_not_counted_on() {
    let mut world = new_group(3);
    world.elect_node(1);
    world.crash(3);
    world.ticks(30);
    // Its log is lost, and it says that it is there.
    world.make_anew(3, 1003);
    world.ticks(30);
    let peers = world.node(1).group.status().peers;
    let third = peers.into_iter().find(|peer| peer.node == 3);
    assert!(!third.unwrap().is_healthy);
    let refused = world.node(1).group.change(&Change::Remove(2), 9);
    let (voters, healthy) = (2, 1);
    assert_eq!(refused, Err(ChangeRefused::QuorumLost { voters, healthy }));
    let refused = world.node(1).group.transfer(3);
    assert_eq!(refused, Err(ChangeRefused::Silent(3)));
}

#[test]
fn a_replica_whose_number_was_removed_is_told() {
    let mut world = new_group(3);
    world.elect_node(1);
    world.crash(3);
    world.node(1).group.change(&Change::Remove(3), 9).unwrap();
    world.ticks(10);
    world.make_anew(3, 7777);
    world.ticks(30);
    assert!(world.node(3).group.status().roll.unwrap().is_late);
    // It is said again and again: the others may all be made anew.
    world.isolate(3);
    world.ticks(30);
    let roll = world.node(3).group.status().roll.unwrap();
    assert_eq!((&roll.waits_for[..], roll.is_late), (&[1, 2][..], false));
}

#[test]
fn a_node_that_lost_its_log_does_not_begin_again() {
    let mut world = new_group(3);
    world.elect_node(1);
    world.crash(3);
    world.make_anew(3, 1003);
    world.ticks(100);
    let node = world.node(3);
    assert!(node.group.status().roll.unwrap().is_late && node.disk.is_empty());
    assert_eq!(node.group.role().role, Role::Follower);
    assert_eq!(world.stops, []);
}

#[test]
fn the_roll_is_the_first_record_and_there_is_one() {
    let hard = |term| Hard {
        term,
        ..Hard::default()
    };
    let roll = || Content::Roll(vec![1, 2, 3]);
    let refused = |records: &[(Hard, Content)]| {
        let mut replay = Replay::default();
        let taken = records
            .iter()
            .map(|(hard, content)| replay.record(*hard, content.clone()));
        taken.last().unwrap().unwrap_err().to_string()
    };
    for before in [(hard(1), roll()), (hard(1), Content::State)] {
        let error = refused(&[before, (hard(1), roll())]);
        assert!(error.contains("the roll of the first replicas"), "{error}");
    }
    let mut replay = Replay::default();
    replay.record(hard(1), roll()).unwrap();
    let start = replay.start(unbound(3), None).unwrap();
    assert!(start.is_new);
    assert_eq!(start.roll, Some(vec![1, 2, 3]));
}
