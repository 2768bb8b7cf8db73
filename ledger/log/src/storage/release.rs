//! Removed files give their blocks back little by little.
//!
//! A removed file's blocks are free when whoever has it open last closes it. A file system that
//! tells the disk which blocks are free may do so for 64 MiB at once (`discard`, as ext4 does
//! without a journal; with one it tells later, as it sees fit), and a disk may do nothing else
//! until it is done: 12 to 15 ms for 64 MiB were measured, in which no write of the log finished.
//! So a thread takes such files and makes them shorter step by step, with pauses for the writes of
//! others, before it closes them.
//!
//! What it guarantees: a file is only made shorter when it has no name any more and nobody else
//! has it open, in this process or another one; who still reads it reads it whole.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use rustix::fs::fstatvfs;

/// Bytes given back at once: 0.4 ms, on the disk that was measured.
const STEP: u64 = 2 << 20;
/// Longest pause after a step. It is as long as the step took: others get half of the disk.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// On a disk with less room all blocks are given back at once.
const ROOM_MIN: u64 = 1 << 30;
/// When a file that somebody else has open is looked at once more: kernels before 6.4 let go of one
/// that was registered with a ring a second late.
const AGAIN: Duration = Duration::from_secs(2);
/// How far the thread steps back, of 19 at most.
const NICE: i32 = 10;

/// Whether closing this file takes the disk some time, when nobody else has it open.
fn is_worth_it(file: &File) -> bool {
    let found = file.metadata();
    found.is_ok_and(|found| found.nlink() == 0 && found.len() > STEP)
}

/// Closes a file. One that was removed is left to the thread; where that can't be, closing it gives
/// all blocks back at once.
pub(super) fn close(file: File) {
    if is_worth_it(&file)
        && let Some(closer) = closer()
    {
        // The thread never ends.
        let _ = closer.send(file);
    }
}

/// The thread, one of the process: a disk should not get the steps of several files at once.
fn closer() -> Option<&'static Sender<File>> {
    static CLOSER: OnceLock<Option<Sender<File>>> = OnceLock::new();
    let start = || {
        let (files, files_in) = unbounded();
        let thread = thread::Builder::new().name("giro-closer".to_owned());
        thread.spawn(move || run(&files_in)).ok().map(|_| files)
    };
    CLOSER.get_or_init(start).as_ref()
}

fn run(files: &Receiver<File>) {
    // Whoever made it may be more or less urgent.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut later = VecDeque::new();
    loop {
        let due = later.front().map(|(due, _)| *due);
        let received = match due {
            Some(due) => files.recv_deadline(due),
            None => files.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let (file, is_last_try) = match (received, later.pop_front()) {
            (Ok(file), first) => {
                first.into_iter().for_each(|first| later.push_front(first));
                (file, false)
            }
            (Err(RecvTimeoutError::Timeout), Some((_, file))) => (file, true),
            (Err(_), _) => return,
        };
        match only_one_open(file) {
            Ok(Alone::Yes(file)) => drop(shorten(&file)),
            Ok(Alone::No(file)) if !is_last_try => later.push_back((Instant::now() + AGAIN, file)),
            // Closing it gives back all there is, if nobody else has it open.
            Ok(Alone::No(_)) | Err(_) => {}
        }
    }
}

/// A file opened for writing.
enum Alone {
    /// Nobody else has it open.
    Yes(File),
    No(File),
}

fn only_one_open(file: File) -> io::Result<Alone> {
    let again = format!("/proc/self/fd/{}", file.as_raw_fd());
    let writable = OpenOptions::new().write(true).open(again)?;
    drop(file);
    Ok(if is_open_once(&writable) {
        Alone::Yes(writable)
    } else {
        Alone::No(writable)
    })
}

fn shorten(file: &File) -> io::Result<()> {
    for bytes in lengths(file.metadata()?.len()) {
        let room = fstatvfs(file)?;
        if room.f_bavail.saturating_mul(room.f_frsize) < ROOM_MIN {
            // Somebody may wait for these blocks.
            break;
        }
        let start = Instant::now();
        file.set_len(bytes)?;
        thread::sleep(start.elapsed().min(PAUSE_MAX));
    }
    Ok(())
}

/// What a file of so many bytes is shortened to, step by step. Closing it does the last one.
fn lengths(bytes: u64) -> impl Iterator<Item = u64> {
    let steps = bytes.div_ceil(STEP);
    (1..steps).rev().map(|step| step * STEP)
}

/// Whether this descriptor is the only one of its file: then alone the kernel grants a lease.
fn is_open_once(file: &File) -> bool {
    let lease = |kind: libc::c_int| {
        // SAFETY: the descriptor is open as long as the file is borrowed; no memory is involved.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) == 0 }
    };
    // The file has no name, so nobody can open it before the lease is given back.
    lease(libc::F_WRLCK) && lease(libc::F_UNLCK)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn removed(bytes: u64) -> (File, File) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::create(&path).unwrap();
        file.set_len(bytes).unwrap();
        let reader = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        (file, reader)
    }

    #[test]
    fn a_file_gets_shorter_step_by_step() {
        let all = |bytes| lengths(bytes).collect::<Vec<_>>();
        assert_eq!(all(3 * STEP + 1), [3 * STEP, 2 * STEP, STEP]);
        assert_eq!(all(3 * STEP), [2 * STEP, STEP]);
        assert!(all(STEP).is_empty() && all(0).is_empty());
    }

    #[test]
    fn only_large_files_without_a_name_are_worth_it() {
        let (large, _reader) = removed(STEP + 1);
        let (small, _reader) = removed(STEP);
        assert!(is_worth_it(&large) && !is_worth_it(&small));
        let dir = tempfile::tempdir().unwrap();
        let named = File::create(dir.path().join("named")).unwrap();
        named.set_len(STEP + 1).unwrap();
        assert!(!is_worth_it(&named));
    }

    fn alone(file: File) -> Option<File> {
        match only_one_open(file).unwrap() {
            Alone::Yes(file) => Some(file),
            Alone::No(_) => None,
        }
    }

    #[test]
    fn a_removed_file_is_only_shortened_where_nobody_else_has_it_open() {
        let (file, reader) = removed(3 * STEP + 7);
        let again = file.try_clone().unwrap();
        assert!(alone(again).is_none(), "two others have it open");
        drop(file);
        assert!(alone(reader.try_clone().unwrap()).is_none());
        // Open for reading only until now.
        let file = alone(reader).unwrap();
        shorten(&file).unwrap();
        let room = fstatvfs(&file).unwrap();
        let is_roomy = room.f_bavail * room.f_frsize > 2 * ROOM_MIN;
        assert!(!is_roomy || file.metadata().unwrap().len() == STEP);
    }

    #[test]
    fn who_still_has_a_removed_file_open_reads_it_whole() {
        let (file, mut reader) = removed(3 * STEP);
        close(file);
        thread::sleep(AGAIN + Duration::from_millis(500));
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, 3 * STEP);
    }
}
