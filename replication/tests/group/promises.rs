//! What leaves, and behind what.

use bytes::Bytes;
use giro_replication::{
    CommitContent, Content, EntryKind, ReceiveError, Refusal, Stop, codec::decode,
};

use crate::support::{World, payload};

#[test]
fn payloads_are_never_copied() {
    let mut world = World::new(1);
    world.elect_node(1);
    let wanted = payload("where does it lie");
    let address = wanted.bytes.as_ptr();
    world.node(1).group.propose(wanted, 1).unwrap();
    world.settle();
    let node = world.node(1);
    let CommitContent::Ops(executed) = &node.commits.last().unwrap().content else {
        panic!("the last entry has ops");
    };
    assert_eq!(executed.bytes.as_ptr(), address);
    let Content::Entry(written) = &node.disk.last().unwrap().1 else {
        panic!("the last record has an entry");
    };
    assert_eq!(written.payload.bytes.as_ptr(), address);
}

#[test]
fn an_answer_waits_for_the_vote_to_be_durable() {
    let mut world = World::new(3);
    world.node(2).is_stalled = true;
    world.node(3).is_stalled = true;
    world.isolate(3);
    for _ in 0..14 {
        world.node(1).group.tick();
        world.settle();
    }
    // Node 1 asks for node 2's vote; the answer is held back.
    let voted = world.node(2).unwritten.back().map(|write| write.hard.vote);
    assert_eq!(voted, Some(1));
    assert_eq!(world.leader(), None);
    // Lost with the crash: it may vote again, and the vote counts once.
    world.crash(2);
    world.restart(2);
    assert!(world.node(2).disk.is_empty());
    world.node(2).is_stalled = false;
    assert_eq!(world.elect(), 1);
}

#[test]
fn an_acknowledgement_waits_for_the_entry_to_be_durable() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.node(2).is_stalled = true;
    world.node(3).is_stalled = true;
    world.propose(1, "x", 1);
    world.settle();
    assert!(world.node(1).texts().is_empty(), "only the leader has it");
    world.node(3).is_stalled = false;
    world.settle();
    assert_eq!(world.node(1).texts(), ["x"]);
    assert!(world.node(2).texts().is_empty());
}

#[test]
fn a_leader_counts_itself_only_when_its_write_is_durable() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.node(1).is_stalled = true;
    world.isolate(3);
    world.propose(1, "x", 1);
    world.settle();
    assert!(
        world.node(2).entry(2).is_some(),
        "the leader's frame did not wait"
    );
    assert!(world.node(1).texts().is_empty());
    world.node(1).is_stalled = false;
    world.settle();
    assert_eq!(world.node(1).texts(), ["x"]);
}

#[test]
fn an_entry_waits_for_the_slowest_disk_that_executes_it() {
    // Both followers have it, so it is committed; this node executes it when it has it, too.
    let mut world = World::new(3);
    world.elect_node(1);
    world.node(1).is_stalled = true;
    world.propose(1, "x", 1);
    world.settle();
    assert_eq!(world.node(1).group.status().committed, 2);
    assert!(world.node(1).texts().is_empty());
    world.node(1).is_stalled = false;
    world.settle();
    assert_eq!(world.node(1).texts(), ["x"]);
}

#[test]
fn what_was_in_flight_when_the_role_was_lost_is_unknown() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.isolate(1);
    world.propose(1, "x", 41);
    world.propose(1, "y", 42);
    world.node(1).group.read(43).unwrap();
    world.ticks(40);
    assert_eq!(world.node(1).unknown, [41, 42]);
    assert_eq!(world.node(1).refused_reads, [43]);
    let leader = world.leader().unwrap();
    assert_ne!(leader, 1);
    world.propose(leader, "z", 44);
    world.heal();
    world.ticks(10);
    for id in 1..=3 {
        assert_eq!(world.node(id).texts(), ["z"], "node {id}");
    }
    assert!(
        world.node(1).tickets().is_empty(),
        "nothing is answered twice"
    );
}

#[test]
fn an_unknown_outcome_may_be_a_success() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.propose(1, "x", 41);
    world.poll(1);
    // The entry leaves, its acknowledgements never arrive.
    world.cut = vec![(2, 1), (3, 1)];
    world.ticks(40);
    assert_eq!(world.node(1).unknown, [41]);
    world.heal();
    world.ticks(20);
    for id in 1..=3 {
        assert_eq!(world.node(id).texts(), ["x"], "node {id}");
    }
}

#[test]
fn an_entry_without_ops_counts() {
    let mut world = World::new(3);
    let leader = world.elect();
    world.propose(leader, "", 1);
    world.settle();
    let node = world.node(leader);
    let last = node.commits.last().unwrap();
    assert!(matches!(&last.content, CommitContent::Ops(payload) if payload.bytes.is_empty()));
    assert!(matches!(node.commits[0].content, CommitContent::Empty));
    let kinds: Vec<_> = (1..=2)
        .map(|index| node.entry(index).unwrap().kind)
        .collect();
    assert_eq!(kinds, [EntryKind::Empty, EntryKind::Ops]);
}

/// A frame that node 1 sends to node 2.
fn frame(world: &mut World) -> Bytes {
    world.elect_node(1);
    world.propose(1, "x", 1);
    world.poll(1);
    let found = world.wire.iter().find(|(_, to, _)| *to == 2);
    found.unwrap().2.clone()
}

/// The frame with a field changed and its checksum made right.
fn with(frame: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut changed = frame.to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    let sum = giro_base::checksum(&changed[16..192]);
    changed[..16].copy_from_slice(&sum.to_le_bytes());
    changed.into()
}

#[test]
fn strangers_are_refused_with_the_reason() {
    let mut world = World::new(3);
    let frame = frame(&mut world);
    let group = &mut world.node(2).group;
    let mut refusal = |at, bytes: &[u8]| match group.receive(&with(&frame, at, bytes)) {
        Err(ReceiveError::Refused(refusal)) => refusal,
        taken => panic!("{taken:?}"),
    };
    let from = 1;
    assert_eq!(refusal(32, &[6]), Refusal::OtherCluster { from, found: 6 });
    assert_eq!(refusal(176, &[6]), Refusal::OtherOrigin { from });
    assert_eq!(refusal(54, &[1, 0]), Refusal::OtherGroup { from, found: 1 });
    assert_eq!(refusal(64, &[3]), Refusal::NotForUs { from, to: 3 });
    assert_eq!(refusal(56, &[2]), Refusal::Ourselves);
    let expected = 1001;
    assert_eq!(
        refusal(72, &[0, 0]),
        Refusal::ReusedId {
            from,
            found: 0,
            expected
        }
    );
    let version = refusal(52, &[9]).to_string();
    assert!(version.contains("version 9"), "{version}");
    assert_eq!(group.receive(&frame), Ok(()));
}

#[test]
fn a_node_that_lost_records_stops() {
    let mut world = World::new(3);
    world.elect_node(1);
    for ticket in 0..5 {
        world.propose(1, "x", ticket);
    }
    world.settle();
    world.crash(2);
    // The disk forgets what was acknowledged: not a crash, a broken promise.
    world.node(2).disk.truncate(3);
    world.restart(2);
    world.ticks(4);
    let (node, stop) = world.stops.first().expect("it stops").clone();
    assert_eq!(node, 2);
    assert!(
        matches!(stop, Stop::LostRecords { leader: 1, committed, last } if committed > last),
        "{stop}"
    );
    world.propose(1, "y", 9);
    world.settle();
    assert_eq!(
        world.node(1).texts().last().unwrap(),
        "y",
        "the group goes on"
    );
}

#[test]
fn a_contradicted_commit_stops_the_node() {
    let mut world = World::new(3);
    let append = frame(&mut world);
    let came = decode(&append).unwrap();
    assert_eq!(came.header.index, 1);
    world.settle();
    world.ticks(3);
    // The same append, of a later term: what lies before it was of another term there.
    let mut other = with(&append, 80, &50u64.to_le_bytes());
    other = with(&other, 88, &1u64.to_le_bytes());
    let stop = world.node(2).group.receive(&other);
    let Err(ReceiveError::Stop(Stop::Contradiction { leader, index, .. })) = stop else {
        panic!("{stop:?}");
    };
    assert_eq!((leader, index), (1, 1));
}

#[test]
fn a_state_that_differs_stops_its_node() {
    let mut world = World::new(3);
    world.elect_node(1);
    world.node(3).digest = 1 << 90;
    for ticket in 0..20 {
        world.propose(1, "x", ticket);
        world.settle();
    }
    world.ticks(4);
    let (node, stop) = world.stops.first().expect("it stops").clone();
    assert_eq!((node, world.stops.len()), (3, 1));
    assert!(
        matches!(&stop, Stop::Diverged(diverged) if diverged.index == 16),
        "{stop}"
    );
}

#[test]
#[should_panic(expected = "write 99 is under way")]
fn a_write_that_was_never_asked_for_cannot_be_durable() {
    World::new(1).node(1).group.persisted(99);
}
