//! The history as the executor sees it.

mod catalog;
mod find;
mod names;
mod retired;
mod threads;
mod workshop;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use giro_base::{Timestamp, Transfer};
use giro_log::storage::Storage;

pub use catalog::Catalog;
pub use find::{Answer, Fate, Question};
pub use names::Names;
pub use threads::Offer;
pub use workshop::{FAN_IN, Workshop, Written, mergeable};

use crate::error::StoreError;
use crate::pace::Pace;
use crate::reader::Reader;
use crate::run::{Identity, Run};
use crate::scratch::ScratchPool;
use crate::segment::Segment;
use threads::{Report, Threads};

/// How a history is kept.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Generations that may wait to be written.
    pub queue_max: usize,
    /// Rest of the background threads after each write of 512 KiB, at least. They rest more by
    /// themselves as long as there is time.
    pub rest: Duration,
    /// Reads all filters when it is opened. Otherwise each is read when an id first needs it.
    /// Ids that follow time have none; others cost 3.3 bytes of memory an id.
    pub load_filters: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_max: 4,
            rest: Duration::ZERO,
            load_filters: false,
        }
    }
}

/// A generation that is on disk now, durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its number.
    pub number: u64,
    /// Row behind its last one.
    pub end_row: u64,
    /// Index of the log's record that has its last op. Those before are not needed any more.
    pub record: u64,
}

/// A ledger's history.
pub struct History {
    catalog: Arc<Catalog>,
    reader: Reader,
    /// None where it is only read.
    threads: Option<Threads>,
    /// Generations offered.
    offered: u64,
    /// Nothing more is written.
    failed: bool,
}

/// Endings of finished files.
const ENDINGS: [&str; 3] = [".seg", ".run", ".chk"];

/// Makes the directories of an empty history.
///
/// # Errors
/// The system's, and that there is one already.
fn make_dirs(storage: &dyn Storage, names: &Names, dir: &Path) -> Result<(), StoreError> {
    for made in [&names.segments, &names.ids, &names.checkpoints] {
        storage
            .create_dir(made)
            .map_err(StoreError::io("create", made))?;
    }
    for made in [&names.checkpoints, &names.ids, &names.segments, dir] {
        let found = storage.list(made).map_err(StoreError::io("list", made))?;
        let ours = |name: &String| ENDINGS.iter().any(|ending| name.ends_with(ending));
        if found.iter().any(ours) {
            return Err(StoreError::AlreadyThere {
                dir: made.to_path_buf(),
            });
        }
        storage
            .sync_dir(made)
            .map_err(StoreError::io("flush", made))?;
    }
    Ok(())
}

/// A history that was found on disk, and not begun to be written. Nothing was changed yet.
pub struct Found {
    workshop: Workshop,
    catalog: Catalog,
    reader: Reader,
    queue_max: usize,
    /// What a crash left behind.
    leftovers: Vec<PathBuf>,
}

impl Found {
    /// Looks at the history under a ledger's directory.
    ///
    /// # Errors
    /// As [`History::open`].
    pub fn open(
        storage: Arc<dyn Storage>,
        dir: &Path,
        identity: Identity,
        options: Options,
    ) -> Result<Self, StoreError> {
        let workshop = Workshop {
            storage,
            names: Names::new(dir),
            identity,
            pace: Pace::with_rest(options.rest),
            scratch: ScratchPool::default(),
        };
        let mut reader = Reader::new().map_err(StoreError::io("buffer", dir))?;
        let (catalog, leftovers) = Catalog::open(&workshop, &mut reader)?;
        if options.load_filters {
            for run in &catalog.runs {
                run.load_filters(&mut reader)?;
            }
        }
        Ok(Self {
            workshop,
            catalog,
            reader,
            queue_max: options.queue_max,
            leftovers,
        })
    }

    /// What is there.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Removes what a crash left behind, and starts the history's threads. Leftovers are made
    /// again from the log: whoever calls this has seen that it is there.
    ///
    /// # Errors
    /// The system's.
    pub fn begin(self) -> Result<History, StoreError> {
        self.workshop.clean_up(&self.leftovers)?;
        let threads = Threads::start(&self.workshop, &self.catalog, self.queue_max)?;
        Ok(History::assemble(self.catalog, self.reader, Some(threads)))
    }
}

impl History {
    /// Makes an empty history under a ledger's directory, also where an earlier attempt was cut
    /// short.
    ///
    /// # Errors
    /// The system's, and that there is one already.
    pub fn create(storage: &dyn Storage, dir: &Path) -> Result<(), StoreError> {
        make_dirs(storage, &Names::new(dir), dir)
    }

    /// Opens the history under a ledger's directory, removes what a crash left behind, and
    /// starts its threads.
    ///
    /// # Errors
    /// The system's; that a file is damaged, foreign or missing, by name.
    pub fn open(
        storage: Arc<dyn Storage>,
        dir: &Path,
        identity: Identity,
        options: Options,
    ) -> Result<Self, StoreError> {
        Found::open(storage, dir, identity, options)?.begin()
    }

    /// Opens what is there for reading only: nothing on disk changes, and nothing can be offered.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(
        storage: Arc<dyn Storage>,
        dir: &Path,
        identity: Identity,
    ) -> Result<Self, StoreError> {
        let workshop = Workshop {
            storage,
            names: Names::new(dir),
            identity,
            pace: Pace::default(),
            scratch: ScratchPool::default(),
        };
        let mut reader = Reader::new().map_err(StoreError::io("buffer", dir))?;
        let catalog = Self::read(&workshop, &mut reader)?;
        Ok(Self::assemble(catalog, reader, None))
    }

    fn assemble(catalog: Catalog, reader: Reader, threads: Option<Threads>) -> Self {
        Self {
            offered: catalog.generations(),
            catalog: Arc::new(catalog),
            reader,
            threads,
            failed: false,
        }
    }

    /// As [`open_read_only`](Self::open_read_only), without anything around it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(workshop: &Workshop, reader: &mut Reader) -> Result<Catalog, StoreError> {
        Ok(Catalog::open(workshop, reader)?.0)
    }

    /// Offers the next generation to be written. Gives it back when the queue is full.
    ///
    /// # Errors
    /// The generation, to be offered again later.
    ///
    /// # Panics
    /// When it is not the next one, or the history is only read.
    pub fn offer(&mut self, offer: Offer) -> Result<(), Offer> {
        let number = offer.generation.number;
        assert_eq!(number, self.offered, "generations come in order");
        let threads = self.threads.as_ref().expect("the history may be written");
        threads.offer(offer)?;
        self.offered += 1;
        Ok(())
    }

    /// The next generation that came to be on disk, if any. Never waits.
    ///
    /// # Errors
    /// One that [passes](StoreError::is_passing), a full disk for instance: the generation is tried
    /// again every second. Any other is final.
    pub fn poll(&mut self) -> Result<Option<Built>, StoreError> {
        self.poll_for(Duration::ZERO)
    }

    /// As [`poll`](Self::poll), but waits for up to `wait`.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn poll_for(&mut self, wait: Duration) -> Result<Option<Built>, StoreError> {
        let Some(threads) = &self.threads else {
            return Ok(None);
        };
        let start = Instant::now();
        loop {
            if self.failed {
                return Err(StoreError::Stopped);
            }
            match threads.report(wait.saturating_sub(start.elapsed())) {
                None => return Ok(None),
                Some(Report::Written(written)) => {
                    let built = Built {
                        number: written.segment.number(),
                        end_row: written.segment.end_row(),
                        record: written.piece.state().record,
                    };
                    Arc::make_mut(&mut self.catalog).push(written);
                    return Ok(Some(built));
                }
                Some(Report::Merged(run)) => Arc::make_mut(&mut self.catalog).replace(run),
                Some(Report::Sieved(sieve)) => Arc::make_mut(&mut self.catalog).sift(sieve),
                Some(Report::PiecesMerged(piece)) => {
                    Arc::make_mut(&mut self.catalog).replace_pieces(piece);
                }
                Some(Report::Failed(error)) => {
                    self.failed = !error.is_passing();
                    return Err(error);
                }
            }
        }
    }

    /// Generations on disk: the number of the next one.
    #[must_use]
    pub fn generations(&self) -> u64 {
        self.catalog.generations()
    }

    /// Row behind the last one on disk.
    #[must_use]
    pub fn end_row(&self) -> u64 {
        self.catalog.end_row()
    }

    /// How much of the generation being written is on disk, of 1, about. 0 when none is being
    /// written.
    #[must_use]
    pub fn done(&self) -> f64 {
        self.threads.as_ref().map_or(0.0, Threads::done)
    }

    /// What is on disk now, for other threads and for cursors. It stays readable.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The reader of this thread, for cursors.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Whether an id can be in the history; a no is certain. Looks at memory only.
    #[inline]
    #[must_use]
    pub fn may_hold(&self, hash: u64, id: u128) -> bool {
        self.catalog.may_hold(hash, id)
    }

    /// Largest id that may be there; 0 if there is none.
    #[must_use]
    pub fn id_max(&self) -> u128 {
        self.catalog.id_max()
    }

    /// Asks for the memory that [`may_hold`](Self::may_hold) will need.
    #[inline]
    pub fn prefetch(&self, hash: u64, id: u128) {
        self.catalog.prefetch(hash, id);
    }

    /// Answers questions about ids. All of them wait for the disk together.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn find(&mut self, questions: &mut [Question]) -> Result<(), StoreError> {
        self.catalog.find(&mut self.reader, questions)
    }

    /// The transfer in a row; none if it is not on disk.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn transfer_at(&mut self, row: u64) -> Result<Option<Transfer>, StoreError> {
        self.catalog.transfer_at(&mut self.reader, row)
    }

    /// The first row not before `timestamp`; none if it is not on disk.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn row_at_or_after(&mut self, timestamp: Timestamp) -> Result<Option<u64>, StoreError> {
        self.catalog.row_at_or_after(&mut self.reader, timestamp)
    }

    /// Whether a transfer on disk has exactly this timestamp.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn has_timestamp(&mut self, timestamp: Timestamp) -> Result<bool, StoreError> {
        let Some(row) = self.row_at_or_after(timestamp)? else {
            return Ok(false);
        };
        let found = self.transfer_at(row)?;
        Ok(found.is_some_and(|transfer| transfer.timestamp == timestamp))
    }
}

impl Catalog {
    /// As [`History::may_hold`].
    #[inline]
    #[must_use]
    pub fn may_hold(&self, hash: u64, id: u128) -> bool {
        // Ids that rise end here, however many runs there are.
        if !self.range.contains(id) {
            return false;
        }
        self.sieves.iter().any(|sieve| sieve.may_hold(hash))
            || self
                .unsieved_in_range(id)
                .any(|run| run.filter_passes(hash))
    }

    /// As [`History::id_max`].
    #[must_use]
    pub fn id_max(&self) -> u128 {
        self.range.max
    }

    /// As [`History::prefetch`].
    #[inline]
    pub fn prefetch(&self, hash: u64, id: u128) {
        if self.range.contains(id) {
            self.sieves.iter().for_each(|sieve| sieve.prefetch(hash));
            self.unsieved_in_range(id)
                .for_each(|run| run.prefetch(hash));
        }
    }

    /// As [`prefetch`](Self::prefetch), a little later: what came first says where to go on.
    #[inline]
    pub fn prefetch_again(&self, hash: u64, id: u128) {
        if self.range.contains(id) {
            self.sieves
                .iter()
                .for_each(|sieve| sieve.prefetch_again(hash));
            self.unsieved_in_range(id)
                .for_each(|run| run.prefetch_again(hash));
        }
    }

    #[inline]
    fn unsieved_in_range(&self, id: u128) -> impl Iterator<Item = &Run> {
        let unsieved = self.unsieved.iter().rev();
        let in_range = unsieved.filter(move |run| self.ranges[**run].contains(id));
        in_range.map(|run| &*self.runs[*run])
    }

    /// As [`History::find`].
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn find(&self, reader: &mut Reader, questions: &mut [Question]) -> Result<(), StoreError> {
        find::find(self, reader, questions)
    }

    /// As [`History::transfer_at`].
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn transfer_at(
        &self,
        reader: &mut Reader,
        row: u64,
    ) -> Result<Option<Transfer>, StoreError> {
        let Some(segment) = self.segment_of_row(row) else {
            return Ok(None);
        };
        let mut found = None;
        let offset = row - segment.first_row();
        segment.transfers(reader, &[offset], |_, transfer| found = Some(*transfer))?;
        Ok(found)
    }

    /// The transfers in many rows, in any order, read together. None of a row that is not on disk.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn transfers_at(
        &self,
        reader: &mut Reader,
        rows: &[u64],
    ) -> Result<Vec<Option<Transfer>>, StoreError> {
        let mut places: Vec<(u64, usize)> = rows.iter().copied().zip(0..).collect();
        places.sort_unstable();
        let mut found = vec![None; rows.len()];
        let mut rest = &places[..];
        while let Some((row, _)) = rest.first() {
            let Some(segment) = self.segment_of_row(*row) else {
                break;
            };
            let own = rest.partition_point(|(row, _)| *row < segment.end_row());
            let (here, behind) = rest.split_at(own);
            rest = behind;
            let offsets = here.iter().map(|(row, _)| row - segment.first_row());
            let offsets: Vec<u64> = offsets.collect();
            segment.transfers(reader, &offsets, |place, transfer| {
                found[here[place].1] = Some(*transfer);
            })?;
        }
        Ok(found)
    }

    /// As [`History::row_at_or_after`].
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn row_at_or_after(
        &self,
        reader: &mut Reader,
        timestamp: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let Some(segment) = self.segment_at_or_after(timestamp) else {
            return Ok(None);
        };
        let offset = Segment::offset_at_or_after(segment, reader, timestamp)?;
        Ok(Some(segment.first_row() + u64::from(offset)))
    }
}
