//! An id run: which ids some generations hold, and how their pending transfers ended.

pub mod entries;
pub mod merge;
pub mod write;

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use giro_base::hash::IdHasher;
use giro_log::storage::Storage;

use crate::error::StoreError;
use crate::filter::{Filter, Shape, room};
use crate::format::{Entry, Header, PartitionRecord, Record, RunPart, Section};
use crate::page::Kind;
use crate::reader::{Expected, PageFile, Reader, extents_of, records};
use crate::run::entries::IdRange;

/// Who a ledger is, to its history.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// The ledger.
    pub cluster: u128,
    /// Key of its [`IdHasher`].
    pub hash_key: [u64; 2],
}

impl Identity {
    /// The ledger's hash of ids.
    #[must_use]
    pub fn hasher(&self) -> IdHasher {
        IdHasher::new(self.hash_key)
    }

    /// Tells one hash key from another.
    #[must_use]
    pub fn hash_check(&self) -> u64 {
        self.hasher().hash(1)
    }
}

/// A run, open for reading.
pub struct Run {
    file: PageFile,
    header: Header,
    partitions: Vec<Partition>,
    /// First hash of each page of entries, partition after partition.
    fences: Vec<u64>,
    /// So many top bits of a hash are its partition.
    bits: u32,
    /// Pages of entries that were read for nothing, because there is no filter.
    vain: AtomicU32,
}

struct Partition {
    record: PartitionRecord,
    fence_start: usize,
    /// Read when it is first needed, if there is one.
    filter: OnceLock<Filter>,
}

impl Partition {
    fn pages(&self) -> usize {
        self.record.count.div_ceil(Entry::PER_PAGE) as usize
    }

    fn has_filter(&self) -> bool {
        self.record.filter_words > 0
    }
}

/// So many pages read for nothing are worth memory.
const VAIN_MAX: u32 = 1024;

impl Run {
    /// Opens the run of generations `first` to `last`.
    ///
    /// # Errors
    /// The system's; that the file is damaged or another one.
    pub fn open(
        storage: &dyn Storage,
        path: &Path,
        identity: Identity,
        (first, last): (u64, u64),
        reader: &mut Reader,
    ) -> Result<Self, StoreError> {
        let expected = Expected {
            cluster: identity.cluster,
            kind: Kind::Run,
            first,
            last,
        };
        let (file, header) = PageFile::open(storage, path, expected)?;
        if header.hash_check != identity.hash_check() {
            return Err(StoreError::Foreign {
                path: path.to_owned(),
                reason: "it was made with another ledger's hash key".to_owned(),
            });
        }
        let section = header.sections[RunPart::Partitions as usize];
        let partition_records =
            reader.range::<PartitionRecord>(&file, &section, 0..section.count)?;
        let section = header.sections[RunPart::Fences as usize];
        let fences = reader.range::<u64>(&file, &section, 0..section.count)?;
        let Some(partitions) = arrange(&partition_records, file.pages(), fences.len()) else {
            return Err(file.damaged(section.page, "the partitions do not fit"));
        };
        Ok(Self {
            file,
            header,
            bits: partitions.len().trailing_zeros(),
            partitions,
            fences,
            vain: AtomicU32::new(0),
        })
    }

    /// First generation in it.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.header.first
    }

    /// Last generation in it.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.header.last
    }

    /// How often its entries were merged.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.header.level
    }

    /// How many entries it has.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.header.count
    }

    /// Its file.
    #[must_use]
    pub fn file(&self) -> &PageFile {
        &self.file
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where its burned ids lie.
    #[must_use]
    pub fn burned(&self) -> &Section {
        &self.header.sections[RunPart::Burned as usize]
    }

    /// Its partitions as they lie on disk.
    pub fn partitions(&self) -> impl Iterator<Item = &PartitionRecord> {
        self.partitions.iter().map(|partition| &partition.record)
    }

    /// The section that a partition's entries are like.
    #[must_use]
    pub fn entries_of(&self, partition: &PartitionRecord) -> Section {
        Section {
            page: partition.page,
            pages: partition.count.div_ceil(Entry::PER_PAGE),
            count: partition.count,
        }
    }

    /// The range of its transfers' and burned ids.
    #[must_use]
    pub fn ids(&self) -> IdRange {
        IdRange {
            min: self.header.ids_min,
            max: self.header.ids_max,
        }
    }

    /// Whether it can know something of an id with this hash; a no is certain. Looks at memory
    /// only: where the filter is not there, the answer is yes.
    #[must_use]
    pub fn may_know(&self, hash: u64, id: u128) -> bool {
        self.in_range(id) && self.filter_passes(hash)
    }

    fn in_range(&self, id: u128) -> bool {
        let header = &self.header;
        (header.ids_min..=header.ids_max).contains(&id)
            || (header.fates_min..=header.fates_max).contains(&id)
    }

    /// Asks for the memory that [`filter_passes`](Self::filter_passes) will need first.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if let Some(filter) = self.partition(hash).filter.get() {
            filter.prefetch(self.local(hash));
        }
    }

    /// Asks for the rest, once the first is there.
    #[inline]
    pub fn prefetch_again(&self, hash: u64) {
        if let Some(filter) = self.partition(hash).filter.get() {
            filter.prefetch_again(self.local(hash));
        }
    }

    /// Whether it has filters on disk: its ids were not in order.
    #[must_use]
    pub fn has_filters(&self) -> bool {
        self.partitions.iter().any(Partition::has_filter)
    }

    /// Whether so much was looked up in vain that its range is not enough to tell.
    #[must_use]
    pub fn wants_sieve(&self) -> bool {
        self.vain.load(Ordering::Relaxed) > VAIN_MAX
    }

    /// A page of entries was read, and there was nothing.
    pub(crate) fn looked_in_vain(&self) {
        self.vain.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the filter lets this hash pass, or is not in memory.
    #[inline]
    #[must_use]
    pub fn filter_passes(&self, hash: u64) -> bool {
        let filter = self.partition(hash).filter.get();
        filter.is_none_or(|filter| filter.may_hold(self.local(hash)))
    }

    /// Bytes of filters in memory.
    #[must_use]
    pub fn filter_bytes(&self) -> usize {
        let filters = self.partitions.iter().filter_map(|p| p.filter.get());
        filters.map(|filter| filter.words().len() * 2).sum()
    }

    /// Reads the filter for `hash` if `id` is such that it is needed, and it is on disk only.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn load_filter(&self, reader: &mut Reader, hash: u64, id: u128) -> Result<(), StoreError> {
        let partition = self.partition(hash);
        if !partition.has_filter() || partition.filter.get().is_some() || !self.in_range(id) {
            return Ok(());
        }
        self.load(reader, partition)
    }

    /// Reads all filters that are on disk only.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn load_filters(&self, reader: &mut Reader) -> Result<(), StoreError> {
        for partition in &self.partitions {
            if partition.has_filter() && partition.filter.get().is_none() {
                self.load(reader, partition)?;
            }
        }
        Ok(())
    }

    fn load(&self, reader: &mut Reader, partition: &Partition) -> Result<(), StoreError> {
        let record = &partition.record;
        let count = record.filter_words as usize;
        let per_page = u16::PER_PAGE as usize;
        let end = record.filter_page + count.div_ceil(per_page) as u64;
        let extents = extents_of(&self.file, record.filter_page..end);
        let mut words = room(count);
        reader.read(&extents, |extent, page, payload| {
            let page = extents[extent].page - record.filter_page + page as u64;
            let start = page as usize * per_page;
            let here = per_page.min(count - start);
            words[start..start + here].copy_from_slice(&records::<u16>(payload)[..here]);
            Ok(())
        })?;
        let filter = Filter::from_parts(shape(record), words);
        let filter =
            filter.ok_or_else(|| self.file.damaged(record.filter_page, "no filter is there"))?;
        // Somebody else may have been faster; theirs is the same.
        let _ = partition.filter.set(filter);
        Ok(())
    }

    /// Pages of entries that can hold `hash`: nearly always one.
    pub fn pages_of(&self, hash: u64) -> impl Iterator<Item = u64> + use<> {
        let partition = self.partition(hash);
        let fences = &self.fences[partition.fence_start..][..partition.pages()];
        let end = fences.partition_point(|first| *first <= hash);
        // Equal hashes may begin on the page before.
        let start = fences[..end].partition_point(|first| *first < hash);
        let first = partition.record.page;
        (first + start.saturating_sub(1) as u64)..(first + end as u64)
    }

    /// Entries with `hash` on page `page`, one of [`pages_of`](Self::pages_of).
    #[must_use]
    pub fn entries_on<'p>(&self, page: u64, hash: u64, records: &'p [Entry]) -> &'p [Entry] {
        let partition = &self.partition(hash).record;
        let before = (page - partition.page) * Entry::PER_PAGE;
        let count = partition.count.saturating_sub(before).min(Entry::PER_PAGE);
        let records = &records[..count as usize];
        let start = records.partition_point(|entry| entry.hash < hash);
        let end = records.partition_point(|entry| entry.hash <= hash);
        &records[start..end]
    }

    fn partition(&self, hash: u64) -> &Partition {
        &self.partitions[partition_of(hash, self.bits)]
    }

    fn local(&self, hash: u64) -> u64 {
        local(hash, self.bits)
    }
}

/// The top `bits` bits of a hash.
#[inline(always)]
pub(crate) fn partition_of(hash: u64, bits: u32) -> usize {
    hash.checked_shr(64 - bits).unwrap_or(0) as usize
}

/// The other bits, moved up, which is what the partition's filter is made of.
#[inline(always)]
pub(crate) fn local(hash: u64, bits: u32) -> u64 {
    hash << bits
}

pub(crate) fn shape(record: &PartitionRecord) -> Shape {
    Shape {
        hashes: record.filter_hashes,
        bucket_bits: record.bucket_bits,
    }
}

/// Checks that partitions lie in the file and fit the fences.
fn arrange(
    partition_records: &[PartitionRecord],
    pages: u64,
    fences: usize,
) -> Option<Vec<Partition>> {
    if !partition_records.len().is_power_of_two() {
        return None;
    }
    let mut fence_start = 0_usize;
    let mut partitions = Vec::with_capacity(partition_records.len());
    for record in partition_records {
        let own = record.count.div_ceil(Entry::PER_PAGE);
        let filter_pages = u64::from(record.filter_words).div_ceil(u16::PER_PAGE);
        let entries_end = record.page.checked_add(own)?;
        let filter_end = record.filter_page.checked_add(filter_pages)?;
        if entries_end > pages || filter_end > pages {
            return None;
        }
        let words = record.filter_words as usize;
        if words > 0 && shape(record).words() != Some(words) {
            return None;
        }
        partitions.push(Partition {
            record: *record,
            fence_start,
            filter: OnceLock::new(),
        });
        fence_start = fence_start.checked_add(own as usize)?;
    }
    (fence_start == fences).then_some(partitions)
}
