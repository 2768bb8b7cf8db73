//! One run: a thread makes requests and lets each go at its time; a runtime asks the target.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::record::{Answered, Interval, Recorder};
use crate::schedule::Schedule;
use crate::target::{StepError, Target};
use crate::workload::{Job, JobKind, Workload, WorkloadOptions};

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
    /// How long after the last request answers are waited for.
    pub drain: Duration,
    /// A target that leaves everything without a right answer for so long is gone.
    pub silence: Duration,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Answered, and rightly.
    Done,
    /// The target says that nothing happened.
    Refused,
    /// Sent, and nobody knows.
    Unknown,
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

/// A job with the time it is due.
struct Due {
    at: Instant,
    job: Job,
}

struct Done {
    number: u64,
    kind: JobKind,
    /// Transfers or payments in it.
    units: u64,
    due: Instant,
    ended: Instant,
    result: Result<(), StepError>,
    /// How many of its steps were answered before.
    steps: usize,
}

/// What a run tells while it goes on.
enum Event {
    /// A job is due, and may be sent from now on.
    Due(Instant, u64),
    Done(Done),
    /// Too many requests wait.
    Overloaded,
    /// No request will follow.
    Scheduled,
}

/// Events on their way to the record.
const EVENTS: usize = 1 << 16;

/// Asks the target for everything that is due, until the schedule ends, something is wrong, or
/// `stop` is set. `watch` sees each second.
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
    grow(options, target, &mut workload, &mut outcome, stop).await;
    let (events, mut heard) = channel(EVENTS);
    // So that the first requests have their time, too.
    let began = Instant::now() + Duration::from_millis(100);
    let mut tasks = JoinSet::new();
    if options.closed {
        spawn_callers(
            options,
            target,
            (began, stop),
            (workload, &events),
            &mut tasks,
        );
    } else {
        spawn_clock(
            options,
            target,
            (began, stop),
            (workload, &events),
            &mut tasks,
        );
    }
    drop(events);
    outcome.recorder = Recorder::new(began, options.warm_up);
    outcome
        .listen(options, (&mut heard, began), stop, watch)
        .await;
    watch(outcome.recorder.tick(Instant::now()));
    if stop.load(Ordering::Relaxed) && outcome.stopped.is_none() {
        outcome.stopped = Some("interrupted".into());
    }
    outcome
}

impl Outcome {
    /// Takes note of everything until the last answer, or until it is not waited for any more.
    async fn listen(
        &mut self,
        options: &RunOptions,
        (heard, began): (&mut Receiver<Event>, Instant),
        stop: &AtomicBool,
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
                event = heard.recv() => match event {
                    None => break,
                    Some(Event::Scheduled) => {
                        give_up = Some(tokio::time::Instant::now() + options.drain);
                    }
                    Some(event) => self.take(event, stop),
                },
                () = tokio::time::sleep_until(until), if give_up.is_some() => {
                    let left = self.recorder.in_flight();
                    self.stop(format!("{left} requests were not answered in time"), stop);
                    break;
                }
            }
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
            self.fates.resize(count, Fate::Unknown);
        }
    }

    fn settle(&mut self, done: &Done) {
        self.expect(done.number);
        self.fates[done.number as usize] = match &done.result {
            Ok(()) => Fate::Done,
            Err(StepError::Refused(_)) if done.steps == 0 => Fate::Refused,
            Err(_) => Fate::Unknown,
        };
    }

    fn take(&mut self, event: Event, stop: &AtomicBool) {
        let done = match event {
            Event::Due(at, number) => {
                self.recorder.due(at);
                return self.expect(number);
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

/// Makes the ledger large before the run, by as many callers as may be in flight.
async fn grow(
    options: &RunOptions,
    target: &Target,
    workload: &mut Workload,
    outcome: &mut Outcome,
    stop: &AtomicBool,
) {
    let mut under_way = JoinSet::new();
    let mut left = options.workload.grown;
    while left > 0 || !under_way.is_empty() {
        if left > 0 && under_way.len() < options.in_flight && !stop.load(Ordering::Relaxed) {
            left -= 1;
            let (target, job) = (target.clone(), workload.next_job());
            outcome.expect(job.number);
            under_way.spawn(async move { work(&target, Instant::now(), &job).await });
            continue;
        }
        let Some(Ok(done)) = under_way.join_next().await else {
            break;
        };
        outcome.settle(&done);
        if let Err(error) = done.result {
            // Without the ledger it was to have, the run would say nothing.
            outcome.stop(format!("the ledger could not be made large: {error}"), stop);
        }
    }
}

/// An open loop: a thread of its own keeps the time, and is never held up by the target.
fn spawn_clock(
    options: &RunOptions,
    target: &Target,
    (began, stop): (Instant, &Arc<AtomicBool>),
    (mut workload, events): (Workload, &Sender<Event>),
    tasks: &mut JoinSet<()>,
) {
    let (due, waiting) = channel(options.backlog.max(1));
    let schedule = options.schedule.clone();
    let (events_of_clock, stop) = (events.clone(), Arc::clone(stop));
    std::thread::spawn(move || {
        for second in schedule.times() {
            let at = began + Duration::from_secs_f64(second);
            let job = workload.next_job();
            if let Some(early) = at.checked_duration_since(Instant::now()) {
                std::thread::sleep(early);
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
            // The events' reader only counts: it makes room at once.
            let event = Event::Due(at, job.number);
            if events_of_clock.blocking_send(event).is_err() {
                return;
            }
            if due.try_send(Due { at, job }).is_err() {
                let _ = events_of_clock.blocking_send(Event::Overloaded);
                break;
            }
        }
        let _ = events_of_clock.blocking_send(Event::Scheduled);
    });
    let (target, events) = (target.clone(), events.clone());
    let room = Arc::new(Semaphore::new(options.in_flight));
    tasks.spawn(async move { dispatch(waiting, &target, &events, &room).await });
}

async fn dispatch(
    mut waiting: Receiver<Due>,
    target: &Target,
    events: &Sender<Event>,
    room: &Arc<Semaphore>,
) {
    while let Some(Due { at, job }) = waiting.recv().await {
        let permit = Arc::clone(room).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let (target, events) = (target.clone(), events.clone());
        tokio::spawn(async move {
            let done = work(&target, at, &job).await;
            drop(permit);
            // Nobody listens any more when the run was given up.
            let _ = events.send(Event::Done(done)).await;
        });
    }
}

/// A closed loop: callers that wait for their answers.
fn spawn_callers(
    options: &RunOptions,
    target: &Target,
    (began, stop): (Instant, &Arc<AtomicBool>),
    (workload, events): (Workload, &Sender<Event>),
    tasks: &mut JoinSet<()>,
) {
    let end = began + Duration::from_secs_f64(options.schedule.seconds());
    let workload = Arc::new(Mutex::new(workload));
    for _ in 0..options.in_flight {
        let (target, events) = (target.clone(), events.clone());
        let (workload, stop) = (Arc::clone(&workload), Arc::clone(stop));
        tasks.spawn(async move {
            tokio::time::sleep_until(began.into()).await;
            loop {
                let job = workload.lock().await.next_job();
                let now = Instant::now();
                if now >= end || stop.load(Ordering::Relaxed) {
                    return;
                }
                let _ = events.send(Event::Due(now, job.number)).await;
                let done = work(&target, now, &job).await;
                if events.send(Event::Done(done)).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn work(target: &Target, due: Instant, job: &Job) -> Done {
    let mut result = Ok(());
    let mut steps = 0;
    for step in &job.steps {
        result = target.ask(step).await;
        if result.is_err() {
            break;
        }
        steps += 1;
    }
    Done {
        number: job.number,
        kind: job.kind,
        units: job.units(),
        due,
        ended: Instant::now(),
        result,
        steps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_never_comes_back_may_have_happened() {
        let (now, stop) = (Instant::now(), AtomicBool::new(false));
        let mut outcome = Outcome {
            recorder: Recorder::new(now, Duration::ZERO),
            fates: Vec::new(),
            stopped: None,
            first_error: None,
        };
        for number in 0..3 {
            outcome.take(Event::Due(now, number), &stop);
        }
        let done = Done {
            number: 1,
            kind: JobKind::Transfers,
            units: 1,
            due: now,
            ended: now,
            result: Ok(()),
            steps: 1,
        };
        outcome.take(Event::Done(done), &stop);
        assert_eq!(outcome.fates, [Fate::Unknown, Fate::Done, Fate::Unknown]);
        assert_eq!(outcome.recorder.in_flight(), 2);
    }
}
