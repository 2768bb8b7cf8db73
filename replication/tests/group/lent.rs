//! A group whose only member is its leader: entries stay where their records are written from.

use giro_replication::{Change, CommitContent, Payload, Role};

use crate::support::{World, alone, member, payload};

/// Adds node 2, and lets it catch up.
fn add_learner(world: &mut World) {
    world.add_node(2, 1);
    let add = Change::AddLearner(member(2));
    world.node(1).group.change(&add, 900).unwrap();
    world.ticks(6);
}

#[test]
fn what_is_lent_is_committed_with_its_bytes() {
    let mut world = alone();
    world.propose_lent(1, "first", 1);
    world.propose_lent(1, "second", 2);
    world.poll(1);
    assert!(world.node(1).texts().is_empty(), "nothing is durable");
    world.settle();
    let node = world.node(1);
    assert_eq!(node.texts(), ["first", "second"]);
    assert_eq!(node.tickets(), [1, 2]);
    let lent = |content: &CommitContent| match content {
        CommitContent::Ops(payload) => payload.is_lent(),
        _ => false,
    };
    let commits = node.commits.iter();
    assert_eq!(commits.filter(|commit| lent(&commit.content)).count(), 2);
    world.crash(1);
    world.restart(1);
    world.elect();
    assert_eq!(world.node(1).texts(), ["first", "second"]);
}

#[test]
fn a_learner_gets_from_the_log_what_is_not_kept_in_memory() {
    let mut world = alone();
    let texts: Vec<_> = (0..5).map(|ticket| format!("entry {ticket}")).collect();
    for (ticket, text) in (0..).zip(&texts) {
        world.propose_lent(1, text, ticket);
    }
    world.settle();
    assert_eq!(world.node(1).fetches, 0);
    add_learner(&mut world);
    assert!(
        world.node(1).fetches > 0,
        "the window is large enough for five"
    );
    assert_eq!(world.node(2).texts(), texts);
    // From then on it is sent what is in memory.
    let fetches = world.node(1).fetches;
    world.propose(1, "behind it", 9);
    world.ticks(2);
    assert_eq!(world.node(2).texts().last().unwrap(), "behind it");
    assert_eq!(world.node(1).fetches, fetches);
}

#[test]
fn a_learner_is_sent_what_is_lent_and_not_executed() {
    let mut world = alone();
    world.propose_lent(1, "executed", 1);
    world.settle();
    world.node(1).is_lagging = true;
    world.propose_lent(1, "committed", 2);
    world.propose_lent(1, "with it", 3);
    add_learner(&mut world);
    let expected = ["executed", "committed", "with it"];
    assert_eq!(world.node(2).texts(), expected);
    assert_eq!(world.node(1).texts(), ["executed"], "it does not execute");
    for index in 2..=4 {
        let of_leader = world.node(1).entry(index).unwrap();
        assert_eq!(world.node(2).entry(index), Some(of_leader));
    }
    world.node(1).is_lagging = false;
    world.ticks(2);
    assert_eq!(world.node(1).texts(), expected);
}

#[test]
fn a_learner_gets_a_checkpoint_when_the_log_gave_up_what_was_lent() {
    let mut world = alone();
    for ticket in 0..5 {
        world.propose_lent(1, &format!("entry {ticket}"), ticket);
    }
    world.settle();
    world.node(1).save();
    add_learner(&mut world);
    // It joined behind that one.
    assert!(world.node(1).wants_checkpoint);
    assert!(world.node(2).texts().is_empty());
    world.node(1).save();
    world.propose(1, "behind it", 9);
    world.ticks(6);
    assert_eq!(world.node(1).fetches, 0, "nobody reads what is gone");
    assert_eq!(world.node(2).texts(), ["behind it"]);
    let executed = world.node(1).group.executed_index();
    assert_eq!(world.node(2).group.executed_index(), executed);
}

#[test]
fn from_the_proposal_of_a_member_on_nothing_is_lent() {
    let mut world = alone();
    assert!(world.node(1).group.is_sole());
    world.add_node(2, 1);
    world.propose_lent(1, "before it", 1);
    let add = Change::AddLearner(member(2));
    world.node(1).group.change(&add, 900).unwrap();
    assert!(!world.node(1).group.is_sole(), "it is proposed");
    world.propose(1, "behind it", 2);
    world.settle();
    assert!(!world.node(1).group.is_sole(), "it is executed");
    world.ticks(6);
    assert_eq!(world.node(2).texts(), ["before it", "behind it"]);
    let remove = Change::Remove(2);
    world.node(1).group.change(&remove, 901).unwrap();
    assert!(!world.node(1).group.is_sole(), "the learner is still there");
    world.ticks(1);
    assert!(world.node(1).group.is_sole(), "it is alone again");
    world.propose_lent(1, "alone", 3);
    world.settle();
    assert_eq!(world.node(1).texts(), ["before it", "behind it", "alone"]);
}

#[test]
#[should_panic(expected = "what is lent cannot be sent yet")]
fn nothing_is_lent_while_a_member_is_being_added() {
    let mut world = alone();
    let add = Change::AddLearner(member(2));
    world.node(1).group.change(&add, 900).unwrap();
    let _ = world.node(1).group.propose_lent(1);
}

#[test]
fn one_of_three_never_lends() {
    let mut world = World::new(3);
    world.elect_node(1);
    for id in 1..=3 {
        assert!(!world.node(id).group.is_sole());
    }
}

/// The log may have a change of membership that is not executed again yet.
#[test]
fn a_leader_lends_only_when_it_has_executed_all_that_it_found_in_its_log() {
    let mut world = alone();
    world.add_node(2, 1);
    world.propose_lent(1, "before it", 1);
    world.settle();
    // The crash comes when the change is durable; nobody has executed it.
    let add = Change::AddLearner(member(2));
    world.node(1).group.change(&add, 900).unwrap();
    world.poll(1);
    world.node(1).write_one();
    world.crash(1);
    world.restart(1);
    world.node(1).is_stalled = true;
    for _ in 0..30 {
        world.ticks(1);
        if world.node(1).group.role().role == Role::Leader {
            break;
        }
    }
    let group = &world.node(1).group;
    assert_eq!(group.role().role, Role::Leader);
    assert_eq!(group.members().known.len(), 1, "as far as it knows");
    assert!(!group.is_sole());
    assert!(group.next_place().is_none());
    world.node(1).is_stalled = false;
    world.ticks(6);
    assert!(!world.node(1).group.is_sole());
    assert_eq!(world.node(2).texts(), ["before it"]);
}

#[test]
fn what_is_lent_outlives_the_role() {
    let mut world = alone();
    world.propose_lent(1, "proposed", 1);
    // Another ledger's leader, of a later term, whose addresses are wrong.
    let mut other = World::later(2, world.node(1).group.role().term);
    other.propose(2, "of others", 1);
    other.poll(2);
    let (_, _, frame) = other.wire.pop_back().unwrap();
    world.node(1).group.receive(&frame).unwrap();
    assert_ne!(world.node(1).group.role().role, Role::Leader);
    assert!(!world.node(1).group.is_sole());
    world.elect();
    let node = world.node(1);
    assert_eq!(node.texts(), ["proposed"]);
    assert_eq!(node.tickets(), [0; 0], "nobody is told");
    assert_eq!(node.unknown, [1]);
    assert!(node.group.is_sole());
}

#[test]
fn a_payload_that_is_lent_is_the_same_as_one_that_is_not() {
    let (owned, lent) = (payload("ops"), Payload::lent(payload("ops").bytes));
    assert_eq!(lent, owned);
    assert_eq!(lent.checksum(), owned.checksum());
    assert!(lent.is_lent() && !owned.is_lent());
}
