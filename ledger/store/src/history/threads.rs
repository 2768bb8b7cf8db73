//! The two threads behind the history: one writes generations, one merges files. A merge of many
//! millions of ids takes seconds, and generations must not wait for it.

use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use giro_core::generation::Generation;

use super::catalog::{Catalog, is_sieved, take_sieve};
use super::retired::Retired;
use super::workshop::{Workshop, Written, mergeable};
use crate::checkpoint::{Mark, Piece, is_mergeable};
use crate::error::StoreError;
use crate::pace::{Pace, Task, Tempo};
use crate::reader::Reader;
use crate::run::Run;
use crate::sieve::{self, Sieve};

/// What the threads report.
pub(super) enum Report {
    /// A generation is on disk.
    Written(Written),
    /// Runs became one.
    Merged(Arc<Run>),
    /// Ids are in a sieve now, or sieves became one.
    Sieved(Arc<Sieve>),
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
    sieves: Vec<Arc<Sieve>>,
}

impl Kept {
    /// Takes a new generation's.
    fn take(&mut self, (run, piece, sieve): New) {
        self.runs.push(run);
        self.pieces.push(piece);
        if let Some(sieve) = sieve {
            let covered = take_sieve(&mut self.sieves, sieve);
            debug_assert!(covered.is_empty(), "nobody else has these ids");
        }
    }

    /// The first run whose ids are to be in a sieve, and are not.
    fn unsieved(&self) -> Option<Arc<Run>> {
        let mut runs = self.runs.iter();
        let due = |run: &Run| run.has_filters() || run.wants_sieve();
        runs.find(|run| due(run) && !is_sieved(run, &self.sieves))
            .cloned()
    }

    /// The runs to merge next, if any.
    fn mergeable_runs(&self) -> Option<Range<usize>> {
        let many = self.runs.len() > RUNS_UNMERGED_MAX;
        many.then(|| mergeable(&self.runs)).flatten()
    }
}

/// A generation to be written, and when it was complete.
type Job = (Offer, Instant);
/// A new generation, for the merger.
type New = (Arc<Run>, Arc<Piece>, Option<Arc<Sieve>>);

/// Both threads. Dropping it stops them; what they were about is given up.
pub(super) struct Threads {
    jobs: Option<Sender<Job>>,
    reports: Receiver<Report>,
    pace: Pace,
    handles: Vec<JoinHandle<()>>,
}

/// Gives the calling thread its place among those that want the processor.
fn set_nice(nice: i32) {
    // Without the right to it, the thread works as any other.
    let _ = rustix::process::setpriority_process(None, nice);
}

/// The writer goes first. It takes less than payments do, but they wait for it when it does not
/// keep up: let it step back, and they have the processors for themselves until they all stop.
const WRITER_NICE: i32 = -5;
/// Nobody waits for the merger.
const MERGER_NICE: i32 = 10;
/// Between attempts while the disk is full.
const RETRY: Duration = Duration::from_secs(1);
/// Most questions are answered from memory, and merging files would be work for nothing. With so
/// many runs it begins.
const RUNS_UNMERGED_MAX: usize = 256;
/// How soon a thread that waits sees that it is to stop.
const STOP_WAIT: Duration = Duration::from_millis(20);
/// How long the merger waits for others to let go of files that it has merged, before the next ones
/// take room as well. The ledger does so in its next turn.
const RETIRED_WAIT: Duration = Duration::from_millis(100);
const RETIRED_STEP: Duration = Duration::from_millis(1);

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
            sieves: catalog.sieves.clone(),
        };
        let (jobs, work) = bounded(queue_max);
        let (reporter, reports) = unbounded();
        let (new, merges) = unbounded();
        let dir = workshop.names.segments.clone();
        let spawn = |name: &str, nice: i32, body: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread
                .spawn(move || {
                    set_nice(nice);
                    body();
                })
                .map_err(StoreError::io("start a thread for", &dir))
        };
        let mut writer = Worker::new(workshop, reporter.clone(), false)?;
        let mut merger = Worker::new(workshop, reporter, true)?;
        let handles = vec![
            spawn(
                "giro-history",
                WRITER_NICE,
                Box::new(move || writer.write_all(&work, &new)),
            )?,
            spawn(
                "giro-merge",
                MERGER_NICE,
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
            Some(jobs) => {
                // Whoever is at work is late. Otherwise this is forgotten as work begins.
                self.pace.hurry();
                let sent = jobs.try_send((offer, Instant::now()));
                sent.map_err(|refused| refused.into_inner().0)
            }
            None => Err(offer),
        }
    }

    /// See [`Pace::done`].
    pub(super) fn done(&self) -> f64 {
        self.pace.done()
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
        self.pace.stop();
        self.jobs = None;
        for handle in self.handles.drain(..) {
            if handle.join().is_err() {
                tracing::error!("a thread of the history panicked");
            }
        }
    }
}

fn task(generation: &Generation, complete: Instant, alone: bool) -> Task {
    let rows = &generation.transfers;
    let mut ends = rows.first().into_iter().chain(rows.last());
    let [first, last] = [(); 2].map(|()| ends.next().map_or(0, |row| row.timestamp));
    Task {
        complete,
        filled_in: Duration::from_nanos(last.saturating_sub(first)),
        rows: rows.len(),
        alone,
    }
}

struct Worker {
    workshop: Workshop,
    reader: Reader,
    reports: Sender<Report>,
    /// It merges files, and does not write generations.
    is_merger: bool,
    /// What it has merged.
    retired: Retired,
}

impl Worker {
    fn new(
        workshop: &Workshop,
        reports: Sender<Report>,
        is_merger: bool,
    ) -> Result<Self, StoreError> {
        let dir = &workshop.names.segments;
        let mut workshop = workshop.clone();
        if is_merger {
            workshop.pace = workshop.pace.of_merger();
        }
        Ok(Self {
            workshop,
            reader: Reader::new().map_err(StoreError::io("buffer", dir))?,
            reports,
            is_merger,
            retired: Retired::default(),
        })
    }

    fn write_all(&mut self, work: &Receiver<Job>, new: &Sender<New>) {
        let mut tempo = Tempo::default();
        while let Ok((offer, complete)) = work.recv() {
            let task = task(&offer.generation, complete, work.is_empty());
            tempo.begin(&mut self.workshop.pace, task);
            let start = Instant::now();
            let written = self.insist(|worker| {
                let (workshop, reader) = (&worker.workshop, &mut worker.reader);
                workshop.write(reader, &offer.generation, &offer.mark)
            });
            tempo.end(&self.workshop.pace, start.elapsed());
            // Before the report: it says that nobody needs the generation any more.
            drop(offer);
            let Some(written) = written else {
                return;
            };
            let (run, piece) = (Arc::clone(&written.run), Arc::clone(&written.piece));
            let generation = (run, piece, written.sieve.clone());
            // Before what the merger makes of it.
            let _ = self.reports.send(Report::Written(written));
            let _ = new.send(generation);
        }
    }

    fn merge_all(&mut self, mut kept: Kept, new: &Receiver<New>) {
        loop {
            new.try_iter().for_each(|new| kept.take(new));
            self.retired.let_go();
            // Looking for ids waits for disk without sieves, and is slower with many.
            if let Some(run) = kept.unsieved() {
                let made = self.insist(|worker| Sieve::of(&run, &mut worker.reader));
                let Some(sieve) = made else {
                    return;
                };
                self.sift(&mut kept, sieve);
                continue;
            }
            if let Some(younger) = sieve::mergeable(&kept.sieves) {
                let merged = sieve::merge(&kept.sieves[younger - 1], &kept.sieves[younger]);
                self.sift(&mut kept, merged);
                continue;
            }
            self.wait_for_readers();
            if is_mergeable(&kept.pieces) {
                if self.merge_pieces(&mut kept).is_none() {
                    return;
                }
                continue;
            }
            if let Some(range) = kept.mergeable_runs() {
                if self.merge_runs(&mut kept, range).is_none() {
                    return;
                }
                continue;
            }
            match new.recv_timeout(RETRY) {
                Ok(new) => kept.take(new),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn sift(&mut self, kept: &mut Kept, sieve: Sieve) {
        let sieve = Arc::new(sieve);
        let covered = take_sieve(&mut kept.sieves, Arc::clone(&sieve));
        self.retired.take(covered);
        let _ = self.reports.send(Report::Sieved(sieve));
    }

    fn merge_pieces(&mut self, kept: &mut Kept) -> Option<()> {
        let merged = self.insist(|worker| {
            let (workshop, reader) = (&worker.workshop, &mut worker.reader);
            workshop.merge_pieces(reader, &kept.pieces)
        })?;
        self.retired.take(kept.pieces.drain(..));
        kept.pieces.push(Arc::clone(&merged));
        let _ = self.reports.send(Report::PiecesMerged(merged));
        Some(())
    }

    fn merge_runs(&mut self, kept: &mut Kept, range: Range<usize>) -> Option<()> {
        let merged = self.insist(|worker| {
            let (workshop, reader) = (&worker.workshop, &mut worker.reader);
            workshop.merge(reader, &kept.runs[range.clone()])
        })?;
        let replaced = kept.runs.splice(range, [Arc::clone(&merged)]);
        self.retired.take(replaced);
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
            self.workshop.pace.begin();
            // Their room may be what is missing.
            self.retired.let_go();
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

    /// Lets go of what was merged once nobody else has it, or waits for a while in vain.
    fn wait_for_readers(&mut self) {
        let start = Instant::now();
        while !self.retired.is_empty()
            && start.elapsed() < RETIRED_WAIT
            && !self.workshop.pace.is_over()
        {
            std::thread::sleep(RETIRED_STEP);
            self.retired.let_go();
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
