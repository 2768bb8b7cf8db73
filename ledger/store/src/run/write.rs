//! Writing an id run: entries and filter of one partition after the other.

use std::path::Path;

use giro_core::generation::Generation;
use giro_log::storage::Storage;
use zerocopy::IntoBytes;

use super::entries::{GenerationIds, IdRange};
use super::{Identity, local, partition_of};
use crate::error::StoreError;
use crate::filter::Filter;
use crate::format::{
    Entry, Header, MAGIC, PartitionRecord, Record, RunPart, SECTIONS, Section, VERSION,
};
use crate::output::Chunks;
use crate::pace::Pace;
use crate::page::{FileTag, Kind};
use crate::scratch::Scratch;
use crate::writer::PageWriter;

/// Entries of a partition at most, about: so many hashes are in memory while a filter is made.
pub const PARTITION_ENTRIES: u64 = 1 << 20;

/// What a run is going to be.
#[derive(Clone, Copy, Debug)]
pub struct RunPlan {
    /// The ledger.
    pub identity: Identity,
    /// First generation.
    pub first: u64,
    /// Last generation.
    pub last: u64,
    /// How often the entries were merged.
    pub level: u32,
    /// How many entries there will be.
    pub entries: u64,
    /// Ids of transfers and burned ones.
    pub ids: IdRange,
    /// Ids of pending transfers that ended.
    pub fates: IdRange,
    /// Each partition gets a filter.
    pub filters: bool,
}

/// A run in the making, one partition after the other.
pub struct RunWriter<'a> {
    plan: RunPlan,
    pages: PageWriter<'a>,
    bits: u32,
    partitions: Vec<PartitionRecord>,
    fences: Vec<u64>,
    /// What a filter is made of.
    hashes: Vec<u64>,
    /// The partition that is being written.
    partition: PartitionRecord,
    entries: u64,
}

impl<'a> RunWriter<'a> {
    /// Begins the run that will be called `path`.
    ///
    /// # Errors
    /// The system's.
    pub fn create(
        storage: &'a dyn Storage,
        path: &Path,
        (pace, memory): (&'a Pace, &'a mut Chunks),
        plan: RunPlan,
    ) -> Result<Self, StoreError> {
        let tag = FileTag::new(plan.identity.cluster, Kind::Run, plan.first, plan.last);
        let pages = PageWriter::create(storage, path, tag, pace, memory)?;
        let partitions = plan.entries.div_ceil(PARTITION_ENTRIES).max(1);
        let mut run = Self {
            plan,
            pages,
            bits: partitions.next_power_of_two().trailing_zeros(),
            partitions: Vec::new(),
            fences: Vec::new(),
            hashes: Vec::new(),
            partition: PartitionRecord::default(),
            entries: 0,
        };
        run.begin_partition();
        Ok(run)
    }

    /// How many partitions it wants.
    #[must_use]
    pub fn partitions(&self) -> usize {
        1 << self.bits
    }

    /// So many top bits of a hash are its partition.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The partition that entries with `hash` belong to.
    #[must_use]
    pub fn partition_of(&self, hash: u64) -> usize {
        partition_of(hash, self.bits)
    }

    /// Takes the next entries, sorted, of the partition that is being written.
    ///
    /// # Errors
    /// The system's.
    pub fn entries(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut ends = entries.first().into_iter().chain(entries.last());
        let own = self.partitions.len();
        assert!(ends.all(|entry| self.partition_of(entry.hash) == own));
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let on_page = self.partition.count % Entry::PER_PAGE;
            if on_page == 0 {
                self.pages.end_page();
                self.fences.push(first.hash);
            }
            let fit = (Entry::PER_PAGE - on_page) as usize;
            let (page, behind) = rest.split_at(fit.min(rest.len()));
            self.pages.put_bytes(page.as_bytes())?;
            self.partition.count += page.len() as u64;
            rest = behind;
        }
        if self.plan.filters {
            let hashes = entries.iter().map(|entry| local(entry.hash, self.bits));
            self.hashes.extend(hashes);
        }
        Ok(())
    }

    /// Ends the partition, and begins the next one.
    ///
    /// # Errors
    /// The system's.
    pub fn end_partition(&mut self) -> Result<(), StoreError> {
        self.pages.end_page();
        let mut record = self.partition;
        record.filter_page = self.pages.next_page();
        if self.plan.filters {
            let filter = Filter::of(&self.hashes);
            self.hashes.clear();
            record.filter_page = self.pages.section(filter.words())?.page;
            record.filter_hashes = filter.shape().hashes;
            record.bucket_bits = filter.shape().bucket_bits;
            record.filter_words = filter.words().len() as u32;
        }
        self.partitions.push(record);
        self.entries += record.count;
        self.begin_partition();
        Ok(())
    }

    fn begin_partition(&mut self) {
        self.partition = PartitionRecord {
            page: self.pages.next_page(),
            ..PartitionRecord::default()
        };
    }

    /// Writes what follows the entries, and gives the file its name.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(
        mut self,
        burned: impl IntoIterator<Item = Result<u128, StoreError>>,
    ) -> Result<(), StoreError> {
        assert_eq!(
            self.entries, self.plan.entries,
            "as many entries as planned"
        );
        assert_eq!(self.partitions.len(), self.partitions(), "and partitions");
        let mut sections = [Section::default(); SECTIONS];
        let page = self.pages.next_page();
        let mut count = 0;
        for id in burned {
            self.pages.put_bytes(id?.as_bytes())?;
            count += 1;
        }
        self.pages.end_page();
        sections[RunPart::Burned as usize] = Section {
            page,
            pages: self.pages.next_page() - page,
            count,
        };
        sections[RunPart::Partitions as usize] = self.pages.section(&self.partitions)?;
        sections[RunPart::Fences as usize] = self.pages.section(&self.fences)?;
        self.pages.finish(&mut header(&self.plan, sections))
    }
}

fn header(plan: &RunPlan, sections: [Section; SECTIONS]) -> Header {
    Header {
        magic: MAGIC,
        cluster: plan.identity.cluster,
        ids_min: plan.ids.min,
        ids_max: plan.ids.max,
        fates_min: plan.fates.min,
        fates_max: plan.fates.max,
        first: plan.first,
        last: plan.last,
        pages: 0,
        hash_check: plan.identity.hash_check(),
        first_row: 0,
        count: plan.entries,
        timestamp_first: 0,
        timestamp_last: 0,
        event_first: 0,
        event_last: 0,
        version: VERSION,
        kind: Kind::Run as u16,
        level: plan.level,
        reserved: 0,
        sections,
    }
}

/// Writes the run of one generation to `path`.
///
/// # Errors
/// The system's.
pub fn write_run(
    storage: &dyn Storage,
    path: &Path,
    identity: Identity,
    pace: &Pace,
    generation: &Generation,
    scratch: &mut Scratch,
) -> Result<(), StoreError> {
    let Scratch {
        entries, chunks, ..
    } = scratch;
    let found = GenerationIds::collect(generation, identity.hasher(), entries, pace);
    let plan = RunPlan {
        identity,
        first: generation.number,
        last: generation.number,
        level: 0,
        entries: found.entries,
        ids: found.ids,
        fates: found.fates,
        filters: !found.in_order,
    };
    let mut run = RunWriter::create(storage, path, (pace, chunks), plan)?;
    let mut next = 0;
    entries.drain(
        |entry| entry.hash,
        |mut sorted| {
            // Partitions end with buckets, or within the last few.
            while let Some(last) = sorted.last() {
                let end = run.partition_of(last.hash);
                let own = sorted.partition_point(|entry| run.partition_of(entry.hash) <= next);
                run.entries(&sorted[..own])?;
                sorted = &sorted[own..];
                if next < end {
                    run.end_partition()?;
                    next += 1;
                }
            }
            Ok(())
        },
    )?;
    while next < run.partitions() {
        run.end_partition()?;
        next += 1;
    }
    run.finish(generation.burned.iter().copied().map(Ok))
}
