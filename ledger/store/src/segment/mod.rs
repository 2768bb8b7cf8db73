//! A segment: the transfers of one generation on disk, with what finds them.

pub mod accounts;
mod closings;
pub mod content;
pub mod fields;
pub mod indexes;
mod postings;
pub mod write;

use std::ops::Range;
use std::path::Path;

use giro_base::{Timestamp, Transfer};
use giro_log::storage::Storage;

use crate::error::StoreError;
use crate::format::{
    AccountRecord, ClosingRecord, Header, Part, ROW_DENSE, ROWS_MAX, Record, Section,
};
use crate::page::{Kind, Payload};
use crate::reader::{Expected, Extent, PageFile, Reader, records};
use fields::{Field, entry_key, entry_row, key_of};
use indexes::FENCED;

/// A segment, open for reading. Its header and the first keys of its index pages are in memory.
pub struct Segment {
    file: PageFile,
    header: Header,
    fences: [Vec<u128>; FENCED.len()],
}

/// Where the rows are that have a value in a field. Few others may be among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowList {
    /// No row has it.
    Nothing,
    /// This row, from the segment's first.
    Single(u32),
    /// Rows in a section.
    List {
        /// Which.
        part: Part,
        /// Its first place there.
        start: u64,
        /// How many.
        count: u64,
    },
    /// So many that they are not listed.
    Dense,
}

impl Segment {
    /// Opens segment `number` of a ledger.
    ///
    /// # Errors
    /// The system's; that the file is damaged or another one.
    pub fn open(
        storage: &dyn Storage,
        path: &Path,
        (cluster, number): (u128, u64),
        reader: &mut Reader,
    ) -> Result<Self, StoreError> {
        let expected = Expected {
            cluster,
            kind: Kind::Segment,
            first: number,
            last: number,
        };
        let (file, header) = PageFile::open(storage, path, expected)?;
        let end = header.first_row.checked_add(header.count);
        if header.count > ROWS_MAX as u64 || end.is_none() {
            return Err(file.damaged(0, "it has too many rows"));
        }
        let fences = header.sections[Part::Fences as usize];
        let all = reader.range::<u128>(&file, &fences, 0..fences.count)?;
        let mut rest = &all[..];
        let mut fences = [const { Vec::new() }; FENCED.len()];
        for (own, (part, per_page)) in fences.iter_mut().zip(FENCED) {
            let section = header.sections[part as usize];
            let pages = section.pages as usize;
            if section.count.div_ceil(per_page) != section.pages || pages > rest.len() {
                return Err(file.damaged(0, "sections and their fences do not fit"));
            }
            let (fences, behind) = rest.split_at(pages);
            *own = fences.to_vec();
            rest = behind;
        }
        Ok(Self {
            file,
            header,
            fences,
        })
    }

    /// Its number, which is its generation's.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.header.first
    }

    /// Row of its first transfer.
    #[must_use]
    pub fn first_row(&self) -> u64 {
        self.header.first_row
    }

    /// Row behind its last one.
    #[must_use]
    pub fn end_row(&self) -> u64 {
        self.header.first_row + self.header.count
    }

    /// How many transfers it has.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.header.count as u32
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its file.
    #[must_use]
    pub fn file(&self) -> &PageFile {
        &self.file
    }

    /// Where a section lies.
    #[must_use]
    pub fn section(&self, part: Part) -> &Section {
        &self.header.sections[part as usize]
    }

    /// Reads transfers, given as offsets from its first row. `each` gets the place in `offsets`.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn transfers(
        &self,
        reader: &mut Reader,
        offsets: &[u64],
        mut each: impl FnMut(usize, &Transfer),
    ) -> Result<(), StoreError> {
        let section = self.section(Part::Rows);
        reader.gather(&self.file, section, offsets, |place, transfer| {
            each(place, transfer);
            Ok(())
        })
    }

    /// Offset of the first transfer not before `timestamp`; the number of rows if there is none.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn offset_at_or_after(
        &self,
        reader: &mut Reader,
        timestamp: Timestamp,
    ) -> Result<u32, StoreError> {
        if timestamp <= self.header.timestamp_first {
            return Ok(0);
        }
        if timestamp > self.header.timestamp_last {
            return Ok(self.rows());
        }
        let mut page = 0;
        self.fenced_page(
            reader,
            Part::Times,
            timestamp.into(),
            |first, count, bytes| {
                let times = &records::<u64>(bytes)[..count];
                page = first + times.partition_point(|time| *time < timestamp) as u64;
            },
        )?;
        // The page before the first one that begins at or after it, if any, may hold it.
        let page = page.saturating_sub(1);
        let start = page * Transfer::PER_PAGE;
        let end = (start + Transfer::PER_PAGE).min(self.header.count);
        let section = self.section(Part::Rows);
        let rows = reader.range::<Transfer>(&self.file, section, start..end)?;
        let inside = rows.partition_point(|row| row.timestamp < timestamp);
        Ok(start as u32 + inside as u32)
    }

    /// What is known of an account; none if the generation did not touch it.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn account(
        &self,
        reader: &mut Reader,
        slot: u32,
    ) -> Result<Option<AccountRecord>, StoreError> {
        let mut found = None;
        self.fenced_page(reader, Part::Accounts, slot.into(), |_, count, bytes| {
            let accounts = &records::<AccountRecord>(bytes)[..count];
            let place = accounts.binary_search_by_key(&slot, |account| account.slot);
            found = place.ok().map(|place| accounts[place]);
        })?;
        Ok(found)
    }

    /// What is known of each account of `slots`, which rise.
    ///
    /// # Errors
    /// The system's, and that something is damaged or an account is missing.
    pub fn accounts(
        &self,
        reader: &mut Reader,
        slots: &[u32],
    ) -> Result<Vec<AccountRecord>, StoreError> {
        let keys: Vec<u128> = slots.iter().map(|slot| u128::from(*slot)).collect();
        let missing = || self.damaged(Part::Accounts, "an account is missing");
        let mut found = Vec::with_capacity(slots.len());
        self.fenced_pages(
            reader,
            Part::Accounts,
            &keys,
            &mut found,
            |slot, bytes, count| {
                let accounts = &records::<AccountRecord>(bytes)[..count];
                let place = accounts.binary_search_by_key(slot, |account| account.slot.into());
                place.ok().map(|place| accounts[place])
            },
        )?;
        found.into_iter().collect::<Option<_>>().ok_or_else(missing)
    }

    /// What the posts and voids in `offsets`, which rise, closed.
    ///
    /// # Errors
    /// The system's, and that something is damaged or a closing is missing.
    pub fn closings(
        &self,
        reader: &mut Reader,
        offsets: &[u32],
    ) -> Result<Vec<ClosingRecord>, StoreError> {
        let keys: Vec<u128> = offsets.iter().map(|offset| u128::from(*offset)).collect();
        let missing = || self.damaged(Part::Closings, "a closing is missing");
        let mut found = Vec::with_capacity(offsets.len());
        self.fenced_pages(
            reader,
            Part::Closings,
            &keys,
            &mut found,
            |row, bytes, count| {
                let closings = &records::<ClosingRecord>(bytes)[..count];
                let place = closings.binary_search_by_key(row, |closing| closing.row.into());
                place.ok().map(|place| closings[place])
            },
        )?;
        found.into_iter().collect::<Option<_>>().ok_or_else(missing)
    }

    /// The rows that have `value`, which is not 0, in `field`; and perhaps others.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn find(
        &self,
        reader: &mut Reader,
        field: Field,
        value: u128,
    ) -> Result<RowList, StoreError> {
        let (key, part) = (key_of(value), field.part());
        let mut end = 0;
        let mut last = 0;
        self.fenced_page(reader, part, key.into(), |first, count, bytes| {
            let entries = &records::<u64>(bytes)[..count];
            let behind = entries.partition_point(|entry| entry_key(*entry) <= key);
            end = first + behind as u64;
            last = behind.checked_sub(1).map_or(0, |place| entries[place]);
        })?;
        if end == 0 || entry_key(last) != key {
            return Ok(RowList::Nothing);
        }
        if entry_row(last) == ROW_DENSE {
            return Ok(RowList::Dense);
        }
        let start = self.first_entry(reader, part, key)?;
        Ok(match end.saturating_sub(start) {
            0 | 1 => RowList::Single(entry_row(last)),
            count => RowList::List { part, start, count },
        })
    }

    /// Place of the first entry with `key` in a field's section, which has one.
    fn first_entry(&self, reader: &mut Reader, part: Part, key: u32) -> Result<u64, StoreError> {
        let mut start = 0;
        if key == 0 {
            return Ok(start);
        }
        // Keys that are less end on the page before the first one that begins with `key`.
        let before = u128::from(key) - 1;
        self.fenced_page(reader, part, before, |first, count, bytes| {
            let entries = &records::<u64>(bytes)[..count];
            start = first + entries.partition_point(|entry| entry_key(*entry) < key) as u64;
        })?;
        Ok(start)
    }

    /// Rows listed in places that follow each other, from the segment's first.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn listed(
        &self,
        reader: &mut Reader,
        part: Part,
        places: Range<u64>,
    ) -> Result<Vec<u32>, StoreError> {
        let section = self.section(part);
        if part == Part::Postings {
            return reader.range::<u32>(&self.file, section, places);
        }
        let entries = reader.range::<u64>(&self.file, section, places)?;
        Ok(entries.into_iter().map(entry_row).collect())
    }

    /// The error that a section is not what it must be.
    #[must_use]
    pub fn damaged(&self, part: Part, reason: &str) -> StoreError {
        self.file.damaged(self.section(part).page, reason)
    }

    /// Reads the one page of a searched section that can hold `key`, if one can. `look` gets the
    /// place of the page's first record, how many it has, and its bytes.
    fn fenced_page(
        &self,
        reader: &mut Reader,
        part: Part,
        key: u128,
        mut look: impl FnMut(u64, usize, &Payload),
    ) -> Result<(), StoreError> {
        let Some(page) = self.page_of(part, key) else {
            return Ok(());
        };
        let (first, count) = self.records_of_page(part, page);
        let extent = self.extent(part, page);
        reader.read(&[extent], |_, _, payload| {
            look(first, count, payload);
            Ok(())
        })
    }

    /// For each of `keys`, which rise, what `look` finds in the page that can hold it.
    fn fenced_pages<T: Clone>(
        &self,
        reader: &mut Reader,
        part: Part,
        keys: &[u128],
        found: &mut Vec<Option<T>>,
        look: impl Fn(&u128, &Payload, usize) -> Option<T>,
    ) -> Result<(), StoreError> {
        found.resize(keys.len(), None);
        let mut extents: Vec<Extent<'_>> = Vec::new();
        let mut served: Vec<(u64, Range<usize>)> = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            let Some(page) = self.page_of(part, *key) else {
                continue;
            };
            match served.last_mut() {
                Some((last, range)) if *last == page => range.end = place + 1,
                _ => {
                    extents.push(self.extent(part, page));
                    served.push((page, place..place + 1));
                }
            }
        }
        reader.read(&extents, |extent, _, payload| {
            let (page, range) = &served[extent];
            let (_, count) = self.records_of_page(part, *page);
            for place in range.clone() {
                found[place] = look(&keys[place], payload, count);
            }
            Ok(())
        })
    }

    fn extent(&self, part: Part, page: u64) -> Extent<'_> {
        Extent {
            file: &self.file,
            page: self.section(part).page + page,
            pages: 1,
        }
    }

    fn page_of(&self, part: Part, key: u128) -> Option<u64> {
        let place = FENCED.iter().position(|(other, _)| *other == part)?;
        let page = self.fences[place].partition_point(|first| *first <= key);
        page.checked_sub(1).map(|page| page as u64)
    }

    fn records_of_page(&self, part: Part, page: u64) -> (u64, usize) {
        let found = FENCED.iter().find(|(other, _)| *other == part);
        let per_page = found.map_or(1, |(_, per_page)| *per_page);
        let first = page * per_page;
        let count = self.section(part).count.saturating_sub(first).min(per_page);
        (first, count as usize)
    }
}
