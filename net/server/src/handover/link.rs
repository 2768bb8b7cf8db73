//! What a port thread and the first thread share.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use giro_log::uring::{OWNER_MESSAGE, OWNER_WAKE, Ring, RingHandle, Token};

use super::answers::Answers;
use super::bell::{Bell, Call};
use super::parcel::Parcel;
use crate::reactor::WAKE_SENT;

/// Messages of a port thread on their way at a time. Each has memory for a small message.
pub(super) const PARCELS: usize = 512;
/// Gatherings of answers of a port thread: one being filled, the others on their way.
pub(super) const GATHERINGS: usize = 4;

/// A thread that can be woken.
pub(super) struct Sleeper {
    pub(super) bell: Bell,
    ring: OnceLock<RingHandle>,
}

impl Sleeper {
    pub(super) fn new() -> Self {
        Self {
            bell: Bell::new(),
            ring: OnceLock::new(),
        }
    }

    /// The thread's ring, by which it is woken.
    ///
    /// # Errors
    /// The system's when it has no descriptor left.
    pub(super) fn set_ring(&self, ring: &Ring) -> std::io::Result<()> {
        let set = self.ring.set(ring.handle()?);
        assert!(set.is_ok(), "a thread has one ring");
        Ok(())
    }

    /// Wakes the thread, if it sleeps and this concerns it, with the next submission of `ring`.
    pub(super) fn call(&self, call: Call, ring: &mut Ring) {
        if self.bell.must_wake(call)
            && let Some(sleeper) = self.ring.get()
        {
            // One that cannot be delivered is made good by the longest wait of a turn.
            let to = Token::new(OWNER_MESSAGE, 0);
            ring.message(sleeper, to.0, Token::new(OWNER_WAKE, WAKE_SENT).0);
        }
    }
}

/// The queues between the first thread and one port thread. Each has one end on either.
pub(super) struct Link {
    /// To the first thread: messages. From it: their memory, when it is done with them.
    pub(super) requests: ArrayQueue<Parcel>,
    pub(super) returned: ArrayQueue<Parcel>,
    /// From the first thread: answers. To it: their memory.
    pub(super) answers: ArrayQueue<Answers>,
    pub(super) spent: ArrayQueue<Answers>,
    /// From the first thread: new connections.
    pub(super) sockets: ArrayQueue<OwnedFd>,
    /// Connections dealt to the port thread and not closed.
    pub(super) open: AtomicUsize,
    /// The port thread.
    pub(super) sleeper: Sleeper,
}

impl Link {
    pub(super) fn new(connections_max: usize) -> Self {
        Self {
            requests: ArrayQueue::new(PARCELS),
            returned: ArrayQueue::new(PARCELS),
            answers: ArrayQueue::new(GATHERINGS),
            spent: ArrayQueue::new(GATHERINGS),
            sockets: ArrayQueue::new(connections_max.max(1)),
            open: AtomicUsize::new(0),
            sleeper: Sleeper::new(),
        }
    }

    /// Puts something into one of the queues, which has room for all there is.
    pub(super) fn put<T>(queue: &ArrayQueue<T>, what: T) {
        let put = queue.push(what);
        assert!(put.is_ok(), "a queue has a place for everything");
    }
}

/// What the first thread tells all others.
pub(super) struct Orders {
    /// The first thread.
    pub(super) first: Sleeper,
    /// When a stop has to be over (ns of the clock); [`u64::MAX`] while none is asked for.
    stop_by: AtomicU64,
    phase: AtomicUsize,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It has not begun.
    Running,
    /// Nothing more is received; answers still come.
    Stopping,
    /// All answers are there.
    Answered,
    /// Everything is dropped.
    Abandoned,
}

impl Orders {
    pub(super) fn new() -> Self {
        Self {
            first: Sleeper::new(),
            stop_by: AtomicU64::new(u64::MAX),
            phase: AtomicUsize::new(Phase::Running as usize),
        }
    }

    /// Says that the end begins, and when it has to be over.
    pub(super) fn stop(&self, stop_by: u64) {
        self.stop_by.store(stop_by, Ordering::Relaxed);
        self.advance(Phase::Stopping);
    }

    /// Says how far the end has come. What was put into queues before is there for who hears it.
    pub(super) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as usize, Ordering::Release);
    }

    /// How far the end has come, and when it has to be over.
    pub(super) fn heard(&self) -> (Phase, u64) {
        let phase = match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Stopping,
            2 => Phase::Answered,
            _ => Phase::Abandoned,
        };
        (phase, self.stop_by.load(Ordering::Relaxed))
    }
}
