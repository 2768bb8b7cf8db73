//! The writes themselves: through a ring of this writer's own.
//!
//! What it guarantees: memory handed to the kernel belongs to the [`WriteRing`], and comes out of
//! it only when its write has finished.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use giro_base::Region;
use io_uring::{IoUring, opcode, types};
use rustix::io::Errno;
use zerocopy::IntoBytes;

use crate::page::{PAGE_BYTES, Page};

/// Writes under way at most.
pub(super) const DEPTH: usize = 2;

/// A ring, and the pages that are being written.
pub(super) struct WriteRing {
    // First: dropping it waits, see `Drop`.
    uring: IoUring,
    in_flight: [Option<Flight>; DEPTH],
}

/// Pages on their way to their place in a file.
struct Flight {
    pages: Region<Page>,
    start: u64,
}

/// A finished write.
pub(super) struct Finished {
    /// What was written.
    pub(super) pages: Region<Page>,
    /// Page of the file that the first of them is.
    pub(super) start: u64,
    /// Bytes, perhaps not all, or the system's error.
    pub(super) result: io::Result<usize>,
}

impl WriteRing {
    /// # Errors
    /// The system's when it has no such rings.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            uring: IoUring::new(DEPTH as u32)?,
            in_flight: [None, None],
        })
    }

    /// Whether a write is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.iter().any(Option::is_some)
    }

    /// Whether no more writes may be begun.
    pub(super) fn is_full(&self) -> bool {
        self.in_flight.iter().all(Option::is_some)
    }

    /// Begins to write all of `pages` at page `start` of the file.
    ///
    /// # Errors
    /// The system's that do not pass. The pages stay here then: the queue names them.
    ///
    /// # Panics
    /// When it is [full](Self::is_full).
    pub(super) fn write(
        &mut self,
        file: BorrowedFd<'_>,
        pages: Region<Page>,
        start: u64,
    ) -> io::Result<()> {
        let place = self.in_flight.iter().position(Option::is_none);
        let place = place.expect("whoever is full waits first");
        let flight = self.in_flight[place].insert(Flight { pages, start });
        let bytes = flight.pages.as_bytes();
        let entry = opcode::Write::new(
            types::Fd(file.as_raw_fd()),
            bytes.as_ptr(),
            bytes.len() as u32,
        )
        .offset(start * PAGE_BYTES as u64)
        .build()
        .user_data(place as u64);
        // SAFETY: the pages lie in `in_flight`, where nobody writes to them or frees them, until
        // `wait` has seen this write's end (see `Drop`).
        let pushed = unsafe { self.uring.submission().push(&entry) };
        assert!(pushed.is_ok(), "the queue has a place for each write");
        loop {
            match self.uring.submit() {
                // The file may be closed from here on: the write holds it open.
                Ok(_) => return Ok(()),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for a write to finish; none when none is under way.
    ///
    /// # Errors
    /// The system's that do not pass. Nobody knows then when the writes end.
    pub(super) fn wait(&mut self) -> io::Result<Option<Finished>> {
        while self.is_busy() {
            if let Some(entry) = self.uring.completion().next() {
                let flight = self.in_flight[entry.user_data() as usize].take();
                let flight = flight.expect("each write ends once");
                let result = usize::try_from(entry.result())
                    .map_err(|_| io::Error::from_raw_os_error(-entry.result()));
                return Ok(Some(Finished {
                    pages: flight.pages,
                    start: flight.start,
                    result,
                }));
            }
            match self.uring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// A signal, or a kernel that is short of something for a moment.
pub(super) fn is_passing(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::INTR | Errno::BUSY | Errno::AGAIN))
}

impl Drop for WriteRing {
    /// The kernel may read the memory until the last write has finished.
    fn drop(&mut self) {
        loop {
            match self.wait() {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_) => {
                    // Nobody knows when the writes end, so their memory stays.
                    std::mem::forget(std::mem::take(&mut self.in_flight));
                    return;
                }
            }
        }
    }
}
