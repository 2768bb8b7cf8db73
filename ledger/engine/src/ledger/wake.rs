//! Waking the ledger's thread from others.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// An eventfd that is only written to when the thread sleeps.
pub(super) struct Wake {
    event: File,
    asleep: AtomicBool,
    stopped: AtomicBool,
}

impl Wake {
    pub(super) fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            event: event.into(),
            asleep: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        })
    }

    /// Wakes the thread if it sleeps or is about to.
    pub(super) fn wake(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            // Full only when wake-ups enough are on their way.
            let _ = (&self.event).write(&1_u64.to_le_bytes());
        }
    }

    /// Says that the thread has ended and takes nothing more. What was sent before the call, and
    /// by those who do not see it yet, is left to be dropped by both sides.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Whether the thread has ended.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Says that the thread is about to sleep. What was sent before the call must be looked for
    /// once more after it.
    pub(super) fn will_sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// Says that the thread is up, and takes wake-ups that are left.
    pub(super) fn is_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        let _ = (&self.event).read(&mut [0; 8]);
    }
}

impl AsRawFd for Wake {
    fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}
