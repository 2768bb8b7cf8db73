//! Removed files give their blocks back little by little.
//!
//! A removed file's blocks are free when whoever has it open last closes it. A file system that
//! tells the disk which blocks are free (ext4 and others with `discard`) does so for 64 MiB at
//! once, and a disk may do nothing else until it is done: 12 to 15 ms for 64 MiB were measured, in
//! which no write of the log finished. So a thread takes such files and makes them shorter step by
//! step, with pauses for the writes of others, before it closes them.
//!
//! What it guarantees: a file is only made shorter when it has no name any more and nobody else
//! has it open, in this process or another one; who still reads it reads it whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};

/// Bytes given back at once: 0.4 ms, on the disk that was measured.
const STEP: u64 = 2 << 20;
/// Longest pause after a step. It is as long as the step took: others get half of the disk.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Whether closing this file takes the disk some time, when nobody else has it open.
fn is_worth_it(file: &File) -> bool {
    let found = file.metadata();
    found.is_ok_and(|found| found.nlink() == 0 && found.len() > STEP)
}

/// Called before a file is closed: one that was removed is closed by the thread instead. Where that
/// can't be, closing it gives all blocks back at once.
pub(super) fn before_close(file: &File) {
    if is_worth_it(file)
        && let Ok(kept) = file.try_clone()
        && let Some(closer) = closer()
    {
        // The thread never ends.
        let _ = closer.send(kept);
    }
}

/// The thread, one of the process: a disk should not get the steps of several files at once.
fn closer() -> Option<&'static Sender<File>> {
    static CLOSER: OnceLock<Option<Sender<File>>> = OnceLock::new();
    let start = || {
        let (files, files_in) = unbounded();
        let run = move || files_in.iter().for_each(close);
        let thread = thread::Builder::new().name("giro-closer".to_owned());
        thread.spawn(run).ok().map(|_| files)
    };
    CLOSER.get_or_init(start).as_ref()
}

fn close(file: File) {
    let shortened = only_one_open(file).and_then(|file| file.as_ref().map_or(Ok(()), shorten));
    if let Err(error) = shortened {
        // Nothing is lost: closing it gave back what was left.
        tracing::debug!("a removed file gave all its blocks back at once: {error}");
    }
}

/// The file opened for writing, unless somebody else has it open.
fn only_one_open(file: File) -> io::Result<Option<File>> {
    let again = format!("/proc/self/fd/{}", file.as_raw_fd());
    let writable = OpenOptions::new().write(true).open(again)?;
    drop(file);
    Ok(is_open_once(&writable).then_some(writable))
}

fn shorten(file: &File) -> io::Result<()> {
    for bytes in lengths(file.metadata()?.len()) {
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

    #[test]
    fn a_removed_file_is_only_shortened_where_nobody_else_has_it_open() {
        let (file, reader) = removed(3 * STEP + 7);
        let alone = only_one_open(file.try_clone().unwrap()).unwrap();
        assert!(alone.is_none(), "two others have it open");
        drop(file);
        assert!(
            only_one_open(reader.try_clone().unwrap())
                .unwrap()
                .is_none()
        );
        // Open for reading only until now.
        let file = only_one_open(reader).unwrap().unwrap();
        shorten(&file).unwrap();
        assert_eq!(file.metadata().unwrap().len(), STEP);
    }

    #[test]
    fn who_still_has_a_removed_file_open_reads_it_whole() {
        let (file, mut reader) = removed(3 * STEP);
        close(file);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, 3 * STEP);
    }
}
