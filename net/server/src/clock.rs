//! The time, read once a turn.

use std::time::{Instant, SystemTime};

use giro_base::Timestamp;

use crate::sweep::nanoseconds;

/// The times of a turn. All threads of a port count from the same start.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    /// Nanoseconds since the start.
    pub(crate) now: u64,
    /// Wall clock (ns).
    pub(crate) wall: Timestamp,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        let mut clock = Self {
            started: Instant::now(),
            now: 0,
            wall: 0,
        };
        clock.read();
        clock
    }

    /// Takes the time of a new turn.
    pub(crate) fn read(&mut self) {
        self.now = nanoseconds(self.started.elapsed());
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // A clock before 1970 is as good as one that stands still: the ledger's time only rises.
        self.wall = wall.map_or(1, nanoseconds);
    }
}
