//! Merging runs into one, in bounded memory: entries and burned ids stream through.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use giro_log::storage::Storage;

use super::entries::{IdRange, Order};
use super::write::{RunPlan, RunWriter};
use super::{Identity, Run};
use crate::error::StoreError;
use crate::format::{Entry, EntryKind, Record, Section};
use crate::pace::Pace;
use crate::reader::Reader;
use crate::scratch::Scratch;
use crate::sort::sort;

/// Records read at once from each source, in pages.
const READ_PAGES: u64 = 64;

/// Some records of a run, read piece by piece.
struct Stream<T> {
    run: Arc<Run>,
    sections: VecDeque<Section>,
    done: u64,
    read: Vec<T>,
    /// So many of those are used.
    used: usize,
}

impl<T: Record> Stream<T> {
    fn new(run: &Arc<Run>, sections: impl IntoIterator<Item = Section>) -> Self {
        Self {
            run: Arc::clone(run),
            sections: sections.into_iter().collect(),
            done: 0,
            read: Vec::new(),
            used: 0,
        }
    }

    /// Some of the next records; none at the end.
    fn fill(&mut self, reader: &mut Reader) -> Result<&[T], StoreError> {
        while self.used == self.read.len() {
            let Some(section) = self.sections.front() else {
                return Ok(&[]);
            };
            if self.done == section.count {
                self.sections.pop_front();
                self.done = 0;
                continue;
            }
            let end = (self.done + READ_PAGES * T::PER_PAGE).min(section.count);
            let range = self.done..end;
            self.read = reader.range(self.run.file(), section, range)?;
            self.used = 0;
            self.done = end;
        }
        Ok(&self.read[self.used..])
    }

    fn next(&mut self, reader: &mut Reader) -> Result<Option<T>, StoreError> {
        let next = self.fill(reader)?.first().copied();
        self.used += usize::from(next.is_some());
        Ok(next)
    }
}

/// One of the runs that are merged.
struct Source {
    entries: Stream<Entry>,
    /// Burned ids of the runs before it: its own are numbered from here.
    burned_before: u64,
}

impl Source {
    /// Moves the next entries, as far as `belongs` says, to `to`.
    fn take(
        &mut self,
        reader: &mut Reader,
        belongs: impl Fn(u64) -> bool,
        to: &mut Vec<Entry>,
    ) -> Result<(), StoreError> {
        loop {
            self.entries.fill(reader)?;
            let read = &self.entries.read[self.entries.used..];
            let count = read.partition_point(|entry| belongs(entry.hash));
            if count == 0 {
                return Ok(());
            }
            for entry in &read[..count] {
                to.push(self.renumbered(*entry)?);
            }
            self.entries.used += count;
        }
    }

    fn renumbered(&self, entry: Entry) -> Result<Entry, StoreError> {
        match entry.kind() {
            Some(EntryKind::Burned) => {
                let number = entry.number() + self.burned_before;
                Ok(Entry::new(entry.hash, EntryKind::Burned, number))
            }
            Some(_) => Ok(entry),
            None => Err(self
                .entries
                .run
                .file()
                .damaged(0, "an entry has no known kind")),
        }
    }
}

/// Writes one run with the entries of `runs`, which follow each other, to `path`.
///
/// # Errors
/// The system's, and that something is damaged.
pub fn merge_runs(
    storage: &dyn Storage,
    path: &Path,
    identity: Identity,
    (pace, reader, scratch): (&Pace, &mut Reader, &mut Scratch),
    runs: &[Arc<Run>],
) -> Result<(), StoreError> {
    let chunks = &mut scratch.chunks;
    let mut writer = RunWriter::create(storage, path, (pace, chunks), plan(identity, runs))?;
    let mut sources = Vec::with_capacity(runs.len());
    let mut burned_before = 0;
    for run in runs {
        let sections = run.partitions().map(|partition| run.entries_of(partition));
        sources.push(Source {
            entries: Stream::new(run, sections),
            burned_before,
        });
        burned_before += run.burned().count;
    }
    let (mut entries, mut spare) = (Vec::new(), Vec::new());
    for partition in 0..writer.partitions() {
        entries.clear();
        for source in &mut sources {
            let belongs = |hash| writer.partition_of(hash) == partition;
            source.take(reader, belongs, &mut entries)?;
        }
        // Faster than to walk along the sources: hashes are spread evenly.
        spare.resize(entries.len(), Entry::default());
        let bits = 0..u64::BITS - writer.bits();
        let moved = sort(&mut entries, &mut spare, |entry| entry.hash, bits);
        writer.entries(if moved { &spare } else { &entries })?;
        writer.end_partition()?;
    }
    let mut burned: VecDeque<Stream<u128>> = runs
        .iter()
        .map(|run| Stream::new(run, [*run.burned()]))
        .collect();
    writer.finish(std::iter::from_fn(|| {
        loop {
            match burned.front_mut()?.next(reader) {
                Ok(Some(id)) => return Some(Ok(id)),
                Ok(None) => drop(burned.pop_front()),
                Err(error) => return Some(Err(error)),
            }
        }
    }))
}

fn plan(identity: Identity, runs: &[Arc<Run>]) -> RunPlan {
    let mut plan = RunPlan {
        identity,
        first: runs.first().map_or(0, |run| run.first()),
        last: runs.last().map_or(0, |run| run.last()),
        level: 1 + runs.iter().map(|run| run.level()).max().unwrap_or(0),
        entries: runs.iter().map(|run| run.entries()).sum(),
        ids: IdRange::NONE,
        fates: IdRange::NONE,
        filters: needs_filters(runs),
    };
    for run in runs {
        let header = run.header();
        plan.ids.extend(IdRange {
            min: header.ids_min,
            max: header.ids_max,
        });
        plan.fates.extend(IdRange {
            min: header.fates_min,
            max: header.fates_max,
        });
    }
    plan
}

/// Whether ranges alone would not tell ids from those of these runs: one of them has a filter, or
/// their ids do not follow time from one to the next.
fn needs_filters(runs: &[Arc<Run>]) -> bool {
    let mut order = Order::default();
    runs.iter().for_each(|run| order.add(run.ids()));
    !order.is_kept()
        || runs
            .iter()
            .any(|run| run.has_filters() || run.wants_sieve())
}
