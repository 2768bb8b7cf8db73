//! Writing a generation as a segment.

use std::path::Path;

use giro_core::generation::Generation;
use giro_log::storage::Storage;
use zerocopy::IntoBytes;

use crate::error::StoreError;
use crate::format::{Header, MAGIC, Part, ROWS_MAX, SECTIONS, Section, VERSION};
use crate::pace::Pace;
use crate::page::{FileTag, Kind};
use crate::scratch::Scratch;
use crate::segment::content::Content;
use crate::segment::fields::FIELDS;
use crate::segment::indexes::Indexes;
use crate::writer::PageWriter;

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
    scratch: &mut Scratch,
) -> Result<(), StoreError> {
    assert!(generation.transfers.len() <= ROWS_MAX, "rows fit 30 bits");
    let content = Content::of(generation);
    let Scratch {
        indexes, chunks, ..
    } = scratch;
    let tag = FileTag::new(cluster, Kind::Segment, generation.number, generation.number);
    let mut pages = PageWriter::create(storage, path, tag, pace, chunks)?;
    let sections = write_sections(&mut pages, &content, indexes, pace)?;
    pages.finish(&mut header(cluster, generation, &content, sections))
}

/// Goes through the rows once: they are written, get their checksums and are indexed while the
/// processor has them at hand.
fn write_sections(
    pages: &mut PageWriter<'_>,
    content: &Content<'_>,
    indexes: &mut Indexes,
    pace: &Pace,
) -> Result<[Section; SECTIONS], StoreError> {
    let mut sections = [Section::default(); SECTIONS];
    indexes.begin(content);
    let rows = pages.section_with(content.transfers, |rows| indexes.add(content, rows))?;
    sections[Part::Rows as usize] = rows;
    sections[Part::Sides as usize] = write_sides(pages, content)?;
    let made = indexes.finish(content, pace);
    made.expect("rows are in order, and every account has an opening that adds up");
    let accounts = &indexes.accounts;
    sections[Part::Times as usize] = pages.section(&indexes.times)?;
    sections[Part::Accounts as usize] = pages.section(&accounts.accounts)?;
    sections[Part::Postings as usize] = pages.section(accounts.postings())?;
    sections[Part::Snapshots as usize] = pages.section(&accounts.snapshots)?;
    sections[Part::Closings as usize] = pages.section(&content.closings)?;
    sections[Part::Expiries as usize] = pages.section(&content.expiries)?;
    sections[Part::Releases as usize] = pages.section(&accounts.releases)?;
    for field in FIELDS {
        sections[field.part() as usize] = pages.section(indexes.field(field, pace))?;
    }
    sections[Part::Fences as usize] = pages.section(&indexes.fences)?;
    Ok(sections)
}

fn write_sides(pages: &mut PageWriter<'_>, content: &Content<'_>) -> Result<Section, StoreError> {
    pages.end_page();
    let page = pages.next_page();
    let count = content.transfers.len();
    for row in 0..count {
        pages.put_bytes(content.sides.get(row).as_bytes())?;
    }
    pages.end_page();
    Ok(Section {
        page,
        pages: pages.next_page() - page,
        count: count as u64,
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
