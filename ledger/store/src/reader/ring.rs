//! The reads themselves: up to 64 at a time through a ring of this reader's own.
//!
//! What it guarantees: memory handed to the kernel belongs to the [`ReadRing`], is used for one
//! read at a time, and outlives every read.

use std::os::fd::{AsRawFd, BorrowedFd};

use giro_base::Region;
use io_uring::{IoUring, opcode, types};
use rustix::io::Errno;

use crate::page::{PAGE_BYTES, Page};

/// Reads under way at most.
pub(super) const DEPTH: usize = 64;
/// Pages one read fetches at most.
pub(super) const EXTENT_PAGES: usize = 16;

/// A ring and the memory its reads go to.
pub(super) struct ReadRing {
    // First: dropping it waits, see `Drop`.
    uring: IoUring,
    memory: Region<Page>,
    free: Vec<usize>,
    in_flight: usize,
}

/// A finished read.
pub(super) struct Finished {
    /// Where it went.
    pub(super) slot: usize,
    /// What the caller called it.
    pub(super) token: u32,
    /// Bytes, or the system's error.
    pub(super) result: std::io::Result<usize>,
}

impl ReadRing {
    /// # Errors
    /// The system's when it has no such rings, or no memory.
    pub(super) fn new() -> std::io::Result<Self> {
        let mut memory = Region::new(DEPTH * EXTENT_PAGES)?;
        memory.set_len(DEPTH * EXTENT_PAGES);
        Ok(Self {
            uring: IoUring::new(DEPTH as u32)?,
            memory,
            free: (0..DEPTH).collect(),
            in_flight: 0,
        })
    }

    /// Reads under way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Queues a read of `pages` pages from `page` on; false when 64 are under way.
    pub(super) fn push(&mut self, file: BorrowedFd<'_>, page: u64, pages: u32, token: u32) -> bool {
        assert!((1..=EXTENT_PAGES as u32).contains(&pages));
        let Some(slot) = self.free.pop() else {
            return false;
        };
        let start = self.memory[slot * EXTENT_PAGES..].as_mut_ptr();
        let bytes = pages * PAGE_BYTES as u32;
        let entry = opcode::Read::new(types::Fd(file.as_raw_fd()), start.cast(), bytes)
            .offset(page * PAGE_BYTES as u64)
            .build()
            .user_data((slot as u64) << 32 | u64::from(token));
        // SAFETY: the slot's memory holds so many pages, is this read's alone until `next` gives
        // the slot back, and is not freed before (see `Drop`).
        let pushed = unsafe { self.uring.submission().push(&entry) };
        assert!(pushed.is_ok(), "the queue has a place for each slot");
        self.in_flight += 1;
        true
    }

    /// Starts what is queued and waits for at least one read to finish.
    ///
    /// # Errors
    /// The system's that do not pass.
    pub(super) fn wait(&mut self) -> std::io::Result<()> {
        match self.uring.submit_and_wait(1) {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::INTR | Errno::BUSY | Errno::AGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// The next finished read. Its memory is to be looked at before the slot is given back with
    /// [`release`](Self::release).
    pub(super) fn next(&mut self) -> Option<Finished> {
        let entry = self.uring.completion().next()?;
        self.in_flight -= 1;
        let result = match usize::try_from(entry.result()) {
            Ok(count) => Ok(count),
            Err(_) => Err(std::io::Error::from_raw_os_error(-entry.result())),
        };
        Some(Finished {
            slot: (entry.user_data() >> 32) as usize,
            token: entry.user_data() as u32,
            result,
        })
    }

    /// What a finished read brought.
    pub(super) fn pages(&self, slot: usize) -> &[Page] {
        &self.memory[slot * EXTENT_PAGES..][..EXTENT_PAGES]
    }

    /// Lets the slot be used again.
    pub(super) fn release(&mut self, slot: usize) {
        self.free.push(slot);
    }
}

impl Drop for ReadRing {
    /// The kernel may write to the memory until the last read has finished.
    fn drop(&mut self) {
        while self.in_flight > 0 {
            if self.wait().is_err() {
                // Nobody knows when the reads end, so their memory stays.
                let stays = Region::new(0).map(|empty| std::mem::replace(&mut self.memory, empty));
                std::mem::forget(stays);
                return;
            }
            while self.next().is_some() {}
        }
    }
}
