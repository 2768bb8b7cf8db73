//! Making files of the history: what its threads do, and tests do without threads.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use giro_core::generation::Generation;
use giro_log::storage::Storage;

use super::catalog::Catalog;
use super::names::Names;
use crate::checkpoint::{Mark, Piece, merge_pieces, write_piece};
use crate::error::StoreError;
use crate::pace::Pace;
use crate::reader::Reader;
use crate::run::merge::merge_runs;
use crate::run::write::write_run;
use crate::run::{Identity, Run};
use crate::scratch::ScratchPool;
use crate::segment::Segment;
use crate::segment::write::write_segment;
use crate::sieve::Sieve;

/// So many runs of a level are merged to one of the next.
pub const FAN_IN: usize = 8;

/// Writes and merges files of one ledger's history.
#[derive(Clone)]
pub struct Workshop {
    /// Where files are.
    pub storage: Arc<dyn Storage>,
    /// What they are called.
    pub names: Names,
    /// Whose they are.
    pub identity: Identity,
    /// How slowly they are written.
    pub pace: Pace,
    /// Memory they are made in.
    pub scratch: ScratchPool,
}

/// The files of a generation.
pub struct Written {
    /// Its transfers.
    pub segment: Arc<Segment>,
    /// Its ids.
    pub run: Arc<Run>,
    /// What it changed.
    pub piece: Arc<Piece>,
    /// Its ids in memory, where their range does not tell them from others.
    pub sieve: Option<Arc<Sieve>>,
}

impl Workshop {
    /// Opens what is there and removes what a crash left behind.
    ///
    /// # Errors
    /// The system's; that a file is damaged, foreign, or missing.
    pub fn recover(&self, reader: &mut Reader) -> Result<Catalog, StoreError> {
        let (catalog, leftovers) = Catalog::open(self, reader)?;
        self.clean_up(&leftovers)?;
        Ok(catalog)
    }

    /// Makes the names durable that were found, and only then removes what they replace: the
    /// process that gave them may have ended before it flushed them.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn clean_up(&self, leftovers: &[PathBuf]) -> Result<(), StoreError> {
        let Names {
            segments,
            ids,
            checkpoints,
        } = &self.names;
        for dir in [segments, ids, checkpoints] {
            self.flush(dir)?;
        }
        for dir in [segments, ids, checkpoints] {
            let here = leftovers.iter().filter(|path| path.parent() == Some(dir));
            let here: Vec<&Path> = here.map(PathBuf::as_path).collect();
            if !here.is_empty() {
                let (files, place) = (here.len(), dir.display());
                tracing::info!(files, dir = %place, "removing what a crash left behind");
                self.remove(dir, here.into_iter())?;
            }
        }
        Ok(())
    }

    /// Puts a generation on disk: durable when it returns.
    ///
    /// The piece of the checkpoint comes last. What has none is a leftover of a crash, and
    /// removed; a piece is never without segment and run.
    ///
    /// # Errors
    /// The system's. The same generation can be written again then.
    pub fn write(
        &self,
        reader: &mut Reader,
        generation: &Generation,
        mark: &Mark,
    ) -> Result<Written, StoreError> {
        let number = generation.number;
        let storage = &*self.storage;
        let path = self.names.run(number, number);
        let (identity, pace) = (self.identity, &self.pace);
        self.scratch
            .with(|scratch| write_run(storage, &path, identity, pace, generation, scratch))?;
        let run = self.open_run(reader, number, number)?;
        // Whoever looks for an id should not have to wait for it.
        let sieve = run.has_filters().then(|| Sieve::of(&run, reader));
        let sieve = sieve.transpose()?.map(Arc::new);
        let path = self.names.segment(number);
        let cluster = identity.cluster;
        self.scratch
            .with(|scratch| write_segment(storage, &path, cluster, pace, generation, scratch))?;
        let segment = Segment::open(storage, &path, (cluster, number), reader)?;
        let path = self.names.piece(number, number);
        self.scratch.with(|scratch| {
            write_piece(storage, &path, cluster, (pace, scratch), (generation, mark))
        })?;
        let piece = Piece::open(storage, &path, cluster, (number, number), reader)?;
        Ok(Written {
            segment: Arc::new(segment),
            run: Arc::new(run),
            piece,
            sieve,
        })
    }

    /// Makes one piece of all the checkpoint's pieces, and removes them once it is durable.
    ///
    /// # Errors
    /// The system's. The pieces are there as before then.
    ///
    /// # Panics
    /// When there are not two pieces.
    pub fn merge_pieces(
        &self,
        reader: &mut Reader,
        pieces: &[Arc<Piece>],
    ) -> Result<Arc<Piece>, StoreError> {
        let last = match pieces {
            [_, .., last] => last.last(),
            _ => panic!("two pieces or more are merged"),
        };
        let (storage, cluster) = (&*self.storage, self.identity.cluster);
        let path = self.names.piece(0, last);
        let pace = &self.pace;
        self.scratch.with(|scratch| {
            merge_pieces(storage, &path, cluster, (pace, reader, scratch), pieces)
        })?;
        let merged = Piece::open(storage, &path, cluster, (0, last), reader)?;
        let old = pieces.iter().map(|piece| piece.file().path());
        self.remove(&self.names.checkpoints, old)?;
        Ok(merged)
    }

    fn remove<'p>(
        &self,
        dir: &Path,
        paths: impl Iterator<Item = &'p Path>,
    ) -> Result<(), StoreError> {
        let mut files = Vec::new();
        for path in paths {
            match self.storage.remove(path) {
                // An attempt before this one did it, and then found no room to go on.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => files.push(removed.map_err(StoreError::io("remove", path))?),
            }
        }
        // Before the blocks of any are given back: a name that comes back finds its file whole.
        let flushed = self.flush(dir);
        if flushed.is_err() {
            std::mem::forget(files);
        }
        flushed
    }

    fn flush(&self, dir: &Path) -> Result<(), StoreError> {
        let flushed = self.storage.sync_dir(dir);
        flushed.map_err(StoreError::io("flush", dir))
    }

    /// Opens a run that was just written.
    fn open_run(&self, reader: &mut Reader, first: u64, last: u64) -> Result<Run, StoreError> {
        let path = self.names.run(first, last);
        Run::open(&*self.storage, &path, self.identity, (first, last), reader)
    }

    /// Merges runs that follow each other, and removes them once the merged one is durable.
    ///
    /// # Errors
    /// The system's. The runs are there as before then.
    pub fn merge(&self, reader: &mut Reader, runs: &[Arc<Run>]) -> Result<Arc<Run>, StoreError> {
        let (first, last) = match runs {
            [first, .., last] => (first.first(), last.last()),
            _ => panic!("two runs or more are merged"),
        };
        let storage = &*self.storage;
        let path = self.names.run(first, last);
        let (identity, pace) = (self.identity, &self.pace);
        self.scratch
            .with(|scratch| merge_runs(storage, &path, identity, (pace, reader, scratch), runs))?;
        let merged = self.open_run(reader, first, last)?;
        let old = runs.iter().map(|run| run.file().path());
        self.remove(&self.names.ids, old)?;
        Ok(Arc::new(merged))
    }
}

/// The runs to merge next, if any: the oldest [`FAN_IN`] of a level that has so many.
#[must_use]
pub fn mergeable(runs: &[Arc<Run>]) -> Option<std::ops::Range<usize>> {
    let mut end = runs.len();
    while end > 0 {
        let level = runs[end - 1].level();
        let same = runs[..end].iter().rev().take_while(|r| r.level() == level);
        let start = end - same.count();
        if end - start >= FAN_IN {
            return Some(start..start + FAN_IN);
        }
        end = start;
    }
    None
}
