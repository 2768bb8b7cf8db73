//! What a node starts with.

use bytes::Bytes;
use giro_replication::{
    Change, Checkpoint, Content, Entry, EntryKind, Group, Hard, Replay, Start, StartError,
};

use crate::support::{Record, World, member, members, options, payload};

fn hard(term: u64, commit: u64) -> Hard {
    let vote = 0;
    Hard { term, vote, commit }
}

fn entry(index: u64, term: u64) -> Entry {
    Entry {
        index,
        term,
        kind: EntryKind::Ops,
        payload: payload(&format!("{index} of {term}")),
    }
}

fn record(index: u64, entry_term: u64, term: u64) -> Record {
    (hard(term, 0), Content::Entry(entry(index, entry_term)))
}

fn replay(records: &[Record]) -> Result<Replay, StartError> {
    let mut replay = Replay::default();
    for (hard, content) in records {
        replay.record(*hard, content.clone())?;
    }
    Ok(replay)
}

fn start(records: &[Record]) -> Result<Start, StartError> {
    replay(records)?.start(members(3), None)
}

fn checkpoint(index: u64, term: u64) -> Checkpoint {
    Checkpoint {
        index,
        term,
        members: members(3),
        manifest: Bytes::new(),
    }
}

fn indexes_and_terms(start: &Start) -> Vec<(u64, u64)> {
    start.entries.iter().map(|e| (e.index, e.term)).collect()
}

#[test]
fn an_empty_log_is_a_new_group() {
    let found = start(&[]).unwrap();
    assert_eq!((found.hard, found.last, found.first), (hard(0, 0), 0, 1));
    assert!(Group::new(options(1), found).is_ok());
}

#[test]
fn a_vote_survives_a_restart() {
    let vote = Hard {
        term: 4,
        vote: 2,
        commit: 0,
    };
    let found = start(&[(vote, Content::State)]).unwrap();
    assert_eq!(found.hard, vote);
    let other = Hard { vote: 3, ..vote };
    let twice = start(&[(vote, Content::State), (other, Content::State)]);
    assert!(twice.is_err(), "nobody votes twice in a term");
}

#[test]
fn a_torn_tail_was_never_acknowledged() {
    // Node 2 crashes with an entry on its way to the disk: the leader must not have counted it.
    let mut world = World::new(3);
    world.elect_node(1);
    world.isolate(3);
    world.node(2).is_stalled = true;
    world.propose(1, "x", 1);
    world.settle();
    world.crash(2);
    assert!(world.node(1).texts().is_empty());
    world.restart(2);
    world.node(2).is_stalled = false;
    world.ticks(10);
    assert_eq!(world.node(1).texts(), ["x"]);
}

#[test]
fn an_overwritten_entry_is_void_and_all_above_it() {
    let records = [
        record(1, 1, 1),
        record(2, 3, 3),
        record(3, 3, 3),
        // The leader of term 4 has an entry of term 2 there: the entry's term falls, the
        // record's does not.
        record(2, 2, 4),
        record(3, 4, 4),
    ];
    let found = start(&records).unwrap();
    assert_eq!(indexes_and_terms(&found), [(1, 1), (2, 2), (3, 4)]);
    assert_eq!(found.terms, [(0, 0), (1, 1), (2, 2), (3, 4)]);
}

#[test]
fn an_overwriting_that_was_cut_short_goes_on() {
    let records = [record(1, 1, 1), record(2, 2, 2), record(3, 2, 2)];
    let mut cut = records.to_vec();
    cut.push(record(2, 3, 3));
    let found = start(&cut).unwrap();
    assert_eq!(indexes_and_terms(&found), [(1, 1), (2, 3)]);
    assert!(Group::new(options(1), found).is_ok());
}

#[test]
fn a_commit_below_the_checkpoint_is_raised() {
    let records = [record(1, 1, 1), record(2, 1, 1), record(3, 1, 1)];
    let found = replay(&records).unwrap();
    let found = found.start(members(3), Some(checkpoint(2, 1))).unwrap();
    assert_eq!((found.hard.commit, found.applied), (0, 2));
    let group = Group::new(options(1), found).unwrap();
    assert_eq!(group.status().committed, 2);
}

#[test]
fn a_commit_above_the_log_is_refused() {
    let records = [
        (hard(1, 1), Content::Entry(entry(1, 1))),
        (hard(1, 7), Content::State),
    ];
    let (commit, last) = (7, 1);
    assert_eq!(
        start(&records).unwrap_err(),
        StartError::CommitAboveLog { commit, last }
    );
}

#[test]
fn no_record_counts_more_as_committed_than_the_log_has() {
    // A follower gets entries 1 to 5 and their commit in one append; a crash lets only the first
    // of the five records be durable. That is no damage.
    let mut world = World::new(3);
    world.elect_node(1);
    world.isolate(3);
    for ticket in 0..5 {
        world.propose(1, "x", ticket);
        world.settle();
    }
    world.heal();
    world.node(3).is_stalled = true;
    world.ticks(3);
    let writes: Vec<_> = world.node(3).unwritten.iter().cloned().collect();
    let mut count = 0;
    for write in &writes {
        for (hard, content) in write.records() {
            if let Content::Entry(entry) = content {
                assert!(hard.commit <= entry.index);
                count += 1;
            }
        }
    }
    assert!(count >= 5);
}

#[test]
fn membership_comes_from_the_checkpoint() {
    let mut world = World::new(3);
    world.elect_node(1);
    let add = Change::AddLearner(member(4));
    world.node(1).group.change(&add, 1).unwrap();
    world.ticks(3);
    let node = world.node(1);
    let with_learner = node.group.members().clone();
    let index = node.group.executed_index();
    let of_checkpoint = Checkpoint {
        members: with_learner.clone(),
        ..checkpoint(index, node.entry(index).unwrap().term)
    };
    let disk = node.disk.clone();
    let from_checkpoint = replay(&disk).unwrap();
    let found = from_checkpoint.start(members(3), Some(of_checkpoint));
    assert_eq!(found.unwrap().members, with_learner);
    // Without one the change is handed out again.
    world.crash(1);
    world.restart(1);
    assert_eq!(world.node(1).group.members().learners, [0; 0]);
    world.ticks(40);
    assert_eq!(world.node(1).group.members().learners, [4]);
}

#[test]
fn the_checkpoint_that_the_log_goes_on_from_must_be_there() {
    let records = [
        record(1, 1, 1),
        record(2, 1, 1),
        (hard(3, 20), Content::Installed { index: 20, term: 2 }),
        record(21, 3, 3),
    ];
    let missing = replay(&records).unwrap().start(members(3), None);
    assert!(matches!(missing, Err(StartError::Inconsistent(_))));
    let found = replay(&records).unwrap();
    let found = found.start(members(3), Some(checkpoint(20, 2))).unwrap();
    assert_eq!(indexes_and_terms(&found), [(21, 3)]);
    assert_eq!(found.terms, [(20, 2), (21, 3)]);
    let other = replay(&records).unwrap();
    let other = other.start(members(3), Some(checkpoint(20, 1)));
    assert!(matches!(other, Err(StartError::Inconsistent(_))));
}

#[test]
fn records_that_do_not_fit_together_are_damage() {
    let refused = |records: &[Record]| {
        let found = replay(records).map(drop).unwrap_err();
        assert!(matches!(found, StartError::Inconsistent(_)), "{found}");
    };
    refused(&[record(1, 1, 1), record(3, 1, 1)]);
    refused(&[record(1, 1, 2), record(2, 1, 1)]);
    refused(&[record(1, 3, 2)]);
    refused(&[(hard(1, 1), Content::Entry(entry(1, 1))), record(1, 1, 2)]);
}
