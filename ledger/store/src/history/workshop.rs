//! Making files of the history: what its threads do, and tests do without threads.

use std::sync::Arc;

use giro_core::generation::Generation;
use giro_log::storage::Storage;

use super::names::Names;
use crate::error::StoreError;
use crate::reader::Reader;
use crate::run::merge::merge_runs;
use crate::run::write::write_run;
use crate::run::{Identity, Run};
use crate::scratch::ScratchPool;
use crate::segment::Segment;
use crate::segment::write::write_segment;
use crate::writer::Pace;

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

impl Workshop {
    /// Puts a generation on disk: durable when it returns.
    ///
    /// The segment comes last. A run without its segment is a leftover of a crash, and removed;
    /// a segment is never without its run.
    ///
    /// # Errors
    /// The system's. The same generation can be written again then.
    pub fn write(
        &self,
        reader: &mut Reader,
        generation: &Generation,
    ) -> Result<(Arc<Segment>, Arc<Run>), StoreError> {
        let number = generation.number;
        let storage = &*self.storage;
        let path = self.names.run(number, number);
        let (identity, pace) = (self.identity, &self.pace);
        self.scratch
            .with(|scratch| write_run(storage, &path, identity, pace, generation, scratch))?;
        let run = self.open_run(reader, number, number)?;
        let path = self.names.segment(number);
        self.scratch.with(|scratch| {
            write_segment(storage, &path, identity.cluster, pace, generation, scratch)
        })?;
        let segment = Segment::open(storage, &path, (self.identity.cluster, number), reader)?;
        Ok((Arc::new(segment), Arc::new(run)))
    }

    /// Opens a run that was just written.
    fn open_run(&self, reader: &mut Reader, first: u64, last: u64) -> Result<Run, StoreError> {
        let path = self.names.run(first, last);
        let run = Run::open(&*self.storage, &path, self.identity, (first, last), reader)?;
        // Whoever looks for an id should not have to wait for them.
        run.load_filters(reader)?;
        Ok(run)
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
        for run in runs {
            let path = run.file().path();
            storage
                .remove(path)
                .map_err(StoreError::io("remove", path))?;
        }
        let dir = &self.names.ids;
        storage
            .sync_dir(dir)
            .map_err(StoreError::io("flush", dir))?;
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
