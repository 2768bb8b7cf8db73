//! What was seen, second by second.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Latencies in microseconds, three digits, from 1 us on.
pub type Latencies = Histogram<u64>;

/// Latencies of nothing.
///
/// # Panics
/// Never: three digits are fine.
#[must_use]
pub fn latencies() -> Latencies {
    Histogram::new(3).expect("three digits")
}

fn note(latencies: &mut Latencies, took: u64) {
    // It grows with what it is given.
    latencies.record(took).expect("a histogram of any size");
}

/// One second.
#[derive(Clone)]
pub struct Interval {
    /// When it began (s from the beginning of the run).
    pub second: f64,
    /// Requests that were due in it.
    pub offered: u64,
    /// Requests that were answered in it.
    pub served: u64,
    /// Of those, refused or without a known outcome.
    pub errors: u64,
    /// Under way or waiting at its end.
    pub in_flight: u64,
    /// Of requests that were answered rightly in it, from when they were due (us).
    pub latencies: Latencies,
}

impl Interval {
    fn at(second: f64) -> Self {
        Self {
            second,
            offered: 0,
            served: 0,
            errors: 0,
            in_flight: 0,
            latencies: latencies(),
        }
    }
}

/// Takes note of a run.
pub struct Recorder {
    began: Instant,
    /// Nothing before counts.
    counts_from: Duration,
    current: Interval,
    /// Those that are over.
    pub intervals: Vec<Interval>,
    /// Of all that counts.
    pub total: Latencies,
    /// Requests offered, and answered rightly, since it counts.
    pub offered: u64,
    /// See `offered`.
    pub served: u64,
    /// Refused, or unknown.
    pub errors: u64,
    in_flight: u64,
    /// When something was answered rightly, or nothing was asked.
    heard: Instant,
    /// Whether the last answer was none, or not the right one.
    is_failing: bool,
    /// When the last one that counts was answered.
    pub ended: Duration,
}

impl Recorder {
    /// Of a run that begins at this moment, of which the first so many seconds do not count.
    #[must_use]
    pub fn new(began: Instant, warm_up: Duration) -> Self {
        Self {
            began,
            counts_from: warm_up,
            current: Interval::at(0.0),
            intervals: Vec::new(),
            total: latencies(),
            offered: 0,
            served: 0,
            errors: 0,
            in_flight: 0,
            heard: began,
            is_failing: false,
            ended: warm_up,
        }
    }

    /// A request was due.
    pub fn due(&mut self, due: Instant) {
        self.current.offered += 1;
        // A target that fails at once has nothing in flight, and is as gone as a silent one.
        if self.in_flight == 0 && !self.is_failing {
            self.heard = self.heard.max(due);
        }
        self.in_flight += 1;
        if due.duration_since(self.began) >= self.counts_from {
            self.offered += 1;
        }
    }

    /// The request that was due then is over.
    pub fn done(&mut self, due: Instant, ended: Instant, is_right: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.current.served += 1;
        let counts = due.duration_since(self.began) >= self.counts_from;
        self.is_failing = !is_right;
        if !is_right {
            self.current.errors += 1;
            self.errors += u64::from(counts);
            return;
        }
        self.heard = self.heard.max(ended);
        let took = ended.saturating_duration_since(due).as_micros().max(1) as u64;
        note(&mut self.current.latencies, took);
        if counts {
            self.served += 1;
            note(&mut self.total, took);
            self.ended = self.ended.max(ended.duration_since(self.began));
        }
    }

    /// A second is over.
    pub fn tick(&mut self, now: Instant) -> &Interval {
        let next = Interval::at(now.duration_since(self.began).as_secs_f64());
        let mut over = std::mem::replace(&mut self.current, next);
        over.in_flight = self.in_flight;
        self.intervals.push(over);
        self.intervals.last().expect("one was just added")
    }

    /// How long requests are under way, or fail, without a right answer.
    #[must_use]
    pub fn silent(&self, now: Instant) -> Duration {
        let is_asked = self.in_flight > 0 || self.current.errors > 0 || self.fails();
        if is_asked {
            now.saturating_duration_since(self.heard)
        } else {
            Duration::ZERO
        }
    }

    /// Whether all answers of the last second were errors.
    fn fails(&self) -> bool {
        let last = self.intervals.last();
        last.is_some_and(|last| last.served > 0 && last.errors == last.served)
    }

    /// Requests due and not answered.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_counts_from_when_a_request_was_due_and_the_warm_up_does_not() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut recorder = Recorder::new(began, Duration::from_secs(1));
        recorder.due(at(500));
        recorder.done(at(500), at(520), true);
        recorder.tick(at(1000));
        recorder.due(at(1100));
        recorder.due(at(1100));
        recorder.done(at(1100), at(1150), true);
        recorder.done(at(1100), at(1200), false);
        recorder.due(at(1900));
        recorder.tick(at(2000));
        assert_eq!(
            (recorder.offered, recorder.served, recorder.errors),
            (3, 1, 1)
        );
        assert!((50_000..50_050).contains(&recorder.total.max()), "50 ms");
        let second = &recorder.intervals[1];
        assert_eq!((second.offered, second.served, second.in_flight), (3, 2, 1));
        assert_eq!(recorder.intervals[0].latencies.len(), 1);
    }
    #[test]
    fn a_target_that_fails_at_once_is_as_silent_as_one_that_does_not_answer() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let silent = Duration::from_millis;
        let mut recorder = Recorder::new(began, Duration::ZERO);
        recorder.due(at(0));
        recorder.done(at(0), at(10), true);
        // Nothing is asked meanwhile.
        recorder.tick(at(1000));
        assert_eq!(recorder.silent(at(1000)), Duration::ZERO);
        for second in 1..4 {
            for ms in [100, 500, 900] {
                let due = at(second * 1000 + ms);
                recorder.due(due);
                recorder.done(due, due, false);
            }
            recorder.tick(at(second * 1000 + 1000));
        }
        assert_eq!(recorder.silent(at(4000)), silent(2900));
        recorder.due(at(4100));
        recorder.done(at(4100), at(4110), true);
        recorder.tick(at(5000));
        assert_eq!(recorder.silent(at(5000)), Duration::ZERO);
    }
}
