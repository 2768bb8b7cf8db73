//! How fast the background writes.
//!
//! A generation's files are made of some 100 MiB, and a tenth of a second of a processor's work.
//! All at once they would hold up payments, which share the processors and the disk. So whoever
//! makes them works in turns of about a millisecond and rests behind each, in proportion to the
//! work: its share of a processor and of the disk is the same at any moment, and so small that it
//! needs most of the time until the next generation is complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Part of the time between two generations that writing one may take.
const SHARE: f64 = 0.6;
/// At most so much rest for work: a generation is never held back for long.
const REST_MAX: f64 = 10.0;
/// A generation is expected to take so many times what the last one took.
const CAUTION: f64 = 1.1;
/// Rest for work of who merges files, for which nobody waits, but a start when it is late: four
/// fifths of a processor at most.
const MERGER_REST: f64 = 0.25;
/// Work between two rests, at least.
const TURN: Duration = Duration::from_millis(1);
/// What a row costs, before any was written.
const ROW_WORK: Duration = Duration::from_nanos(250);
/// The shortest rest. The system wakes nobody more precisely than to some tens of microseconds.
const SLEEP_MIN: Duration = Duration::from_micros(250);
/// The longest rest: while it lasts nobody sees that there is haste, or that all is over. What
/// takes long was a wait for the disk, and no work.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// Rows between two looks at the clock: some 50 us.
pub(crate) const TURN_ROWS: usize = 2048;

/// How fast files are written, and for how long.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    stop: Arc<AtomicBool>,
    /// Somebody waits for what is being written.
    haste: Arc<AtomicBool>,
    /// After each write, whoever waits.
    rest_min: Duration,
    /// For work, so that payments have processor and disk in between.
    rest: f64,
    turns: Arc<Turns>,
    progress: Arc<Progress>,
}

/// Turns of work. Only the thread that works looks here.
#[derive(Debug)]
struct Turns {
    origin: Instant,
    /// When this one began (ns since the origin).
    began: AtomicU64,
    /// All rests since [`Tempo::begin`] (ns).
    rested: AtomicU64,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            began: AtomicU64::new(0),
            rested: AtomicU64::new(0),
        }
    }
}

impl Turns {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn begin(&self) {
        self.began.store(nanos(self.now()), Ordering::Relaxed);
    }

    /// Work of this turn.
    fn work(&self) -> Duration {
        let began = Duration::from_nanos(self.began.load(Ordering::Relaxed));
        self.now().saturating_sub(began)
    }

    fn sleep(&self, rest: Duration) {
        let start = Instant::now();
        std::thread::sleep(rest);
        let rested = nanos(start.elapsed());
        self.rested.fetch_add(rested, Ordering::Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
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

    /// Work begins: what was before was none.
    pub(crate) fn begin(&self) {
        self.turns.begin();
    }

    /// At places of the work that are a fraction of a millisecond apart: rests when it is time.
    #[inline]
    pub(crate) fn turn(&self) {
        let work = self.turns.work();
        if work >= TURN {
            self.end_turn(work);
        }
    }

    /// As [`turn`](Self::turn), for the `count`th of many short steps.
    #[inline(always)]
    pub(crate) fn turn_at(&self, count: usize, every: usize) {
        if count.is_multiple_of(every) {
            self.turn();
        }
    }

    #[cold]
    fn end_turn(&self, work: Duration) {
        let rest = self.rest_for(work);
        if rest.is_zero() || rest >= SLEEP_MIN {
            if !rest.is_zero() {
                self.turns.sleep(rest);
            }
            self.turns.begin();
        }
    }

    fn rest_for(&self, work: Duration) -> Duration {
        if self.haste.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        work.mul_f64(self.rest).min(SLEEP_MAX)
    }

    /// After a write.
    pub(crate) fn after_write(&self) {
        if !self.rest_min.is_zero() {
            self.turns.sleep(self.rest_min);
            self.turns.begin();
        }
    }
}

/// Finds out how long to rest, from how long generations take to fill and to be written.
#[derive(Default)]
pub(crate) struct Tempo {
    /// When the last generation was complete.
    complete: Option<Instant>,
    /// What writing it took, without rests.
    work: Option<Duration>,
}

/// A generation to be written, as far as time is concerned.
#[derive(Clone, Copy)]
pub(crate) struct Task {
    /// When it was complete.
    pub(crate) complete: Instant,
    /// From its first row to its last.
    pub(crate) filled_in: Duration,
    /// How many rows it has.
    pub(crate) rows: usize,
    /// Whether none waits behind it.
    pub(crate) alone: bool,
}

impl Tempo {
    /// Writing begins. Sets the rests.
    pub(crate) fn begin(&mut self, pace: &mut Pace, task: Task) {
        let before = self.complete.replace(task.complete);
        let since = before.map(|before| task.complete.saturating_duration_since(before));
        let interval = since.map_or(task.filled_in, |since| since.min(task.filled_in));
        let work = self.work.unwrap_or_else(|| ROW_WORK * task.rows as u32);
        pace.rest = rest_of(work, interval);
        pace.progress.begin();
        pace.begin();
        pace.turns.rested.store(0, Ordering::Relaxed);
        pace.haste.store(!task.alone, Ordering::Relaxed);
    }

    /// It was written in `took`, rests and all.
    pub(crate) fn end(&mut self, pace: &Pace, took: Duration) {
        pace.progress.end(took);
        let rested = Duration::from_nanos(pace.turns.rested.load(Ordering::Relaxed));
        self.work = Some(took.saturating_sub(rested));
    }
}

/// Rest for work that makes it take [`SHARE`] of the time there is.
fn rest_of(work: Duration, interval: Duration) -> f64 {
    let work = work.max(TURN);
    let time = interval.mul_f64(SHARE);
    let rest = time.saturating_sub(work).div_duration_f64(work);
    rest.min(REST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Duration = Duration::from_millis(50);

    fn task(complete: Instant, filled_in: u64, alone: bool) -> Task {
        Task {
            complete,
            filled_in: Duration::from_millis(filled_in),
            rows: 400_000,
            alone,
        }
    }

    #[test]
    fn work_is_spread_over_most_of_the_time_there_is() {
        let (mut tempo, mut pace) = (Tempo::default(), Pace::default());
        let start = Instant::now();
        // When complete, filled in (ms); what is rested for work.
        for (at, filled_in, rest) in [
            // Nothing was written yet: 100 ms of work are expected, in six tenths of 400.
            (400, 400, 1.4),
            // It was 50.
            (800, 400, 3.8),
            // The same again: the rests themselves are no work.
            (1200, 400, 3.8),
            // Twice as fast, though its first row came early.
            (1400, 1000, 1.4),
            // As fast as can be.
            (1450, 50, 0.0),
            // After a while in which nothing came, it came fast.
            (9000, 200, 1.4),
            // Once an hour.
            (3_600_000, 3_000_000, REST_MAX),
        ] {
            let at = start + Duration::from_millis(at);
            tempo.begin(&mut pace, task(at, filled_in, true));
            assert!(
                (pace.rest - rest).abs() < 1e-9,
                "{filled_in}: {}",
                pace.rest
            );
            let rests = WORK.mul_f64(pace.rest);
            pace.turns.rested.store(nanos(rests), Ordering::Relaxed);
            tempo.end(&pace, rests + WORK);
        }
    }

    #[test]
    fn a_turn_ends_with_a_rest_in_proportion_to_its_work() {
        let mut pace = Pace::default();
        Tempo::default().begin(&mut pace, task(Instant::now(), 400, true));
        assert!((pace.rest - 1.4).abs() < 1e-9);
        pace.turn();
        let rested = |pace: &Pace| pace.turns.rested.load(Ordering::Relaxed);
        assert_eq!(rested(&pace), 0, "hardly anything was done");
        std::thread::sleep(TURN);
        pace.turn();
        let first = rested(&pace);
        assert!(first >= nanos(TURN));
        pace.turn();
        assert_eq!(rested(&pace), first, "a new turn has begun");
        // A rest too short for the system to keep is put off.
        pace.rest = 0.01;
        std::thread::sleep(TURN);
        pace.turn();
        assert_eq!(rested(&pace), first);
        assert!(pace.turns.work() >= TURN, "the turn goes on");
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
    fn nobody_rests_for_long_however_long_ago_the_turn_began() {
        let merger = Pace::default().of_merger();
        let rest = merger.rest_for(Duration::from_secs(3600));
        assert_eq!(rest, SLEEP_MAX);
        std::thread::sleep(Duration::from_millis(5));
        let idle = merger.turns.work();
        merger.begin();
        assert!(merger.turns.work() < idle, "nothing was done before");
    }

    #[test]
    fn nobody_rests_while_somebody_waits() {
        let mut pace = Pace::default();
        let (mut tempo, now) = (Tempo::default(), Instant::now());
        tempo.begin(&mut pace, task(now, 3_600_000, false));
        std::thread::sleep(TURN);
        pace.turn();
        tempo.begin(&mut pace, task(now, 3_600_000, true));
        pace.hurry();
        std::thread::sleep(TURN);
        pace.turn();
        assert_eq!(pace.turns.rested.load(Ordering::Relaxed), 0);
    }
}
