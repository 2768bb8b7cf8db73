//! The two threads behind the history: one writes generations, one merges runs. A merge of many
//! millions of ids takes seconds, and generations must not wait for it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};
use giro_core::generation::Generation;

use super::workshop::{Workshop, mergeable};
use crate::error::StoreError;
use crate::reader::Reader;
use crate::run::Run;
use crate::segment::Segment;
use crate::writer::Pace;

/// What the threads report.
pub(super) enum Report {
    /// A generation is on disk.
    Written(Arc<Segment>, Arc<Run>),
    /// Runs became one.
    Merged(Arc<Run>),
    /// Tried again by itself, or final.
    Failed(StoreError),
}

/// Both threads. Dropping it stops them; what they were about is given up.
pub(super) struct Threads {
    jobs: Option<Sender<Arc<Generation>>>,
    reports: Receiver<Report>,
    pace: Pace,
    handles: Vec<JoinHandle<()>>,
}

/// Lets payments go first: the calling thread takes what processor time they leave.
fn yield_to_others() {
    // Without the right to it, the thread works as any other.
    let _ = rustix::process::setpriority_process(None, BACKGROUND_NICE);
}

/// How far the background steps back, of 19 at most.
const BACKGROUND_NICE: i32 = 10;
/// Between attempts while the disk is full.
const RETRY: Duration = Duration::from_secs(1);
/// While ids follow time, most questions are answered by comparing with ranges, and merging would be
/// work for nothing. It is done where there are filters, or with so many runs.
const RUNS_UNMERGED_MAX: usize = 256;
/// How soon a thread that waits sees that it is to stop.
const STOP_WAIT: Duration = Duration::from_millis(20);

impl Threads {
    /// Starts them; `queue_max` generations may wait.
    pub(super) fn start(
        workshop: &Workshop,
        runs: Vec<Arc<Run>>,
        queue_max: usize,
    ) -> Result<Self, StoreError> {
        let (jobs, work) = bounded(queue_max);
        let (reporter, reports) = unbounded();
        let (new_runs, merges) = unbounded();
        let dir = workshop.names.segments.clone();
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread
                .spawn(move || {
                    yield_to_others();
                    body();
                })
                .map_err(StoreError::io("start a thread for", &dir))
        };
        let mut writer = Worker::new(workshop, reporter.clone())?;
        let mut merger = Worker::new(workshop, reporter)?;
        let handles = vec![
            spawn(
                "giro-history",
                Box::new(move || writer.write_all(&work, &new_runs)),
            )?,
            spawn(
                "giro-merge",
                Box::new(move || merger.merge_all(runs, &merges)),
            )?,
        ];
        Ok(Self {
            jobs: Some(jobs),
            reports,
            pace: workshop.pace.clone(),
            handles,
        })
    }

    /// Gives a generation to the writer; gives it back when so many wait already.
    pub(super) fn offer(&self, generation: Arc<Generation>) -> Result<(), Arc<Generation>> {
        match &self.jobs {
            Some(jobs) => jobs.try_send(generation).map_err(TrySendError::into_inner),
            None => Err(generation),
        }
    }

    /// The next report that is there, or one that comes within `wait`.
    pub(super) fn report(&self, wait: Duration) -> Option<Report> {
        if wait.is_zero() {
            return self.reports.try_recv().ok();
        }
        self.reports.recv_timeout(wait).ok()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.pace.stop.store(true, Ordering::Release);
        self.jobs = None;
        for handle in self.handles.drain(..) {
            if handle.join().is_err() {
                tracing::error!("a thread of the history panicked");
            }
        }
    }
}

fn has_filters(run: &Arc<Run>) -> bool {
    run.has_filters()
}

struct Worker {
    workshop: Workshop,
    reader: Reader,
    reports: Sender<Report>,
}

impl Worker {
    fn new(workshop: &Workshop, reports: Sender<Report>) -> Result<Self, StoreError> {
        let dir = &workshop.names.segments;
        Ok(Self {
            workshop: workshop.clone(),
            reader: Reader::new().map_err(StoreError::io("buffer", dir))?,
            reports,
        })
    }

    fn write_all(&mut self, work: &Receiver<Arc<Generation>>, new_runs: &Sender<Arc<Run>>) {
        while let Ok(generation) = work.recv() {
            let written = self.insist(|worker| {
                let (workshop, reader) = (&worker.workshop, &mut worker.reader);
                workshop.write(reader, &generation)
            });
            // Before the report: it says that nobody needs the generation any more.
            drop(generation);
            let Some((segment, run)) = written else {
                return;
            };
            let _ = new_runs.send(Arc::clone(&run));
            let _ = self.reports.send(Report::Written(segment, run));
        }
    }

    fn merge_all(&mut self, mut runs: Vec<Arc<Run>>, merges: &Receiver<Arc<Run>>) {
        loop {
            runs.extend(merges.try_iter());
            for run in runs.iter().filter(|run| run.wants_filters()) {
                let made = self.insist(|worker| run.make_filters(&mut worker.reader));
                if made.is_none() {
                    return;
                }
            }
            let many = runs.len() > RUNS_UNMERGED_MAX;
            let due = |range: &Range<usize>| many || runs[range.clone()].iter().any(has_filters);
            let Some(range) = mergeable(&runs).filter(due) else {
                match merges.recv_timeout(RETRY) {
                    Ok(run) => runs.push(run),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                continue;
            };
            let merged = self.insist(|worker| {
                let (workshop, reader) = (&worker.workshop, &mut worker.reader);
                workshop.merge(reader, &runs[range.clone()])
            });
            let Some(merged) = merged else {
                return;
            };
            runs.splice(range, [Arc::clone(&merged)]);
            let _ = self.reports.send(Report::Merged(merged));
        }
    }

    /// Tries until it works, or it is plain that it never will, or the history is closed.
    fn insist<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, StoreError>,
    ) -> Option<T> {
        loop {
            if self.workshop.pace.is_over() {
                return None;
            }
            match attempt(self) {
                Ok(made) => return Some(made),
                Err(error) => {
                    let passing = error.is_passing();
                    let _ = self.reports.send(Report::Failed(error));
                    if !passing {
                        return None;
                    }
                }
            }
            self.rest();
        }
    }

    fn rest(&self) {
        let mut left = RETRY;
        while !left.is_zero() && !self.workshop.pace.is_over() {
            std::thread::sleep(STOP_WAIT);
            left = left.saturating_sub(STOP_WAIT);
        }
    }
}
