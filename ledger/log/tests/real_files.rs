//! The log on the system's files and ring, as the server uses it.

mod support;

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use giro_base::{Buffer, BufferPool};
use giro_log::disk::SLOT_COUNT;
use giro_log::storage::{Access, RealStorage, Storage};
use giro_log::uring::Ring;
use giro_log::{
    DirLock, IN_FLIGHT_MAX, Log, LogOptions, MemoryDisk, Recovery, UringDisk, format, read_identity,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use support::*;

/// A log with its ring and the buffers in flight.
struct Writer {
    /// Dropped first: it waits for the writes that need the buffers.
    ring: Ring,
    log: Log,
    pool: BufferPool,
    in_flight: VecDeque<(u64, Buffer)>,
}

impl Writer {
    fn new(log: Log, registered: bool) -> Self {
        let pool = BufferPool::new(IN_FLIGHT_MAX as u32).unwrap();
        let mut ring = Ring::new(32).unwrap();
        ring.register_files_sparse(SLOT_COUNT).unwrap();
        if registered {
            ring.register_pool(&pool);
        }
        Self {
            ring,
            log,
            pool,
            in_flight: VecDeque::new(),
        }
    }

    fn append(&mut self, bodies: &Bodies) {
        let start = Instant::now();
        while !self.log.can_append() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{:?}",
                self.log.obstacle()
            );
            self.turn();
        }
        let mut buffer = self.pool.take().unwrap();
        let record = fill(&mut buffer, bodies);
        // SAFETY: the buffer is kept in `in_flight` until its completion was taken.
        let mut disk = unsafe { UringDisk::new(&mut self.ring, 0) };
        let index = self.log.append(&mut buffer, record, &mut disk).unwrap();
        self.in_flight.push_back((index, buffer));
    }

    fn turn(&mut self) {
        let want = usize::from(!self.in_flight.is_empty());
        self.ring
            .submit_and_wait(want, Some(Duration::from_millis(10)))
            .unwrap();
        while let Some(completion) = self.ring.next_completion() {
            let index = UringDisk::index_of(completion.token);
            self.log.on_write(index, completion.count()).unwrap();
            self.in_flight.retain(|(other, _)| *other != index);
        }
    }

    fn drain(&mut self) {
        while self.log.positions().durable < self.log.positions().appended {
            self.turn();
        }
    }
}

fn open(dir: &Path) -> (Vec<Bodies>, Log) {
    let identity = read_identity(dir).unwrap();
    let mut recovery = Recovery::open(dir, &identity, &LogOptions::default()).unwrap();
    let mut buffer = buffer();
    let mut records = Vec::new();
    while recovery.next(&mut buffer).unwrap().is_some() {
        records.push(
            giro_log::ops(&buffer)
                .map(|(_, body)| buffer[body].to_vec())
                .collect(),
        );
    }
    (records, recovery.finish().unwrap())
}

#[test]
fn records_written_by_the_ring_come_back_over_restarts() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    format(dir.path(), &IDENTITY).unwrap();
    let _lock = DirLock::take(dir.path()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut truth: Vec<Bodies> = Vec::new();
    for restart in 0..4 {
        let (found, log) = open(dir.path());
        assert!(found == truth, "restart {restart}");
        let mut writer = Writer::new(log, restart % 2 == 0);
        for _ in 0..60 {
            truth.push(random_bodies(&mut rng));
            writer.append(truth.last().unwrap());
        }
        writer.drain();
    }
    assert!(open(dir.path()).0 == truth);
}

#[test]
fn released_segments_are_used_again() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    format(dir.path(), &IDENTITY).unwrap();
    let mut writer = Writer::new(open(dir.path()).1, true);
    for count in 0..40 {
        writer.append(&vec![vec![count; body_bytes(257)]]);
        writer.drain();
        let durable = writer.log.positions().durable;
        writer.log.advance_committed(durable);
        writer.log.advance_executed(durable);
        writer.log.advance_checkpointed(durable);
        writer.log.release(durable);
    }
    drop(writer);
    let segments = std::fs::read_dir(dir.path().join("log")).unwrap().count();
    assert!(
        segments < 10,
        "{segments} segments for a log that needs one"
    );
    let identity = read_identity(dir.path()).unwrap();
    let options = LogOptions {
        first_index: 41,
        ..LogOptions::default()
    };
    let mut recovery = Recovery::open(dir.path(), &identity, &options).unwrap();
    assert!(recovery.next(&mut buffer()).unwrap().is_none());
    assert_eq!(recovery.finish().unwrap().positions().appended, 40);
}

#[test]
fn a_long_log_gives_its_room_back_when_it_is_released() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    format(dir.path(), &IDENTITY).unwrap();
    let mut writer = Writer::new(open(dir.path()).1, true);
    for count in 0..40 {
        writer.append(&vec![vec![count; body_bytes(257)]]);
        writer.drain();
    }
    let segments = || std::fs::read_dir(dir.path().join("log")).unwrap().count();
    assert!(segments() >= 40);
    let durable = writer.log.positions().durable;
    writer.log.advance_committed(durable);
    writer.log.advance_executed(durable);
    writer.log.advance_checkpointed(durable);
    writer.log.release(durable);
    // The current one, four spares, two that wait to be used again.
    wait_for(|| segments() <= 7);
    drop(writer);
    let identity = read_identity(dir.path()).unwrap();
    let options = LogOptions {
        first_index: 41,
        ..LogOptions::default()
    };
    let mut recovery = Recovery::open(dir.path(), &identity, &options).unwrap();
    assert!(recovery.next(&mut buffer()).unwrap().is_none());
}

#[test]
fn a_full_disk_passes_by_itself() {
    let model = formatted();
    let mut recovery = recovery(&model, 1).unwrap();
    assert!(recovery.next(&mut buffer()).unwrap().is_none());
    model.set_free(Some(0));
    let mut log = recovery.finish().unwrap();
    let mut disk = model::ModelDisk::new(&model);
    append(&mut log, &mut disk, &vec![vec![1; body_bytes(200)]]).unwrap();
    wait_for(|| log.obstacle().is_some());
    assert!(!log.can_append());
    model.set_free(None);
    wait_for(|| log.can_append());
    assert!(log.obstacle().is_none());
    append(&mut log, &mut disk, &vec![vec![1; body_bytes(200)]]).unwrap();
}

fn wait_for(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "it did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_log_in_memory_is_done_at_once() {
    let mut log = Log::in_memory(1);
    let mut disk = MemoryDisk::default();
    for count in 1..=200 {
        assert!(log.can_append());
        let index = append(&mut log, &mut disk, &vec![vec![1; body_bytes(257)]]).unwrap();
        let write = disk.next_done().unwrap();
        assert_eq!((index, write.index), (count, count));
        assert_eq!(log.on_write(index, Ok(write.bytes)).unwrap(), count);
    }
}

/// Pages of a segment that stay in the page cache are invalidated at each direct write there,
/// which the ring hands to a thread of the kernel: one small write took twice its time.
#[test]
fn recovery_leaves_the_current_segment_out_of_the_page_cache() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let identity = giro_log::Identity {
        segment_bytes: 64 << 20,
        ..IDENTITY
    };
    format(dir.path(), &identity).unwrap();
    let _lock = DirLock::take(dir.path()).unwrap();
    let segment = dir.path().join("log/0000000000000001.log");
    // As recovery reads it, and more.
    std::fs::read(&segment).unwrap();
    let before = cached_bytes(&segment);
    let (_, _log) = open(dir.path());
    let after = cached_bytes(&segment);
    // The kernel may still be reading a little ahead.
    assert!(before > 32 << 20, "{before} bytes were cached");
    assert!(
        after < 1 << 20,
        "{after} of {before} bytes are cached still"
    );
}

/// Bytes of a file in the page cache, by the system's `fincore`.
fn cached_bytes(path: &Path) -> u64 {
    let output = std::process::Command::new("fincore")
        .args(["--bytes", "--noheadings", "--output", "RES"])
        .arg(path)
        .output()
        .expect("fincore is part of util-linux");
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap_or(0)
}

#[test]
fn closing_a_large_file_that_was_removed_is_left_to_a_thread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large");
    std::fs::write(&path, vec![7; 5 << 20]).unwrap();
    let reader = RealStorage.open(&path, Access::Read).unwrap();
    let removed = RealStorage.remove(&path).unwrap();
    assert!(!path.exists());
    RealStorage.sync_dir(dir.path()).unwrap();
    drop(removed);
    // Somebody else reads it: it stays whole until that is done.
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(reader.bytes().unwrap(), 5 << 20);
    drop(reader);
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let name = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm"));
    let mut names = threads.filter_map(|thread| name(thread).ok());
    assert!(names.any(|name| name.trim() == "giro-closer"));
    let until = Instant::now() + Duration::from_secs(20);
    while is_open(&path) {
        assert!(Instant::now() < until, "nobody closes it");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether this process has a removed file of that name open.
fn is_open(path: &Path) -> bool {
    let deleted = format!("{} (deleted)", path.display());
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mut targets = open.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    targets.any(|target| target.to_str() == Some(&deleted))
}
