//! Peers that lag: entries from disk, and checkpoints.

use giro_replication::Content;

use crate::support::World;

/// A group whose node 3 missed many entries.
fn lagging() -> World {
    let mut world = World::new(3);
    world.elect_node(1);
    world.isolate(3);
    for ticket in 0..60 {
        world.propose(1, &format!("{ticket}: {}", "x".repeat(200)), ticket);
        world.settle();
    }
    world
}

#[test]
fn old_entries_are_read_back_for_a_peer_that_lags() {
    let mut world = lagging();
    world.heal();
    world.ticks(10);
    assert!(world.node(1).fetches > 0, "the window is small");
    let texts = world.node(1).texts();
    assert_eq!(texts.len(), 60);
    assert_eq!(world.node(3).texts(), texts);
}

#[test]
fn a_fetch_that_comes_after_the_role_was_lost_is_ignored() {
    let mut world = lagging();
    world.node(1).group.fetched(12_345, &[]);
    world.heal();
    world.ticks(10);
    assert_eq!(world.node(3).texts().len(), 60);
}

/// The same, and the log no longer has what node 3 needs.
fn compacted() -> World {
    let mut world = lagging();
    for id in 1..=2 {
        let node = world.node(id);
        let index = node.group.executed_index() - 5;
        let checkpoint = node.checkpoint_at(index, b"where it is");
        node.checkpoint = Some(checkpoint.clone());
        node.group.set_checkpoint(checkpoint);
        node.group.compact(index + 1);
    }
    world
}

#[test]
fn a_peer_that_lags_too_far_gets_the_checkpoint() {
    let mut world = compacted();
    world.heal();
    world.ticks(10);
    let node = world.node(3);
    assert_eq!(node.texts().len(), 5);
    let installed = |content: &Content| matches!(content, Content::Installed { .. });
    assert!(node.disk.iter().any(|(_, content)| installed(content)));
    world.propose(1, "behind it", 99);
    world.ticks(2);
    assert_eq!(world.node(3).texts().last().unwrap(), "behind it");
}

#[test]
fn an_installed_checkpoint_voids_the_log() {
    let mut world = compacted();
    world.heal();
    world.ticks(10);
    let executed = world.node(3).group.executed_index();
    world.crash(3);
    world.restart(3);
    world.ticks(10);
    assert_eq!(world.node(3).group.executed_index(), executed);
    world.propose(1, "behind it", 99);
    world.ticks(2);
    assert_eq!(world.node(3).texts().last().unwrap(), "behind it");
}

#[test]
fn a_checkpoint_whose_transfer_failed_is_offered_again() {
    let mut world = compacted();
    world.heal();
    // The offer is lost on the way, and the leader is told so.
    world.cut.push((1, 3));
    world.ticks(4);
    world.node(1).group.checkpoint_sent(3, false);
    world.heal();
    world.ticks(30);
    assert_eq!(
        world.node(3).group.executed_index(),
        world.node(1).group.executed_index()
    );
}

#[test]
fn a_peer_whose_connection_broke_is_probed_again() {
    let mut world = World::new(3);
    world.elect_node(1);
    // More appends are lost than may be on their way.
    world.isolate(3);
    for ticket in 0..100 {
        world.propose(1, "x", ticket);
        world.settle();
    }
    world.node(1).group.unreachable(3);
    world.heal();
    world.ticks(5);
    assert_eq!(world.node(3).texts().len(), 100);
}

#[test]
fn a_node_that_installs_a_checkpoint_does_not_campaign() {
    let mut world = compacted();
    world.heal();
    world.node(3).is_stalled = true;
    world.ticks(10);
    let is_installing = |node: &crate::support::Node| {
        let mut writes = node.unwritten.iter();
        writes.any(|write| write.install.is_some())
    };
    assert!(is_installing(world.node(3)));
    // Alone, it would campaign, and the library would miss the entries that are gone.
    world.isolate(3);
    world.ticks(60);
    world.heal();
    world.node(3).is_stalled = false;
    world.ticks(30);
    assert_eq!(
        world.node(3).group.executed_index(),
        world.node(1).group.executed_index()
    );
}

#[test]
fn a_checkpoint_must_know_the_node_it_is_offered_to() {
    let mut world = compacted();
    world.crash(3);
    world.add_node(4, 3);
    let learner = giro_replication::Change::AddLearner(crate::support::member(4));
    world.node(1).group.change(&learner, 1).unwrap();
    world.ticks(6);
    // The checkpoint is older than the learner; it waits, and is not promoted meanwhile.
    assert_eq!(world.node(4).group.executed_index(), 0);
    let refused = world
        .node(1)
        .group
        .change(&giro_replication::Change::Promote(4), 2);
    assert!(matches!(
        refused,
        Err(giro_replication::ChangeRefused::Lagging { id: 4, .. })
    ));
    let node = world.node(1);
    assert!(node.wants_checkpoint);
    let index = node.group.executed_index();
    let checkpoint = node.checkpoint_at(index, b"");
    node.group.set_checkpoint(checkpoint);
    world.ticks(10);
    assert_eq!(world.node(4).group.executed_index(), index);
}
