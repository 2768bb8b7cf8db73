//! A leader that is the only member tells the library of its entries later: nobody can tell.

use bytes::Bytes;
use giro_replication::codec::{Kind, decode};
use giro_replication::{Change, ReceiveError, Role, Stop};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{World, alone, member};

#[test]
fn what_is_durable_is_committed_before_the_library_is_told() {
    let mut world = alone();
    let before = world.node(1).group.status();
    for ticket in 0..3 {
        world.propose_lent(1, &format!("entry {ticket}"), ticket);
    }
    let status = world.node(1).group.status();
    assert_eq!(
        (status.last, status.durable),
        (before.last + 3, before.durable)
    );
    assert_eq!(status.in_flight, 3);
    world.node(1).write_one();
    world.node(1).write_one();
    // A driver need not poll to hear of it.
    let landed: Vec<_> = world.node(1).group.landed().collect();
    assert_eq!(
        landed.iter().filter_map(|c| c.ticket).collect::<Vec<_>>(),
        [0, 1]
    );
    let indexes: Vec<_> = landed.iter().map(|commit| commit.index).collect();
    assert_eq!(indexes, [before.last + 1, before.last + 2]);
    let group = &mut world.node(1).group;
    assert!(group.is_quiet(), "the library has nothing to say");
    group.executed(before.last + 2, 1).unwrap();
    let status = group.status();
    assert_eq!(
        (status.durable, status.committed),
        (before.last + 2, before.last + 2)
    );
    assert_eq!(group.has(1), before.last + 2);
    // It is told, and says nothing again.
    world.ticks(2);
    assert_eq!(world.node(1).texts(), ["entry 2"]);
    let status = world.node(1).group.status();
    assert_eq!(
        (status.committed, status.executed),
        (before.last + 3, before.last + 3)
    );
    assert_eq!(status.in_flight, 0);
}

#[test]
fn a_change_comes_behind_what_the_library_was_not_told() {
    let mut world = alone();
    world.add_node(2, 1);
    world.propose_lent(1, "durable", 1);
    world.node(1).write_one();
    world.propose_lent(1, "written", 2);
    let add = Change::AddLearner(member(2));
    let place = world.node(1).group.change(&add, 900).unwrap();
    let status = world.node(1).group.status();
    assert_eq!(place.index, status.last);
    assert_eq!(status.in_flight, 2, "what is under way, and the change");
    world.propose(1, "behind it", 3);
    world.ticks(6);
    let texts = ["durable", "written", "behind it"];
    assert_eq!(world.node(1).texts(), texts);
    assert_eq!(world.node(1).tickets(), [1, 2, 900, 3]);
    assert_eq!(world.node(2).texts(), texts);
}

#[test]
fn bytes_that_come_after_the_library_was_told_are_found() {
    for polls_between in [false, true] {
        let mut world = alone();
        let lent = world.node(1).group.propose_lent(1);
        let add = Change::AddLearner(member(2));
        world.node(1).group.change(&add, 900).unwrap();
        if polls_between {
            world.poll(1);
        }
        world.node(1).group.lend(lent.place, "late".into());
        world.poll(1);
        world.node(1).group.persisted(lent.number);
        world.settle();
        assert_eq!(world.node(1).texts(), ["late"]);
    }
}

#[test]
fn the_log_gives_up_what_the_library_was_not_told() {
    let mut world = alone();
    for ticket in 0..5 {
        world.propose_lent(1, &format!("entry {ticket}"), ticket);
    }
    world.settle();
    world.node(1).save();
    world.propose_lent(1, "behind it", 9);
    world.ticks(2);
    assert_eq!(world.node(1).texts().last().unwrap(), "behind it");
    // Nothing of it is asked for: a peer gets the checkpoint.
    world.add_node(2, 1);
    let add = Change::AddLearner(member(2));
    world.node(1).group.change(&add, 900).unwrap();
    world.ticks(6);
    assert!(world.node(1).wants_checkpoint);
    assert_eq!(world.node(1).fetches, 0);
}

#[test]
fn a_read_is_answered_from_what_is_executed() {
    let mut world = alone();
    world.propose_lent(1, "acknowledged", 1);
    world.settle();
    world.propose_lent(1, "under way", 2);
    world.node(1).group.read(77).unwrap();
    world.poll(1);
    assert_eq!(world.node(1).reads, [77]);
    assert_eq!(world.node(1).texts(), ["acknowledged"]);
}

/// Whatever comes between, entries keep their order and their numbers, each ticket comes back once,
/// and the disk has what was committed.
#[test]
fn whatever_comes_between_entries_keep_their_order() {
    for seed in 0..300 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut world = alone();
        let mut proposed = Vec::new();
        let mut next_learner = 2;
        for ticket in 0..60 {
            let text = format!("entry {ticket}");
            match random.random_range(0..10) {
                0 => world.node(1).group.tick(),
                1 => world.settle(),
                2 => world.poll(1),
                3 => world.node(1).group.read(1000 + ticket).unwrap(),
                4 => {
                    world.propose(1, &text, ticket);
                    proposed.push((text, ticket));
                }
                5 if random.random_bool(0.1) && world.node(1).group.is_sole() => {
                    let add = Change::AddLearner(member(next_learner));
                    if world.node(1).group.change(&add, 900 + next_learner).is_ok() {
                        world.add_node(next_learner, 1);
                        next_learner += 1;
                    }
                }
                _ if world.node(1).group.can_lend() => {
                    world.propose_lent(1, &text, ticket);
                    proposed.push((text, ticket));
                }
                _ => {
                    world.propose(1, &text, ticket);
                    proposed.push((text, ticket));
                }
            }
            for _ in 0..random.random_range(0..3) {
                world.node(1).write_one();
            }
        }
        world.ticks(12);
        let texts: Vec<_> = proposed.iter().map(|(text, _)| text.clone()).collect();
        let node = world.node(1);
        assert_eq!(node.texts(), texts, "seed {seed}");
        let tickets = node.tickets().into_iter().filter(|ticket| *ticket < 900);
        assert!(
            tickets.eq(proposed.iter().map(|(_, ticket)| *ticket)),
            "seed {seed}"
        );
        let indexes: Vec<_> = node.commits.iter().map(|commit| commit.index).collect();
        assert!(indexes.is_sorted_by(|a, b| a + 1 == *b), "seed {seed}");
        for learner in 2..next_learner {
            assert_eq!(world.node(learner).texts(), texts, "seed {seed}");
        }
        world.crash(1);
        world.restart(1);
        world.elect();
        assert_eq!(world.node(1).group.role().role, Role::Leader);
        assert_eq!(world.node(1).texts(), texts, "seed {seed}");
    }
}

/// A directory that was copied while its node was alone, and the group that the node has led since.
#[test]
fn a_leader_that_contradicts_what_the_library_was_not_told_stops_the_node() {
    let mut world = alone();
    for ticket in 0..3 {
        world.propose_lent(1, "executed", ticket);
    }
    world.settle();
    let executed = world.node(1).group.executed_index();
    let mut other = World::later(2, world.node(1).group.role().term);
    while other.node(2).group.status().last < executed {
        other.propose(2, "of others", 1);
        other.settle();
    }
    other.propose(2, "behind it", 1);
    other.poll(2);
    let (_, _, frame) = other.wire.pop_back().unwrap();
    let stop = world.node(1).group.receive(&frame).unwrap_err();
    let index = executed;
    assert!(
        matches!(stop, ReceiveError::Stop(Stop::Contradiction { index: at, .. }) if at == index),
        "{stop:?}"
    );
}

/// What node 2 of another group offers node 1 when that lacks what the log no longer has.
fn offer_of_later_group(term: u64) -> Bytes {
    let mut other = World::later(3, term);
    other.isolate(1);
    for ticket in 0..9 {
        other.propose(2, "of others", ticket);
    }
    other.settle();
    other.node(2).save();
    other.heal();
    let is_offer = |(_, to, frame): &(u64, u64, Bytes)| {
        let kind = decode(frame).unwrap().header.kind();
        *to == 1 && kind == Some(Kind::CheckpointOffer)
    };
    for _ in 0..100 {
        for id in [2, 3] {
            other.node(id).group.tick();
        }
        other.poll_all();
        while !other.wire.is_empty() {
            if let Some((_, _, frame)) = other.wire.iter().find(|sent| is_offer(sent)) {
                return frame.clone();
            }
            other.deliver();
            other.poll_all();
        }
    }
    panic!("no checkpoint was offered");
}

#[test]
fn a_checkpoint_that_ends_the_role_comes_behind_what_the_library_was_not_told() {
    let mut world = alone();
    let offer = offer_of_later_group(world.node(1).group.role().term);
    world.node(1).group.receive(&offer).unwrap();
    assert_eq!(world.node(1).group.role().role, Role::Leader);
    // It is fetched with the next poll, behind the proposal.
    world.propose_lent(1, "under way", 1);
    assert_ne!(world.node(1).group.role().role, Role::Leader);
    world.ticks(1);
    let node = world.node(1);
    assert_eq!(node.unknown, [1]);
    let installed = node.checkpoint.as_ref().unwrap().index;
    assert_eq!(node.group.executed_index(), installed);
}

#[test]
fn the_library_is_waited_for_only_while_what_it_was_told_is_under_way() {
    let mut world = alone();
    world.propose_lent(1, "first", 1);
    assert!(world.node(1).group.can_lend());
    world.propose(1, "told", 2);
    assert!(world.node(1).group.is_sole() && !world.node(1).group.can_lend());
    world.settle();
    assert!(world.node(1).group.can_lend());
}
