//! Notices when requests wait for longer than a disk that works takes.

use std::time::{Duration, Instant};

/// Since when requests have been waiting, and when that is to be told.
pub(crate) struct Overdue {
    /// A wait is told after so long, and each time it has doubled.
    first: Duration,
    wait: Option<Wait>,
}

struct Wait {
    since: Instant,
    /// Told when it has lasted so long.
    next: Duration,
}

impl Overdue {
    /// Tells waits of so long.
    pub(crate) fn after(first: Duration) -> Self {
        let wait = None;
        Self { first, wait }
    }

    /// What was waited for has come, or nobody waits.
    pub(crate) fn reset(&mut self) {
        self.wait = None;
    }

    /// Requests wait: for how long by now, when that is to be told.
    pub(crate) fn waits(&mut self, now: Instant) -> Option<Duration> {
        let wait = self.wait.get_or_insert(Wait {
            since: now,
            next: self.first,
        });
        let waited = now.saturating_duration_since(wait.since);
        (waited >= wait.next).then(|| {
            wait.next = 2 * waited;
            waited
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(10);

    #[test]
    fn it_is_told_after_ten_seconds_and_each_time_the_wait_has_doubled() {
        let mut overdue = Overdue::after(FIRST);
        let start = Instant::now();
        let mut told = |second| {
            let waited = overdue.waits(start + Duration::from_secs(second));
            waited.map(|waited| waited.as_secs())
        };
        let seconds: Vec<u64> = (0..=100).filter_map(&mut told).collect();
        assert_eq!(seconds, [10, 20, 40, 80]);
    }

    #[test]
    fn whatever_is_finished_begins_a_new_wait() {
        let mut overdue = Overdue::after(FIRST);
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        assert_eq!(overdue.waits(at(0)), None);
        overdue.reset();
        assert_eq!(overdue.waits(at(9)), None);
        assert_eq!(overdue.waits(at(18)), None);
        assert_eq!(overdue.waits(at(19)), Some(FIRST));
    }
}
