//! The two threads behind the history: one writes generations, one merges files. A merge of many
//! millions of ids takes seconds, and generations must not wait for it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};
use giro_core::generation::Generation;

use super::catalog::Catalog;
use super::workshop::{Workshop, Written, mergeable};
use crate::checkpoint::{Mark, Piece, is_mergeable};
use crate::error::StoreError;
use crate::reader::Reader;
use crate::run::Run;
use crate::writer::Pace;

/// What the threads report.
pub(super) enum Report {
    /// A generation is on disk.
    Written(Written),
    /// Runs became one.
    Merged(Arc<Run>),
    /// Pieces of the checkpoint became one.
    PiecesMerged(Arc<Piece>),
    /// Tried again by itself, or final.
    Failed(StoreError),
}

/// A generation to be written, and where the ledger is at its end.
pub struct Offer {
    /// The generation.
    pub generation: Arc<Generation>,
    /// The ledger's state that the generation does not have.
    pub mark: Mark,
}

/// What the merger looks after.
struct Kept {
    runs: Vec<Arc<Run>>,
    pieces: Vec<Arc<Piece>>,
}

/// A new generation's files, for the merger.
type New = (Arc<Run>, Arc<Piece>);

/// Both threads. Dropping it stops them; what they were about is given up.
pub(super) struct Threads {
    jobs: Option<Sender<Offer>>,
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
/// While ids follow time, most questions are answered by comparing with ranges, and merging would
/// be work for nothing. It is done where there are filters, or with so many runs.
const RUNS_UNMERGED_MAX: usize = 256;
/// How soon a thread that waits sees that it is to stop.
const STOP_WAIT: Duration = Duration::from_millis(20);

impl Threads {
    /// Starts them; `queue_max` generations may wait.
    pub(super) fn start(
        workshop: &Workshop,
        catalog: &Catalog,
        queue_max: usize,
    ) -> Result<Self, StoreError> {
        let kept = Kept {
            runs: catalog.runs.clone(),
            pieces: catalog.pieces.clone(),
        };
        let (jobs, work) = bounded(queue_max);
        let (reporter, reports) = unbounded();
        let (new, merges) = unbounded();
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
        let mut writer = Worker::new(workshop, reporter.clone(), false)?;
        let mut merger = Worker::new(workshop, reporter, true)?;
        let handles = vec![
            spawn(
                "giro-history",
                Box::new(move || writer.write_all(&work, &new)),
            )?,
            spawn(
                "giro-merge",
                Box::new(move || merger.merge_all(kept, &merges)),
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
    pub(super) fn offer(&self, offer: Offer) -> Result<(), Offer> {
        match &self.jobs {
            Some(jobs) => jobs.try_send(offer).map_err(TrySendError::into_inner),
            None => Err(offer),
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
    /// It merges files, and does not write generations.
    is_merger: bool,
}

impl Worker {
    fn new(
        workshop: &Workshop,
        reports: Sender<Report>,
        is_merger: bool,
    ) -> Result<Self, StoreError> {
        let dir = &workshop.names.segments;
        Ok(Self {
            workshop: workshop.clone(),
            reader: Reader::new().map_err(StoreError::io("buffer", dir))?,
            reports,
            is_merger,
        })
    }

    fn write_all(&mut self, work: &Receiver<Offer>, new: &Sender<New>) {
        while let Ok(offer) = work.recv() {
            let written = self.insist(|worker| {
                let (workshop, reader) = (&worker.workshop, &mut worker.reader);
                workshop.write(reader, &offer.generation, &offer.mark)
            });
            // Before the report: it says that nobody needs the generation any more.
            drop(offer);
            let Some(written) = written else {
                return;
            };
            let _ = new.send((Arc::clone(&written.run), Arc::clone(&written.piece)));
            let _ = self.reports.send(Report::Written(written));
        }
    }

    fn merge_all(&mut self, mut kept: Kept, new: &Receiver<New>) {
        loop {
            for (run, piece) in new.try_iter() {
                kept.runs.push(run);
                kept.pieces.push(piece);
            }
            if is_mergeable(&kept.pieces) {
                if self.merge_pieces(&mut kept.pieces).is_none() {
                    return;
                }
                continue;
            }
            for run in kept.runs.iter().filter(|run| run.wants_filters()) {
                let made = self.insist(|worker| run.make_filters(&mut worker.reader));
                if made.is_none() {
                    return;
                }
            }
            let runs = &kept.runs;
            let many = runs.len() > RUNS_UNMERGED_MAX;
            let due = |range: &Range<usize>| many || runs[range.clone()].iter().any(has_filters);
            if let Some(range) = mergeable(runs).filter(due) {
                if self.merge_runs(&mut kept.runs, range).is_none() {
                    return;
                }
                continue;
            }
            match new.recv_timeout(RETRY) {
                Ok((run, piece)) => {
                    kept.runs.push(run);
                    kept.pieces.push(piece);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn merge_pieces(&mut self, pieces: &mut Vec<Arc<Piece>>) -> Option<()> {
        let merged = self.insist(|worker| {
            let (workshop, reader) = (&worker.workshop, &mut worker.reader);
            workshop.merge_pieces(reader, pieces)
        })?;
        *pieces = vec![Arc::clone(&merged)];
        let _ = self.reports.send(Report::PiecesMerged(merged));
        Some(())
    }

    fn merge_runs(&mut self, runs: &mut Vec<Arc<Run>>, range: Range<usize>) -> Option<()> {
        let merged = self.insist(|worker| {
            let (workshop, reader) = (&worker.workshop, &mut worker.reader);
            workshop.merge(reader, &runs[range.clone()])
        })?;
        runs.splice(range, [Arc::clone(&merged)]);
        let _ = self.reports.send(Report::Merged(merged));
        Some(())
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
                Err(error) if error.is_passing() && self.is_merger => {
                    // Generations may fit where merged files don't: nobody waits for those.
                    tracing::warn!("merging files of the history: {error}");
                }
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
