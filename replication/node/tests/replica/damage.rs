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
