//! Those who ask: by the clock, as callers that wait, or to make the ledger large.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use super::{Outcome, RunOptions};
use crate::target::{StepError, Target};
use crate::workload::{Job, JobKind, Workload};

/// A job with the time it is due.
struct Due {
    at: Instant,
    job: Job,
}

/// A job that is over.
pub(super) struct Done {
    pub(super) number: u64,
    pub(super) kind: JobKind,
    /// Transfers or payments in it.
    pub(super) units: u64,
    pub(super) due: Instant,
    pub(super) ended: Instant,
    pub(super) result: Result<(), StepError>,
    /// How many of its steps were acknowledged.
    pub(super) steps: usize,
}

/// What a run tells while it goes on.
pub(super) enum Event {
    /// A job is due, and may be sent from now on.
    Due(Instant, u64),
    /// A job was due, and was never sent.
    Unsent(u64),
    Done(Done),
    /// Too many requests wait.
    Overloaded,
    /// No request will follow.
    Scheduled,
}

/// What everybody who asks has; clones share it.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) target: Target,
    pub(super) deadline: Duration,
    pub(super) events: Sender<Event>,
    pub(super) stop: Arc<AtomicBool>,
    /// Set when what still waits is too late.
    pub(super) late: Arc<AtomicBool>,
}

impl Asker {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.late.load(Ordering::Relaxed)
    }

    /// Asks for the steps of a job until one fails, or until the deadline of all of them.
    async fn work(&self, due: Instant, job: &Job) -> Done {
        let until = Instant::now() + self.deadline;
        let mut result = Ok(());
        let mut steps = 0;
        for step in &job.steps {
            result = self.target.ask_until(step, until).await;
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
}

/// Makes the ledger large before the run, by as many callers as may be in flight.
pub(super) async fn grow(
    options: &RunOptions,
    asker: &Asker,
    workload: &mut Workload,
    outcome: &mut Outcome,
) {
    let mut under_way = JoinSet::new();
    let mut left = options.workload.grown;
    while left > 0 || !under_way.is_empty() {
        if left > 0 && under_way.len() < options.in_flight && !asker.is_stopped() {
            left -= 1;
            let (asker, job) = (asker.clone(), workload.next_job());
            outcome.expect(job.number);
            under_way.spawn(async move { asker.work(Instant::now(), &job).await });
            continue;
        }
        let Some(Ok(done)) = under_way.join_next().await else {
            break;
        };
        outcome.settle(&done);
        if let Err(error) = done.result {
            // Without the ledger it was to have, the run would say nothing.
            let why = format!("the ledger could not be made large: {error}");
            outcome.stop(why, &asker.stop);
        }
    }
}

/// An open loop: a thread of its own keeps the time, and is never held up by the target.
pub(super) fn spawn_clock(
    options: &RunOptions,
    began: Instant,
    asker: Asker,
    mut workload: Workload,
) {
    let (due, waiting) = channel(options.backlog.max(1));
    let schedule = options.schedule.clone();
    let (events, stop) = (asker.events.clone(), Arc::clone(&asker.stop));
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
            let number = job.number;
            // The events' reader only counts: it makes room at once.
            if events.blocking_send(Event::Due(at, number)).is_err() {
                return;
            }
            if due.try_send(Due { at, job }).is_err() {
                let _ = events.blocking_send(Event::Unsent(number));
                let _ = events.blocking_send(Event::Overloaded);
                break;
            }
        }
        let _ = events.blocking_send(Event::Scheduled);
    });
    tokio::spawn(dispatch(waiting, asker, options.in_flight));
}

/// Sends what is due when there is room, until the run is stopped.
async fn dispatch(mut waiting: Receiver<Due>, asker: Asker, in_flight: usize) {
    let room = Arc::new(Semaphore::new(in_flight));
    while let Some(Due { at, job }) = waiting.recv().await {
        let permit = Arc::clone(&room).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        if asker.is_stopped() {
            let _ = asker.events.send(Event::Unsent(job.number)).await;
            continue;
        }
        let asker = asker.clone();
        tokio::spawn(async move {
            let done = asker.work(at, &job).await;
            drop(permit);
            let _ = asker.events.send(Event::Done(done)).await;
        });
    }
}

/// A closed loop: callers that wait for their answers.
pub(super) fn spawn_callers(
    options: &RunOptions,
    began: Instant,
    asker: &Asker,
    workload: Workload,
) {
    let end = began + Duration::from_secs_f64(options.schedule.seconds());
    let workload = Arc::new(Mutex::new(workload));
    for _ in 0..options.in_flight {
        let (asker, workload) = (asker.clone(), Arc::clone(&workload));
        tokio::spawn(async move {
            tokio::time::sleep_until(began.into()).await;
            loop {
                let job = workload.lock().await.next_job();
                let now = Instant::now();
                if now >= end || asker.is_stopped() {
                    return;
                }
                let _ = asker.events.send(Event::Due(now, job.number)).await;
                let done = asker.work(now, &job).await;
                if asker.events.send(Event::Done(done)).await.is_err() {
                    return;
                }
            }
        });
    }
}
