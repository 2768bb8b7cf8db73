//! Writing a generation as a segment.

use std::path::Path;

use giro_core::generation::Generation;
use giro_log::storage::Storage;

use crate::error::StoreError;
use crate::format::{
    AccountRecord, ClosingRecord, Header, MAGIC, Part, ROWS_MAX, Record, SECTIONS, Section, VERSION,
};
use crate::page::{FileTag, Kind, PAYLOAD_BYTES};
use crate::segment::accounts::AccountIndex;
use crate::segment::content::Content;
use crate::segment::fields::{Directory, FIELDS, Field, directory, parse_entry};
use crate::writer::{Pace, PageWriter};

/// Everything that is worked out from a segment's content.
pub struct Indexes {
    /// By account.
    pub accounts: AccountIndex,
    /// First timestamp of each page of rows.
    pub times: Vec<u64>,
    /// Values of each of [`FIELDS`].
    pub directories: [Directory; 5],
    /// Rows of values that several rows have.
    pub lists: Vec<u32>,
    /// First keys of pages, for each searched section in the order of the sections.
    pub fences: Vec<u128>,
}

/// How many records a page of each searched section holds, in the order their fences lie.
pub const FENCED: [(Part, u64); 8] = [
    (Part::Times, <u64 as Record>::PER_PAGE),
    (Part::Accounts, AccountRecord::PER_PAGE),
    (Part::Closings, ClosingRecord::PER_PAGE),
    (Part::UserData128, per_page(Field::UserData128)),
    (Part::UserData64, per_page(Field::UserData64)),
    (Part::UserData32, per_page(Field::UserData32)),
    (Part::Code, per_page(Field::Code)),
    (Part::Ledger, per_page(Field::Ledger)),
];

/// Directory entries a page holds.
#[must_use]
pub const fn per_page(field: Field) -> u64 {
    (PAYLOAD_BYTES / entry_bytes(field)) as u64
}

/// Bytes of a directory entry: a value and its word.
#[must_use]
pub const fn entry_bytes(field: Field) -> usize {
    field.value_bytes() + 4
}

impl Indexes {
    /// Works them out. None when the content contradicts itself.
    #[must_use]
    pub fn of(content: &Content<'_>) -> Option<Self> {
        let accounts = AccountIndex::of(content)?;
        let rows_per_page = giro_base::Transfer::PER_PAGE as usize;
        let pages = content.transfers.iter().step_by(rows_per_page);
        let times: Vec<u64> = pages.map(|t| t.timestamp).collect();
        let mut lists = Vec::new();
        let directories = FIELDS.map(|field| directory(field, content.transfers, &mut lists));
        let mut indexes = Self {
            accounts,
            times,
            directories,
            lists,
            fences: Vec::new(),
        };
        indexes.fences = FENCED
            .iter()
            .flat_map(|(part, per_page)| indexes.fences_of(content, *part, *per_page as usize))
            .collect();
        Some(indexes)
    }

    fn fences_of(&self, content: &Content<'_>, part: Part, per_page: usize) -> Vec<u128> {
        let directory = |place: usize| {
            let field = FIELDS[place];
            let page_bytes = per_page * entry_bytes(field);
            let firsts = self.directories[place].bytes.chunks(page_bytes);
            firsts.map(|page| parse_entry(field, page).0).collect()
        };
        match part {
            Part::Times => {
                let times = self.times.iter().step_by(per_page);
                times.map(|time| u128::from(*time)).collect()
            }
            Part::Accounts => {
                let accounts = self.accounts.accounts.iter().step_by(per_page);
                accounts.map(|account| account.slot.into()).collect()
            }
            Part::Closings => {
                let closings = content.closings.iter().step_by(per_page);
                closings.map(|closing| closing.row.into()).collect()
            }
            Part::UserData128 => directory(0),
            Part::UserData64 => directory(1),
            Part::UserData32 => directory(2),
            Part::Code => directory(3),
            Part::Ledger => directory(4),
            _ => unreachable!("only searched sections have fences"),
        }
    }
}

/// Writes the segment of a generation to `path`.
///
/// # Errors
/// The system's; nothing of the name `path` is there then.
///
/// # Panics
/// When the generation contradicts itself.
pub fn write_segment(
    storage: &dyn Storage,
    path: &Path,
    cluster: u128,
    pace: &Pace,
    generation: &Generation,
) -> Result<(), StoreError> {
    assert!(generation.transfers.len() <= ROWS_MAX, "rows fit 30 bits");
    let content = Content::of(generation);
    let indexes = Indexes::of(&content).expect("every account has an opening that adds up");
    let tag = FileTag::new(cluster, Kind::Segment, generation.number, generation.number);
    let mut pages = PageWriter::create(storage, path, tag, pace)?;
    let sections = write_sections(&mut pages, &content, &indexes)?;
    pages.finish(&mut header(cluster, generation, &content, sections))
}

fn write_sections(
    pages: &mut PageWriter<'_>,
    content: &Content<'_>,
    indexes: &Indexes,
) -> Result<[Section; SECTIONS], StoreError> {
    let mut sections = [Section::default(); SECTIONS];
    let accounts = &indexes.accounts;
    sections[Part::Rows as usize] = pages.section(content.transfers)?;
    sections[Part::Sides as usize] = pages.section(&content.sides)?;
    sections[Part::Times as usize] = pages.section(&indexes.times)?;
    sections[Part::Accounts as usize] = pages.section(&accounts.accounts)?;
    sections[Part::Postings as usize] = pages.section(&accounts.postings)?;
    sections[Part::Snapshots as usize] = pages.section(&accounts.snapshots)?;
    sections[Part::Closings as usize] = pages.section(&content.closings)?;
    sections[Part::Expiries as usize] = pages.section(&content.expiries)?;
    sections[Part::Releases as usize] = pages.section(&accounts.releases)?;
    for (field, directory) in FIELDS.iter().zip(&indexes.directories) {
        sections[field.part() as usize] = write_directory(pages, *field, directory)?;
    }
    sections[Part::Lists as usize] = pages.section(&indexes.lists)?;
    sections[Part::Fences as usize] = pages.section(&indexes.fences)?;
    Ok(sections)
}

fn write_directory(
    pages: &mut PageWriter<'_>,
    field: Field,
    directory: &Directory,
) -> Result<Section, StoreError> {
    pages.end_page();
    let page = pages.next_page();
    for bytes in directory
        .bytes
        .chunks(per_page(field) as usize * entry_bytes(field))
    {
        pages.end_page();
        pages.put_bytes(bytes)?;
    }
    pages.end_page();
    Ok(Section {
        page,
        pages: pages.next_page() - page,
        count: (directory.bytes.len() / entry_bytes(field)) as u64,
    })
}

fn header(
    cluster: u128,
    generation: &Generation,
    content: &Content<'_>,
    sections: [Section; SECTIONS],
) -> Header {
    let rows = content.transfers;
    let times = [rows.first(), rows.last()].map(|row| row.map_or(0, |row| row.timestamp));
    let expiries = &content.expiries;
    let expired = [expiries.first(), expiries.last()].map(|e| e.map_or(0, |e| e.timestamp));
    let first = times[0].min(expired[0]);
    Header {
        magic: MAGIC,
        cluster,
        ids_min: 0,
        ids_max: 0,
        fates_min: 0,
        fates_max: 0,
        first: generation.number,
        last: generation.number,
        pages: 0,
        hash_check: 0,
        first_row: generation.first_row,
        count: rows.len() as u64,
        timestamp_first: times[0],
        timestamp_last: times[1],
        // Without one of them the other counts.
        event_first: if first == 0 {
            times[0].max(expired[0])
        } else {
            first
        },
        event_last: times[1].max(expired[1]),
        version: VERSION,
        kind: Kind::Segment as u16,
        level: 0,
        reserved: 0,
        sections,
    }
}
