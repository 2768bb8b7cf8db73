//! Damage is found before anything is done with it.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use giro_log::segment_path;
use giro_node::NodeError;

use crate::support::Cluster;

#[test]
fn a_damaged_durable_record_stops_the_start() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    for _ in 0..30 {
        cluster.pay(1);
    }
    cluster.node(2).kill();
    let path = segment_path(&cluster.node(2).path().join("log"), 1);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 4096 * 5 + 300).unwrap();
    file.write_all_at(&[!byte[0]], 4096 * 5 + 300).unwrap();
    let opened = cluster.node(2).start();
    assert!(matches!(opened, Err(NodeError::Log(_))));
    // The others go on.
    cluster.elect();
    cluster.pay(1);
}

#[test]
fn a_node_that_lost_its_log_is_found_out() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    cluster.pay(1);
    let leader = cluster.leader().unwrap();
    let other = (1..=3).find(|id| *id != leader).unwrap();
    let node = cluster.node(other);
    node.kill();
    let log = node.path().join("log");
    std::fs::remove_dir_all(&log).unwrap();
    assert!(matches!(
        node.start(),
        Err(NodeError::Engine(_) | NodeError::Log(_))
    ));
}

#[test]
fn a_write_that_fails_ends_the_node() {
    let mut cluster = Cluster::new(1);
    cluster.begin();
    cluster.node(1).is_slow = true;
    let body = cluster.transfers(1);
    cluster.submit(1, giro_base::Operation::CreateTransfersUnbatched, &body);
    let node = cluster.node(1);
    let replica = node.up.as_mut().unwrap();
    replica.flush(&mut node.disk).unwrap();
    let (write, _, _) = node.disk.held.pop_front().unwrap();
    let failed = replica.on_write(write.index, Err(std::io::ErrorKind::StorageFull.into()));
    assert!(matches!(failed, Err(NodeError::Log(_))));
}

/// A group whose leader has one entry's record damaged, which a node that was away needs.
fn damaged_below_the_window() -> (Cluster, u64, u64) {
    let mut cluster = Cluster::new(3);
    for id in 1..=3 {
        cluster.node(id).options.kept_bytes = 1 << 20;
        cluster.node(id).kill();
        cluster.node(id).start().unwrap();
    }
    cluster.begin();
    let leader = cluster.elect();
    let behind = (1..=3).find(|id| *id != leader).unwrap();
    cluster.agree();
    cluster.node(behind).kill();
    // More than the window keeps in memory, less than the log keeps.
    for _ in 0..40 {
        cluster.pay(10);
    }
    let path = segment_path(&cluster.node(leader).path().join("log"), 1);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let at = 4096 * 12 + 300;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
    (cluster, leader, behind)
}

#[test]
fn a_leader_that_cannot_read_its_log_back_ends_and_another_one_serves() {
    let (mut cluster, leader, behind) = damaged_below_the_window();
    cluster.node(behind).start().unwrap();
    let ended = (0..100).find_map(|_| cluster.try_tick().err());
    let ended = ended.expect("it meets the damage");
    assert!(ended.must_leave(), "{ended}");
    assert!(ended.to_string().contains("damaged"), "{ended}");
    cluster.node(leader).kill();
    let next = cluster.elect();
    assert!(next != leader && next != behind);
    cluster.agree();
    assert_eq!(cluster.paid(behind), 400);
    // And it stays away.
    let again = cluster.node(leader).start().unwrap_err();
    assert!(again.must_leave(), "{again}");
}
