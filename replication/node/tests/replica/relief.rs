//! A leader whose disk fills up, or does not write.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use giro_base::Operation;
use giro_log::storage::{Access, RealStorage, Removed, Storage, StorageFile};
use giro_replication::NodeId;

use crate::support::Cluster;

/// A disk on which no file can be made while it is full.
#[derive(Default)]
struct Disk {
    is_full: AtomicBool,
}

impl Storage for Disk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealStorage.create_dir(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        RealStorage.create(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        RealStorage.open(path, access)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealStorage.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealStorage.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<Removed> {
        RealStorage.remove(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        RealStorage.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealStorage.sync_dir(dir)
    }
}

/// A group on disks that can be full, with or without a history beside the log.
fn group(archive: bool) -> (Cluster, Vec<Arc<Disk>>) {
    let mut cluster = Cluster::new(3);
    let mut disks = Vec::new();
    for node in cluster.nodes.values_mut() {
        let disk = Arc::new(Disk::default());
        node.kill();
        node.storage = disk.clone();
        node.options.engine.archive = archive;
        node.start().unwrap();
        disks.push(disk);
    }
    (cluster, disks)
}

/// Pays until a request is not answered, and gives that one's body.
fn fill(cluster: &mut Cluster, leader: NodeId, paid: &mut u128) -> Vec<u8> {
    for _ in 0..300 {
        let body = cluster.transfers(800);
        if !cluster
            .node(leader)
            .replica()
            .engine()
            .can_submit(body.len())
        {
            return body;
        }
        let request = cluster.submit(leader, Operation::CreateTransfersUnbatched, &body);
        cluster.settle();
        let replies = &cluster.nodes[&leader].replies;
        if replies.iter().all(|reply| reply.1 != request) {
            // The client does not know, and will send it again.
            cluster.request -= 1;
            return body;
        }
        *paid += 800;
    }
    panic!("there is always room");
}

/// Ticks in real time, since segments are made and histories written in it, until `done`.
fn until(cluster: &mut Cluster, what: &str, mut done: impl FnMut(&mut Cluster) -> bool) {
    for _ in 0..1000 {
        if done(cluster) {
            return;
        }
        cluster.tick();
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it never comes to this: {what}");
}

fn gives_way(archive: bool) {
    let (mut cluster, disks) = group(archive);
    cluster.begin();
    let full = cluster.elect();
    let disk = &disks[full as usize - 1];
    disk.is_full.store(true, Ordering::Relaxed);
    let mut paid = 0;
    let body = fill(&mut cluster, full, &mut paid);
    until(&mut cluster, "another one leads", |cluster| {
        cluster.leader().is_some_and(|leader| leader != full)
    });
    cluster.request(Operation::CreateTransfersUnbatched, &body);
    paid += 800;
    for _ in 0..5 {
        cluster.pay(800);
        paid += 800;
    }
    let leader = cluster.elect();
    assert_ne!(leader, full);
    assert_eq!(cluster.paid(leader), paid);
    disk.is_full.store(false, Ordering::Relaxed);
    until(&mut cluster, "it catches up", |cluster| {
        cluster.paid(full) == paid
    });
    cluster.agree();
}

#[test]
fn a_leader_whose_log_has_no_room_gives_way() {
    gives_way(false);
}

#[test]
fn a_leader_whose_history_has_no_room_gives_way() {
    gives_way(true);
}

#[test]
fn a_group_whose_disks_are_all_full_goes_on_when_there_is_room() {
    let (mut cluster, disks) = group(false);
    cluster.begin();
    let full = cluster.elect();
    let set_full = |is_full| {
        for disk in &disks {
            disk.is_full.store(is_full, Ordering::Relaxed);
        }
    };
    set_full(true);
    let mut paid = 0;
    let body = fill(&mut cluster, full, &mut paid);
    // Whoever is asked to lead cannot: that needs a write.
    for _ in 0..300 {
        cluster.tick();
    }
    set_full(false);
    until(&mut cluster, "somebody serves", |cluster| {
        let Some(leader) = cluster.leader() else {
            return false;
        };
        cluster.settle();
        let replica = cluster.node(leader).replica();
        !replica.engine().has_groups() && replica.engine().can_submit(body.len())
    });
    let leader = cluster.elect();
    // What was not answered may have happened since.
    if cluster.paid(leader) == paid {
        cluster.request(Operation::CreateTransfersUnbatched, &body);
    } else {
        cluster.request += 1;
    }
    cluster.pay(800);
    assert_eq!(cluster.paid(leader), paid + 1600);
    cluster.agree();
}

#[test]
fn a_leader_whose_disk_does_not_write_gives_way() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    cluster.pay(10);
    let stalled = cluster.elect();
    cluster.node(stalled).is_slow = true;
    let body = cluster.transfers(10);
    cluster.submit(stalled, Operation::CreateTransfersUnbatched, &body);
    until(&mut cluster, "another one leads", |cluster| {
        cluster.leader().is_some_and(|leader| leader != stalled)
    });
    // The others had it, so it counts. The client does not know, and pays on.
    cluster.pay(10);
    let leader = cluster.elect();
    assert_ne!(leader, stalled);
    assert_eq!(cluster.paid(leader), 30);
    cluster.node(stalled).is_slow = false;
    until(&mut cluster, "it catches up", |cluster| {
        cluster.paid(stalled) == 30
    });
    cluster.agree();
}

#[test]
fn a_group_whose_disks_all_stand_still_goes_on_when_they_write() {
    let mut cluster = Cluster::new(3);
    cluster.begin();
    let leader = cluster.elect();
    for node in cluster.nodes.values_mut() {
        node.is_slow = true;
    }
    let body = cluster.transfers(10);
    cluster.submit(leader, Operation::CreateTransfersUnbatched, &body);
    for _ in 0..300 {
        cluster.tick();
        assert_eq!(cluster.paid(leader), 0, "nobody has it on a disk");
    }
    for node in cluster.nodes.values_mut() {
        node.is_slow = false;
    }
    cluster.agree();
    // All of them had it in mind, and wrote it in the end.
    cluster.pay(10);
    let leader = cluster.elect();
    assert_eq!(cluster.paid(leader), 20);
}
