//! One run: a thread makes requests and lets each go at its time; a runtime asks the target.

mod ask;
mod fate;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::MissedTickBehavior;

pub use self::fate::Fate;

use self::ask::{Asker, Done, Event, grow, spawn_callers, spawn_clock};
use crate::record::{Answered, Interval, Recorder};
use crate::schedule::Schedule;
use crate::target::{StepError, Target};
use crate::workload::{Workload, WorkloadOptions};

/// How a run asks.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// What for.
    pub workload: WorkloadOptions,
    /// When, in an open loop.
    pub schedule: Schedule,
    /// Each of so many callers asks again when it is answered, whatever the schedule says of rates;
    /// only how long it is counts.
    pub closed: bool,
    /// Most requests that are with the target at a time.
    pub in_flight: usize,
    /// So long at the beginning nothing counts.
    pub warm_up: Duration,
    /// Most requests that are due and wait. Beyond, the target cannot take what is offered.
    pub backlog: usize,
    /// How long a request may be with the target, all its steps together. Then its outcome counts
    /// as unknown.
    pub deadline: Duration,
    /// How long after the last request was due those that wait are still sent.
    pub drain: Duration,
    /// A target that leaves everything without a right answer for so long is gone.
    pub silence: Duration,
}

/// A run that is over.
pub struct Outcome {
    /// What was seen.
    pub recorder: Recorder,
    /// What became of each job, by its number.
    pub fates: Vec<Fate>,
    /// Why it ended early; its figures are partial.
    pub stopped: Option<String>,
    /// The first error that was no wrong answer, for people.
    pub first_error: Option<String>,
}

/// Events on their way to the record.
const EVENTS: usize = 1 << 16;

/// Asks the target for everything that is due, until the schedule ends, something is wrong, or
/// `stop` is set. `watch` sees each second. When it returns, no request is under way any more:
/// each ends by its deadline.
pub async fn run(
    options: &RunOptions,
    target: &Target,
    stop: &Arc<AtomicBool>,
    watch: &mut dyn FnMut(&Interval),
) -> Outcome {
    let mut workload = Workload::new(&options.workload);
    let mut outcome = Outcome {
        recorder: Recorder::new(Instant::now(), options.warm_up),
        fates: Vec::new(),
        stopped: None,
        first_error: None,
    };
    let (events, mut heard) = channel(EVENTS);
    let asker = Asker {
        target: target.clone(),
        deadline: options.deadline,
        events,
        stop: Arc::clone(stop),
        late: Arc::default(),
    };
    let late = Arc::clone(&asker.late);
    grow(options, &asker, &mut workload, &mut outcome).await;
    // So that the first requests have their time, too.
    let began = Instant::now() + Duration::from_millis(100);
    if options.closed {
        spawn_callers(options, began, &asker, workload);
        drop(asker);
    } else {
        spawn_clock(options, began, asker, workload);
    }
    outcome.recorder = Recorder::new(began, options.warm_up);
    outcome
        .listen(options, (&mut heard, began), (stop, &late), watch)
        .await;
    watch(outcome.recorder.tick(Instant::now()));
    if stop.load(Ordering::Relaxed) && outcome.stopped.is_none() {
        outcome.stopped = Some("interrupted".into());
    }
    outcome
}

impl Outcome {
    /// Takes note of everything until nobody is left who could tell: all requests are over.
    async fn listen(
        &mut self,
        options: &RunOptions,
        (heard, began): (&mut Receiver<Event>, Instant),
        (stop, late): (&AtomicBool, &AtomicBool),
        watch: &mut dyn FnMut(&Interval),
    ) {
        let mut seconds = tokio::time::interval_at(
            (began + Duration::from_secs(1)).into(),
            Duration::from_secs(1),
        );
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut give_up: Option<tokio::time::Instant> = None;
        loop {
            let until =
                give_up.unwrap_or_else(|| tokio::time::Instant::now() + Duration::from_secs(60));
            tokio::select! {
                biased;
                _ = seconds.tick() => {
                    watch(self.recorder.tick(Instant::now()));
                    self.look(options.silence, stop);
                }
                // What waits is not sent any more; what is with the target has its deadline.
                () = tokio::time::sleep_until(until), if give_up.is_some() => {
                    give_up = None;
                    late.store(!stop.load(Ordering::Relaxed), Ordering::Relaxed);
                }
                event = heard.recv() => match event {
                    None => break,
                    Some(Event::Scheduled) => {
                        give_up = Some(tokio::time::Instant::now() + options.drain);
                    }
                    Some(event) => self.take(event, stop),
                },
            }
        }
        let unsent = self.recorder.unsent;
        if late.load(Ordering::Relaxed) && unsent > 0 {
            let waited = options.drain.as_secs_f64();
            let why = format!("{unsent} requests still waited {waited} s after the last was due");
            self.stop(why, stop);
        }
    }

    fn stop(&mut self, why: String, stop: &AtomicBool) {
        stop.store(true, Ordering::Relaxed);
        self.stopped.get_or_insert(why);
    }

    /// Ends the run when nothing is answered any more.
    fn look(&mut self, silence: Duration, stop: &AtomicBool) {
        let silent = self.recorder.silent(Instant::now());
        if silent >= silence {
            let error = self.first_error.as_deref().unwrap_or("no answer comes");
            let why = format!(
                "the target is gone: nothing for {:.0} s; {error}",
                silent.as_secs_f64()
            );
            self.stop(why, stop);
        }
    }

    /// Until it says otherwise, a job may have happened: also one that never comes back.
    fn expect(&mut self, number: u64) {
        let count = number as usize + 1;
        if self.fates.len() < count {
            self.fates.resize(count, Fate::UNKNOWN);
        }
    }

    fn settle(&mut self, done: &Done) {
        let fate = match &done.result {
            Ok(()) => Fate::DONE,
            Err(error) => Fate::failed(done.steps, error),
        };
        self.note(done.number, fate);
    }

    fn note(&mut self, number: u64, fate: Fate) {
        self.expect(number);
        self.fates[number as usize] = fate;
    }

    fn take(&mut self, event: Event, stop: &AtomicBool) {
        let done = match event {
            Event::Due(at, number) => {
                self.recorder.due(at);
                return self.expect(number);
            }
            Event::Unsent(number) => {
                self.recorder.withdrawn();
                return self.note(number, Fate::NOTHING);
            }
            Event::Overloaded => {
                let why = "the target cannot take the offered rate: too many requests wait";
                return self.stop(why.into(), stop);
            }
            Event::Scheduled => return,
            Event::Done(done) => done,
        };
        let answered = Answered {
            kind: done.kind,
            units: done.units,
            due: done.due,
            ended: done.ended,
            is_right: done.result.is_ok(),
        };
        self.recorder.done(&answered);
        self.settle(&done);
        match done.result {
            Ok(()) => {}
            Err(wrong @ StepError::Wrong(_)) => self.stop(wrong.to_string(), stop),
            Err(error) => {
                self.first_error.get_or_insert(error.to_string());
            }
        }
    }
}
