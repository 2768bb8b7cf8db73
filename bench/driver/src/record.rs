//! What was seen, second by second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::workload::JobKind;

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

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// What it was.
    pub kind: JobKind,
    /// Transfers or payments in it.
    pub units: u64,
    /// When it was due.
    pub due: Instant,
    /// When its last answer came.
    pub ended: Instant,
    /// Whether that was the right one.
    pub is_right: bool,
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
    /// And of each kind of request.
    pub kinds: BTreeMap<JobKind, Latencies>,
    /// Transfers and payments served, since it counts.
    pub units: u64,
    /// The longest time without a right answer while something was asked, since it counts.
    pub silence: Duration,
    /// Requests offered, and answered rightly, since it counts.
    pub offered: u64,
    /// See `offered`.
    pub served: u64,
    /// Refused, or unknown.
    pub errors: u64,
    /// Requests that were due and never sent, the warm-up's too.
    pub unsent: u64,
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
            kinds: BTreeMap::new(),
            units: 0,
            silence: Duration::ZERO,
            offered: 0,
            served: 0,
            errors: 0,
            unsent: 0,
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

    /// A request was due and is not sent any more.
    pub fn withdrawn(&mut self) {
        self.unsent += 1;
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A request is over.
    pub fn done(&mut self, of: &Answered) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.current.served += 1;
        let counts = of.due.duration_since(self.began) >= self.counts_from;
        self.is_failing = !of.is_right;
        if !of.is_right {
            self.current.errors += 1;
            self.errors += u64::from(counts);
            return;
        }
        let silent = of.ended.saturating_duration_since(self.heard);
        self.heard = self.heard.max(of.ended);
        let took = of.ended.saturating_duration_since(of.due);
        let took = took.as_micros().max(1) as u64;
        note(&mut self.current.latencies, took);
        if counts {
            self.served += 1;
            self.units += of.units;
            self.silence = self.silence.max(silent);
            note(&mut self.total, took);
            note(self.kinds.entry(of.kind).or_insert_with(latencies), took);
            self.ended = self.ended.max(of.ended.duration_since(self.began));
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

    fn answer(due: Instant, ended: Instant, is_right: bool) -> Answered {
        Answered {
            kind: JobKind::Transfers,
            units: 10,
            due,
            ended,
            is_right,
        }
    }

    #[test]
    fn latency_counts_from_when_a_request_was_due_and_the_warm_up_does_not() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut recorder = Recorder::new(began, Duration::from_secs(1));
        recorder.due(at(500));
        recorder.done(&answer(at(500), at(520), true));
        recorder.tick(at(1000));
        recorder.due(at(1100));
        recorder.due(at(1100));
        recorder.done(&answer(at(1100), at(1150), true));
        recorder.done(&answer(at(1100), at(1200), false));
        recorder.due(at(1900));
        recorder.tick(at(2000));
        assert_eq!(
            (recorder.offered, recorder.served, recorder.errors),
            (3, 1, 1)
        );
        assert_eq!(recorder.units, 10);
        // Nothing was asked between the first answer and the second request.
        assert_eq!(recorder.silence, Duration::from_millis(50));
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
        recorder.done(&answer(at(0), at(10), true));
        // Nothing is asked meanwhile.
        recorder.tick(at(1000));
        assert_eq!(recorder.silent(at(1000)), Duration::ZERO);
        for second in 1..4 {
            for ms in [100, 500, 900] {
                let due = at(second * 1000 + ms);
                recorder.due(due);
                recorder.done(&answer(due, due, false));
            }
            recorder.tick(at(second * 1000 + 1000));
        }
        assert_eq!(recorder.silent(at(4000)), silent(2900));
        recorder.due(at(4100));
        recorder.done(&answer(at(4100), at(4110), true));
        recorder.tick(at(5000));
        assert_eq!(recorder.silent(at(5000)), Duration::ZERO);
    }
}
