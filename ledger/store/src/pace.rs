//! How fast the background writes.
//!
//! A generation's files are made of some sixty writes of 2 MiB. All at once they would hold up the
//! log, which shares the disk and is flushed with each of its writes. So they are spread over
//! most of the time until the next generation is complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Part of the time between two generations that writing one may take.
const SHARE: f64 = 0.6;
/// The longest rest: a generation is never held back for long.
const REST_MAX: Duration = Duration::from_millis(20);
/// A generation is expected to take so many times what the last one took.
const CAUTION: f64 = 1.1;
/// Rest of who merges files, for which nobody waits.
const MERGER_REST: Duration = Duration::from_millis(2);

/// How fast files are written, and for how long.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    stop: Arc<AtomicBool>,
    /// Somebody waits for what is being written.
    haste: Arc<AtomicBool>,
    /// After each write, whoever waits.
    rest_min: Duration,
    /// After each write, so that payments have processor and disk in between.
    rest: Duration,
    writes: Arc<AtomicU32>,
    progress: Arc<Progress>,
}

/// How far writing a generation has come, for another thread.
#[derive(Debug)]
struct Progress {
    origin: Instant,
    /// When writing began (ns since the origin); 0 while nothing is written.
    began: AtomicU64,
    /// How long it took the last time (ns).
    took: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            began: AtomicU64::new(0),
            took: AtomicU64::new(0),
        }
    }
}

impl Progress {
    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    fn begin(&self) {
        self.began.store(self.now().max(1), Ordering::Relaxed);
    }

    fn end(&self, took: Duration) {
        self.took.store(took.as_nanos() as u64, Ordering::Relaxed);
        self.began.store(0, Ordering::Relaxed);
    }

    fn done(&self, now: u64) -> f64 {
        let began = self.began.load(Ordering::Relaxed);
        let took = self.took.load(Ordering::Relaxed);
        if began == 0 || took == 0 {
            return 0.0;
        }
        let elapsed = now.saturating_sub(began) as f64;
        (elapsed / (took as f64 * CAUTION)).min(1.0)
    }
}

impl Pace {
    /// A pace with so much rest after each write, whoever waits.
    #[must_use]
    pub fn with_rest(rest_min: Duration) -> Self {
        Self {
            rest_min,
            ..Self::default()
        }
    }

    /// The pace of the thread that merges files.
    #[must_use]
    pub(crate) fn of_merger(&self) -> Self {
        Self {
            stop: Arc::clone(&self.stop),
            rest: MERGER_REST,
            ..Self::with_rest(self.rest_min)
        }
    }

    /// Nothing more is written.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether to stop.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// No more rests until [`Tempo::begin`].
    pub(crate) fn hurry(&self) {
        self.haste.store(true, Ordering::Relaxed);
    }

    /// How much of the generation being written is done, of 1, as far as can be told from how long
    /// the one before took. 0 when none is being written.
    #[must_use]
    pub(crate) fn done(&self) -> f64 {
        self.progress.done(self.progress.now())
    }

    /// After a write.
    pub(crate) fn rest(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let rest = if self.haste.load(Ordering::Relaxed) {
            self.rest_min
        } else {
            self.rest.max(self.rest_min)
        };
        if !rest.is_zero() {
            std::thread::sleep(rest);
        }
    }
}

/// Finds out how long to rest, from how long generations take to fill and to be written.
#[derive(Default)]
pub(crate) struct Tempo {
    /// When the last generation was complete.
    complete: Option<Instant>,
    /// From one complete generation to the next.
    interval: Option<Duration>,
}

impl Tempo {
    /// A generation that was complete at `complete` is going to be written. `alone` if none waits
    /// behind it.
    pub(crate) fn begin(&mut self, pace: &Pace, complete: Instant, alone: bool) {
        let before = self.complete.replace(complete);
        self.interval = before.map(|before| complete.saturating_duration_since(before));
        pace.progress.begin();
        pace.writes.store(0, Ordering::Relaxed);
        pace.haste.store(!alone, Ordering::Relaxed);
    }

    /// It was written in `took`. Sets the rest for the next one.
    pub(crate) fn end(&self, pace: &mut Pace, took: Duration) {
        pace.progress.end(took);
        let writes = pace.writes.load(Ordering::Relaxed).max(1);
        let rested = if pace.haste.load(Ordering::Relaxed) {
            // Perhaps it did for a while: then the next rests are too short, not too long.
            Duration::ZERO
        } else {
            pace.rest * writes
        };
        let work = took.saturating_sub(rested);
        let time = self
            .interval
            .map_or(work, |interval| interval.mul_f64(SHARE));
        pace.rest = (time.saturating_sub(work) / writes).min(REST_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `writes` times, each a millisecond, in the mind only.
    fn generation(tempo: &mut Tempo, pace: &mut Pace, at: Instant, writes: u32, alone: bool) {
        tempo.begin(pace, at, alone);
        pace.writes.store(writes, Ordering::Relaxed);
        let rests = if alone {
            pace.rest * writes
        } else {
            Duration::ZERO
        };
        tempo.end(pace, rests + Duration::from_millis(writes.into()));
    }

    #[test]
    fn writes_are_spread_over_most_of_the_time_there_is() {
        let (mut tempo, mut pace) = (Tempo::default(), Pace::default());
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        generation(&mut tempo, &mut pace, at(0), 50, true);
        assert_eq!(
            pace.rest,
            Duration::ZERO,
            "nobody knows yet how much there is"
        );
        generation(&mut tempo, &mut pace, at(500), 50, true);
        assert_eq!(pace.rest, Duration::from_millis(5));
        // The same again: the rests themselves are no work.
        generation(&mut tempo, &mut pace, at(1000), 50, true);
        assert_eq!(pace.rest, Duration::from_millis(5));
        // Twice as fast, so that one is waiting: no rests, and shorter ones behind it.
        generation(&mut tempo, &mut pace, at(1250), 50, false);
        assert_eq!(pace.rest, Duration::from_millis(2));
        // As fast as can be.
        generation(&mut tempo, &mut pace, at(1300), 50, false);
        assert_eq!(pace.rest, Duration::ZERO);
        // Once an hour.
        generation(&mut tempo, &mut pace, at(3_600_000), 50, true);
        assert_eq!(pace.rest, REST_MAX);
    }

    #[test]
    fn how_much_is_done_is_told_by_the_generation_before() {
        let progress = Progress::default();
        progress.begin();
        let began = progress.began.load(Ordering::Relaxed);
        assert_eq!(progress.done(began + 10), 0.0, "nobody knows yet");
        progress.end(Duration::from_nanos(1000));
        assert_eq!(progress.done(began + 10), 0.0, "none is being written");
        progress.begin();
        let began = progress.began.load(Ordering::Relaxed);
        let half = progress.done(began + 500);
        assert!(half > 0.4 && half < 0.5, "rather too little than too much");
        assert_eq!(progress.done(began + 5000), 1.0);
    }

    #[test]
    fn nobody_rests_while_somebody_waits() {
        let pace = Pace {
            rest: Duration::from_secs(3600),
            ..Pace::default()
        };
        Tempo::default().begin(&pace, Instant::now(), false);
        pace.rest();
        Tempo::default().begin(&pace, Instant::now(), true);
        pace.hurry();
        pace.rest();
        assert_eq!(pace.writes.load(Ordering::Relaxed), 1);
    }
}
