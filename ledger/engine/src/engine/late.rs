//! Notices when requests wait for the log of a ledger alone. In a group, the group does.

use std::time::{Duration, Instant};

use super::Engine;
use crate::overdue::Overdue;

/// A write, or a segment ahead of need, is there in a fraction of this.
const LOG_WAIT: Duration = Duration::from_secs(2);

/// What the log had finished when it was last looked at.
pub(crate) struct LogWait {
    durable: u64,
    overdue: Overdue,
}

impl Default for LogWait {
    fn default() -> Self {
        let overdue = Overdue::after(LOG_WAIT);
        Self {
            durable: 0,
            overdue,
        }
    }
}

impl Engine {
    /// Says in the log of the process when requests have been waiting for the ledger's log for two
    /// seconds, and each time that has doubled. To be called now and then where the ledger is
    /// alone.
    pub fn watch_log(&mut self, now: Instant) {
        let Some(waited) = self.late_log(now) else {
            return;
        };
        let (seconds, writes) = (waited.as_secs(), self.writes_in_flight());
        if writes > 0 {
            tracing::warn!(
                seconds,
                writes,
                "requests wait: the log has finished no write for so long; see whether its disk \
                 still writes"
            );
        } else {
            tracing::warn!(
                seconds,
                "requests wait: no segment of the log was made ready for so long; see whether its \
                 disk still writes"
            );
        }
    }

    /// For how long requests have been waiting for the log, when that is to be told.
    pub fn late_log(&mut self, now: Instant) -> Option<Duration> {
        let durable = self.log.positions().durable;
        let has_moved = std::mem::replace(&mut self.log_wait.durable, durable) != durable;
        let lacks_segment = self.has_groups() && !self.log.can_append();
        let waits = self.writes_in_flight() > 0 || lacks_segment;
        // That there is no room was told.
        if has_moved || !waits || self.log.obstacle().is_some() {
            self.log_wait.overdue.reset();
            return None;
        }
        self.log_wait.overdue.waits(now)
    }

    fn writes_in_flight(&self) -> usize {
        self.flying.iter().filter(|group| !group.durable).count()
    }
}
