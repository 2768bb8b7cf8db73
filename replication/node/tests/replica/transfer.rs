//! Checkpoints from one directory to another, as drivers do it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use giro_log::storage::{Access, RealStorage, Removed, Storage, StorageFile};
use giro_node::transfer::{Fetched, Fetcher, Pinned, TransferError};
use giro_node::{MemberFiles, Owner, Replica, copy_member};
use giro_replication::NodeId;

use crate::support::Cluster;

/// As fast as it goes.
const PACE: u64 = u64::MAX;

/// A group of which one node was away until the others' logs gave up what it lacks. It is back, and
/// was offered a checkpoint.
struct Lagging {
    cluster: Cluster,
    leader: NodeId,
    behind: NodeId,
    pinned: Pinned,
    fetcher: Fetcher,
    /// What was paid in all.
    paid: u128,
}

impl Lagging {
    fn new() -> Self {
        let mut cluster = Cluster::new(3);
        cluster.begin();
        let leader = cluster.leader().unwrap();
        let behind = (1..=3).find(|id| *id != leader).unwrap();
        cluster.pay(3);
        cluster.node(behind).kill();
        while cluster.node(leader).replica().first_entry() < 100 {
            cluster.pay(60);
            while cluster.node(leader).replica().is_stalled() {
                std::thread::sleep(std::time::Duration::from_millis(1));
                cluster.settle();
            }
        }
        let paid = cluster.paid(leader);
        cluster.node(behind).start().unwrap();
        let (pinned, fetcher) = offered(&mut cluster, leader, behind);
        Self {
            cluster,
            leader,
            behind,
            pinned,
            fetcher,
            paid,
        }
    }

    /// The rest of the way, once the checkpoint is there.
    fn goes_on(mut self) {
        let (behind, leader) = (self.behind, self.leader);
        self.cluster.node(behind).start().unwrap();
        let index = self.fetcher.index();
        let at = self.cluster.node(behind).replica().executed_index();
        assert_eq!(at, index, "it begins at the checkpoint");
        self.cluster.pay(5);
        self.cluster.agree();
        assert_eq!(self.cluster.paid(behind), self.paid + 5);
        // Without the leader the other two go on, from its directory alone.
        self.cluster.node(leader).kill();
        self.cluster.elect();
        self.cluster.pay(70);
        self.cluster.agree();
        self.cluster.node(behind).kill();
        self.cluster.node(behind).start().unwrap();
        self.cluster.agree();
        assert_eq!(self.cluster.paid(behind), self.paid + 75);
        let left = std::fs::read_dir(self.cluster.node(behind).path()).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = left.filter(|name| name != "history").collect();
        let rest = |name: &&String| name.starts_with("incoming") || name.starts_with("history");
        assert_eq!(left.iter().find(rest), None, "nothing is left over");
    }

    /// Fetched, and the record that says so is durable: the node is to be opened again.
    fn install(&mut self) {
        let index = self.fetcher.index();
        let behind = self.behind;
        self.cluster
            .node(behind)
            .replica()
            .checkpoint_fetched(index, true);
        self.cluster.settle();
        assert!(self.cluster.node(behind).replica().is_superseded());
        self.cluster
            .node(self.leader)
            .replica()
            .checkpoint_sent(behind, true);
        self.cluster.node(behind).kill();
    }
}

/// Ticks until the leader offers a checkpoint and the other one wants it.
fn offered(cluster: &mut Cluster, leader: NodeId, behind: NodeId) -> (Pinned, Fetcher) {
    for _ in 0..200 {
        cluster.tick();
        let installs = cluster.node(behind).replica().installs();
        let Some(install) = installs.into_iter().next() else {
            continue;
        };
        assert_eq!(install.from, leader);
        let offers = cluster.node(leader).replica().offers();
        assert_eq!(offers, [(behind, install.checkpoint.index)]);
        let replica = cluster.node(leader).replica();
        let pinned = replica.pin_checkpoint(install.checkpoint.index).unwrap();
        if pinned.check().is_err() {
            // A newer one became durable meanwhile: that is offered next.
            replica.checkpoint_sent(behind, false);
            let index = install.checkpoint.index;
            cluster
                .node(behind)
                .replica()
                .checkpoint_fetched(index, false);
            std::thread::sleep(std::time::Duration::from_millis(5));
            continue;
        }
        let fetcher = cluster.node(behind).replica().fetcher(&install.checkpoint);
        return (pinned, fetcher);
    }
    panic!("no checkpoint is offered");
}

/// The receiver's end of a connection with faults.
struct Faulty {
    stream: UnixStream,
    received: u64,
    /// A bit of this byte is flipped.
    flips: Option<u64>,
    /// It breaks behind so many bytes.
    breaks: Option<u64>,
}

impl Read for Faulty {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.breaks.is_some_and(|end| self.received >= end) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let count = self.stream.read(bytes)?;
        if let Some(at) = self.flips
            && (self.received..self.received + count as u64).contains(&at)
        {
            bytes[(at - self.received) as usize] ^= 1;
        }
        self.received += count as u64;
        Ok(count)
    }
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A transfer over a connection that flips a bit, or breaks.
fn transfer(
    pinned: &Pinned,
    fetcher: &Fetcher,
    flips: Option<u64>,
    breaks: Option<u64>,
) -> Result<Fetched, TransferError> {
    let (mut one, other) = UnixStream::pair().unwrap();
    let pinned = pinned.clone();
    let sender = std::thread::spawn(move || pinned.send(&mut one, PACE));
    let mut stream = Faulty {
        stream: other,
        received: 0,
        flips,
        breaks,
    };
    let fetched = fetcher.fetch(&mut stream, &mut |_| true);
    drop(stream);
    let sent = sender.join().unwrap();
    assert_eq!(sent.is_ok(), fetched.is_ok(), "{sent:?} {fetched:?}");
    fetched
}

#[test]
fn a_node_that_was_away_for_long_comes_back_through_a_checkpoint() {
    let mut lagging = Lagging::new();
    let fetched = transfer(&lagging.pinned, &lagging.fetcher, None, None).unwrap();
    assert_eq!(fetched.received, fetched.bytes_total);
    lagging.install();
    lagging.goes_on();
}

#[test]
fn a_transfer_that_breaks_or_is_damaged_goes_on_where_it_was() {
    let mut lagging = Lagging::new();
    let (pinned, fetcher) = (&lagging.pinned, &lagging.fetcher);
    for (byte, step) in [(3, "the header"), (70, "the listing")] {
        let failed = transfer(pinned, fetcher, Some(byte), None).unwrap_err();
        assert!(matches!(failed, TransferError::Bad(_)), "{step}: {failed}");
    }
    let failed = transfer(pinned, fetcher, Some(700_000), None).unwrap_err();
    assert!(matches!(failed, TransferError::Page { .. }), "{failed}");
    let failed = transfer(pinned, fetcher, None, Some(2_000_000)).unwrap_err();
    assert!(matches!(failed, TransferError::Link { .. }), "{failed}");
    let stopped = {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let pinned = pinned.clone();
        let sender = std::thread::spawn(move || pinned.send(&mut one, PACE));
        let stopped = fetcher.fetch(&mut other, &mut |_| false).unwrap_err();
        drop(other);
        sender.join().unwrap().unwrap_err();
        stopped
    };
    assert!(matches!(stopped, TransferError::Stopped), "{stopped}");
    let fetched = transfer(pinned, fetcher, None, None).unwrap();
    assert!(fetched.received < fetched.bytes_total, "{fetched:?}");
    assert_eq!(fetched.bytes, fetched.bytes_total);
    // Once more: all of it is there.
    assert_eq!(transfer(pinned, fetcher, None, None).unwrap().received, 0);
    lagging.install();
    lagging.goes_on();
}

#[test]
fn files_fetched_for_an_older_checkpoint_are_not_sent_again() {
    let mut lagging = Lagging::new();
    let first = transfer(&lagging.pinned, &lagging.fetcher, None, None).unwrap();
    let (leader, behind) = (lagging.leader, lagging.behind);
    let index = lagging.fetcher.index();
    // It is given up here, and a newer one is offered.
    lagging
        .cluster
        .node(behind)
        .replica()
        .checkpoint_fetched(index, false);
    lagging
        .cluster
        .node(leader)
        .replica()
        .checkpoint_sent(behind, false);
    let needed = lagging
        .cluster
        .node(leader)
        .replica()
        .engine()
        .needed_record();
    lagging.cluster.pay(64);
    lagging.cluster.pay(64);
    lagging.cluster.wait_for_checkpoint(leader, needed + 1);
    lagging.paid += 128;
    (lagging.pinned, lagging.fetcher) = offered(&mut lagging.cluster, leader, behind);
    assert!(lagging.fetcher.index() > index);
    let second = transfer(&lagging.pinned, &lagging.fetcher, None, None).unwrap();
    assert!(second.received < first.received / 2, "{first:?} {second:?}");
    let place = format!("incoming-{:016x}", lagging.fetcher.index());
    let place = lagging.cluster.node(behind).path().join(place);
    assert!(
        has_second_names(&place),
        "copying takes longer than a sender waits"
    );
    lagging.install();
    lagging.goes_on();
}

#[test]
fn a_checkpoint_that_is_not_the_newest_any_more_is_refused() {
    let mut lagging = Lagging::new();
    let leader = lagging.leader;
    let other = lagging.fetcher.index() - 1;
    let wrong = lagging.cluster.node(leader).replica().pin_checkpoint(other);
    let failed = transfer(&wrong.unwrap(), &lagging.fetcher, None, None).unwrap_err();
    assert!(matches!(failed, TransferError::Refused(_)), "{failed}");
}

/// The system's storage, until so many changes were made.
struct Stopping {
    left: AtomicUsize,
}

impl Stopping {
    fn step(&self) -> io::Result<()> {
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        left.map(drop).map_err(|_| io::Error::other("stopped here"))
    }
}

impl Storage for Stopping {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealStorage.create_dir(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        self.step()?;
        RealStorage.create(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        RealStorage.open(path, access)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealStorage.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        RealStorage.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<Removed> {
        self.step()?;
        RealStorage.remove(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.step()?;
        RealStorage.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.step()?;
        RealStorage.sync_dir(dir)
    }
}

/// Whether some file below it has another name, too.
fn has_second_names(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            has_second_names(&entry.path())
        } else {
            std::os::unix::fs::MetadataExt::nlink(&entry.metadata().unwrap()) > 1
        }
    })
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_start_that_is_stopped_at_any_step_of_putting_it_in_place_is_gone_on_with() {
    let mut lagging = Lagging::new();
    transfer(&lagging.pinned, &lagging.fetcher, None, None).unwrap();
    let dir = lagging.cluster.node(lagging.behind).path().to_owned();
    let before = tempfile::tempdir().unwrap();
    copy_tree(&dir, before.path());
    lagging.install();
    let options = lagging.cluster.node(lagging.behind).options.clone();
    let real: Arc<dyn Storage> = Arc::new(RealStorage);
    let index = lagging.fetcher.index();
    // Fetched, but the log does not say so: it is not used, and stays for the next attempt.
    let unsaid = Replica::open_on(&real, before.path(), &options, &mut |_| {}).unwrap();
    assert!(unsaid.executed_index() < index);
    let incoming = before.path().join(format!("incoming-{index:016x}"));
    assert!(incoming.exists());
    drop(unsaid);
    let mut steps = 0;
    loop {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(&dir, copy.path());
        let stopping: Arc<dyn Storage> = Arc::new(Stopping {
            left: AtomicUsize::new(steps),
        });
        let opened = Replica::open_on(&stopping, copy.path(), &options, &mut |_| {});
        let is_through = opened.is_ok();
        drop(opened);
        // Whoever only looks finds it, wherever it is.
        let files = MemberFiles::read(&real, copy.path(), &options, Owner::Stopped, &mut |_| {});
        let files = files.unwrap();
        assert_eq!(
            files.standing().applied,
            index,
            "stopped behind step {steps}"
        );
        let to = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let dirs = (copy.path(), to.path());
        let copied = copy_member(&real, dirs, &options, None, &mut |_| {}).unwrap();
        let found = files.verify(None, &mut |_| {}).unwrap();
        assert_eq!(copied.copied.digest, found.engine.digest());
        assert!(found.history.is_some_and(|history| history.rows > 0));
        let again = Replica::open_on(&real, copy.path(), &options, &mut |_| {}).unwrap();
        assert_eq!(again.executed_index(), index, "stopped behind step {steps}");
        if is_through {
            break;
        }
        steps += 1;
    }
    assert!(steps > 10, "{steps} steps");
    lagging.goes_on();
}

#[test]
fn a_checkpoint_that_the_log_goes_on_from_and_that_is_gone_is_damage() {
    let mut lagging = Lagging::new();
    transfer(&lagging.pinned, &lagging.fetcher, None, None).unwrap();
    lagging.install();
    let behind = lagging.behind;
    let index = lagging.fetcher.index();
    let dir = lagging.cluster.node(behind).path().to_owned();
    std::fs::remove_dir_all(dir.join(format!("incoming-{index:016x}"))).unwrap();
    let refused = lagging
        .cluster
        .node(behind)
        .start()
        .unwrap_err()
        .to_string();
    assert!(refused.contains("is missing"), "{refused}");
}
