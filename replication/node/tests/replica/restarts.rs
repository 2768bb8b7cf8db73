//! What a directory has is enough to go on.

use giro::Engine;
use giro_base::Operation;
use giro_replication::{Change, Members};

use crate::support::{Cluster, Node, engine_options, member, own};

#[test]
fn all_nodes_restart_at_once_and_have_everything() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    for _ in 0..10 {
        cluster.pay(2);
    }
    for _ in 0..3 {
        for id in 1..=3 {
            cluster.node(id).kill();
        }
        for id in 1..=3 {
            cluster.node(id).start().unwrap();
            assert_eq!(
                cluster.paid(id),
                0,
                "without a checkpoint nothing is executed yet"
            );
        }
        cluster.elect();
        cluster.pay(1);
        cluster.agree();
    }
    assert_eq!(cluster.paid(2), 23);
}

#[test]
fn a_request_that_was_answered_is_known_after_a_failover_and_a_restart() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    cluster.pay(3);
    for id in 1..=3 {
        cluster.node(id).kill();
        cluster.node(id).start().unwrap();
    }
    let leader = cluster.elect();
    let last = cluster.request;
    let engine = cluster.node(leader).replica().engine();
    let reply = engine.last_reply(crate::support::CLIENT).unwrap();
    assert_eq!(reply.request, last);
}

#[test]
fn nodes_restart_from_a_checkpoint_in_the_middle_of_an_entry() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    let leader = cluster.elect();
    let submit = |cluster: &mut Cluster, count| {
        let body = cluster.transfers(count);
        let engine = cluster.node(leader).replica().engine_mut();
        engine.submit_copy(
            1,
            &own(Operation::CreateTransfersUnbatched, 1, &body),
            &body,
        );
    };
    // Entries of several ops. The first op of the last one completes a generation of 64 rows.
    for _ in 0..12 {
        submit(&mut cluster, 30);
        submit(&mut cluster, 40);
        cluster.settle();
    }
    submit(&mut cluster, 100);
    submit(&mut cluster, 20);
    cluster.settle();
    let paid = 12 * 70 + 120;
    for id in 1..=3 {
        cluster.agree();
        let last = cluster.node(id).replica().positions().executed;
        cluster.wait_for_checkpoint(id, last);
        assert_eq!(cluster.paid(id), paid);
    }
    let entries = cluster.node(leader).replica().executed_index();
    for id in 1..=3 {
        cluster.node(id).kill();
        cluster.node(id).start().unwrap();
        let replica = cluster.node(id).replica();
        assert_eq!(replica.executed_index(), entries - 1);
        let rows = replica.engine().machine().tables().window.end_row();
        assert_eq!(u128::from(rows), paid - 20);
    }
    cluster.elect();
    cluster.agree();
    assert_eq!(cluster.paid(leader), paid);
    cluster.pay(1);
    cluster.agree();
}

#[test]
fn the_log_is_released_behind_checkpoints_and_old_entries_are_read_from_segments() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    let leader = cluster.leader().unwrap();
    let behind = (1..=3).find(|id| *id != leader).unwrap();
    for id in 1..=3 {
        cluster.node(id).options.kept_bytes = 1 << 20;
        cluster.node(id).kill();
        cluster.node(id).start().unwrap();
    }
    cluster.elect();
    cluster.agree();
    cluster.node(behind).kill();
    // More than the window keeps in memory, less than the log keeps.
    for _ in 0..40 {
        cluster.pay(10);
    }
    cluster.node(behind).start().unwrap();
    (0..60).for_each(|_| cluster.tick());
    cluster.agree();
    assert_eq!(cluster.paid(behind), 400);
    // Enough for several segments.
    for _ in 0..900 {
        cluster.pay(60);
        while cluster
            .nodes
            .values()
            .any(|node| node.up.as_ref().unwrap().is_stalled())
        {
            std::thread::sleep(std::time::Duration::from_millis(1));
            cluster.settle();
        }
    }
    let leader = cluster.leader().unwrap();
    assert!(cluster.node(leader).replica().first_entry() > 1);
    cluster.agree();
    let paid = cluster.paid(leader);
    for id in 1..=3 {
        cluster.node(id).kill();
        cluster.node(id).start().unwrap();
    }
    cluster.elect();
    cluster.agree();
    assert_eq!(cluster.paid(leader), paid);
}

#[test]
fn entries_that_no_majority_had_are_overwritten() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    cluster.pay(1);
    let old = cluster.leader().unwrap();
    cluster.cut.push(old);
    for count in 1..4 {
        let body = cluster.transfers(count);
        let engine = cluster.node(old).replica().engine_mut();
        engine.submit_copy(
            1,
            &own(Operation::CreateTransfersUnbatched, 1, &body),
            &body,
        );
        cluster.settle();
    }
    let last = cluster.node(old).replica().status().last;
    cluster.elect();
    cluster.pay(2);
    cluster.node(old).kill();
    cluster.node(old).start().unwrap();
    assert_eq!(cluster.node(old).replica().status().last, last);
    cluster.cut.clear();
    cluster.agree();
    assert_eq!(cluster.paid(old), 3);
    // The overwritten records are still in the log, and are void.
    cluster.node(old).kill();
    cluster.node(old).start().unwrap();
    cluster.agree();
    assert_eq!(cluster.paid(old), 3);
}

#[test]
fn a_vote_survives_a_restart() {
    let mut cluster = Cluster::new(3);
    let leader = cluster.elect();
    let terms: Vec<u64> = (1..=3)
        .map(|id| cluster.node(id).replica().role().term)
        .collect();
    for id in (1..=3).filter(|id| *id != leader) {
        cluster.node(id).kill();
        cluster.node(id).start().unwrap();
        let role = cluster.node(id).replica().role();
        assert_eq!(role.term, terms[id as usize - 1]);
    }
}

#[test]
fn a_ledger_alone_becomes_a_group_of_one_and_grows() {
    let dir = tempfile::tempdir().unwrap();
    let storage: std::sync::Arc<dyn giro_log::storage::Storage> =
        std::sync::Arc::new(giro_log::storage::RealStorage);
    let identity = crate::support::identity();
    giro_log::directory::format_on(&storage, dir.path(), &identity).unwrap();
    lone_life(&storage, dir.path());
    let members = Members::of_voters(vec![member(1)]);
    let mut cluster = Cluster::of([(1, Node::in_dir(dir, 1, &members))].into());
    cluster.node(1).start().unwrap();
    cluster.elect();
    cluster.agree();
    assert_eq!(cluster.paid(1), 10);
    cluster.session = 1;
    cluster.request = 6;
    cluster.transfers(1000);
    cluster.pay(4);
    // It gets two followers.
    for id in 2..=3 {
        let mut node = Node::new(id, &members);
        node.start().unwrap();
        cluster.nodes.insert(id, node);
        let add = Change::AddLearner(member(id));
        cluster.node(1).replica().change(&add).unwrap();
        (0..20).for_each(|_| cluster.tick());
        cluster
            .node(1)
            .replica()
            .change(&Change::Promote(id))
            .unwrap();
        (0..20).for_each(|_| cluster.tick());
    }
    assert_eq!(cluster.node(3).replica().members().voters, [1, 2, 3]);
    cluster.agree();
    assert_eq!(cluster.paid(3), 14);
    cluster.node(1).kill();
    cluster.elect();
    assert_eq!(cluster.paid(2), 14);
    cluster.pay(1);
}

/// A session, two accounts and ten transfers, by an engine that knows of no group.
fn lone_life(storage: &std::sync::Arc<dyn giro_log::storage::Storage>, dir: &std::path::Path) {
    let mut engine = Engine::open_on(storage, dir, &engine_options(), &mut |_| {}).unwrap();
    let mut disk = crate::support::HeldDisk::default();
    let mut cluster = Cluster::of([].into());
    let accounts = [1_u128, 2].map(|id| giro_base::Account {
        id,
        ledger: 1,
        code: 1,
        ..giro_base::Account::default()
    });
    let accounts = zerocopy::IntoBytes::as_bytes(&accounts).to_vec();
    let mut bodies = vec![
        (Operation::Register, Vec::new()),
        (Operation::CreateAccountsUnbatched, accounts),
    ];
    for _ in 0..5 {
        let body = cluster.transfers(2);
        bodies.push((Operation::CreateTransfersUnbatched, body));
    }
    for (request, (operation, body)) in (0..).zip(bodies) {
        let meta = giro::RequestMeta {
            client: crate::support::CLIENT,
            session: u64::from(request > 0),
            request,
            request_checksum: u128::from(request) + 1000,
            checksum_body: giro_base::checksum(&body),
            operation,
            release: 1,
        };
        assert_eq!(engine.check(&meta), giro::Verdict::Accept);
        engine.submit_copy(1, &meta, &body);
        engine.flush(&mut disk).unwrap();
        while let Some(write) = disk.complete() {
            engine.on_write(write.index, Ok(write.bytes)).unwrap();
        }
        while engine.execute(&mut |_| {}).unwrap() {}
    }
}

#[test]
fn a_members_directory_is_not_opened_as_a_ledger_alone() {
    let mut cluster = Cluster::new(1);
    cluster.begin();
    cluster.node(1).kill();
    let storage: std::sync::Arc<dyn giro_log::storage::Storage> =
        std::sync::Arc::new(giro_log::storage::RealStorage);
    let dir = cluster.node(1).path().to_owned();
    let opened = Engine::open_on(&storage, &dir, &engine_options(), &mut |_| {});
    assert!(matches!(opened, Err(giro::Error::Grouped)));
}
