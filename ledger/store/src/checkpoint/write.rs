//! Writing pieces: that of a generation, and one that stands for several.

use std::path::Path;
use std::sync::Arc;

use giro_core::generation::Generation;
use giro_log::storage::Storage;

use super::changes::Changes;
use super::format::{GROUP_BYTES_MAX, PiecePart, SessionRecord, StateRecord};
use super::mark::{Mark, SessionState};
use super::piece::Piece;
use super::whole::Whole;
use crate::error::StoreError;
use crate::format::{Header, MAGIC, Record, SECTIONS, Section, VERSION};
use crate::pace::Pace;
use crate::page::{FileTag, Kind};
use crate::reader::Reader;
use crate::scratch::Scratch;
use crate::writer::PageWriter;

/// Writes the piece of a generation, which ends at `mark`, to `path`.
///
/// # Errors
/// The system's; nothing of the name `path` is there then.
///
/// # Panics
/// When the generation contradicts itself.
pub fn write_piece(
    storage: &dyn Storage,
    path: &Path,
    cluster: u128,
    (pace, scratch): (&Pace, &mut Scratch),
    (generation, mark): (&Generation, &Mark),
) -> Result<(), StoreError> {
    let Changes {
        accounts,
        changes,
        opened,
        closed,
        branches,
    } = Changes::of(generation);
    let state = StateRecord {
        op: mark.op,
        timestamp: mark.timestamp,
        record: mark.record,
        rows_end: generation.end_row(),
        timestamp_last: generation.transfers.last().map_or(0, |last| last.timestamp),
        slot_first: generation.first_slot.into(),
        slots_end: generation.end_slot().into(),
        digest: mark.digest,
        ..StateRecord::default()
    };
    let (sessions, replies) = session_records(&mark.sessions);
    let number = generation.number;
    let tag = FileTag::new(cluster, Kind::Checkpoint, number, number);
    let mut pages = PageWriter::create(storage, path, tag, pace, &mut scratch.chunks)?;
    let mut sections = [Section::default(); SECTIONS];
    sections[PiecePart::State as usize] = pages.section(&[state])?;
    sections[PiecePart::Accounts as usize] = pages.section(&accounts)?;
    sections[PiecePart::Changes as usize] = pages.section(&changes)?;
    sections[PiecePart::Opened as usize] = pages.section(&opened)?;
    sections[PiecePart::Closed as usize] = pages.section(&closed)?;
    sections[PiecePart::Sessions as usize] = pages.section(&sessions)?;
    sections[PiecePart::Replies as usize] = pages.section(&replies)?;
    sections[PiecePart::Branches as usize] = pages.section(&branches)?;
    sections[PiecePart::Group as usize] = pages.section(&group_units(&mark.group))?;
    pages.finish(&mut header(cluster, (number, number), &state, sections))
}

/// Writes one piece that says what these say together, which begin with generation 0.
///
/// # Errors
/// The system's, and that something is damaged.
pub fn merge_pieces(
    storage: &dyn Storage,
    path: &Path,
    cluster: u128,
    (pace, reader, scratch): (&Pace, &mut Reader, &mut Scratch),
    pieces: &[Arc<Piece>],
) -> Result<(), StoreError> {
    let whole = Whole::of(pieces).expect("there are pieces to merge");
    let range = (0, whole.last());
    let state = whole.state();
    let mark = whole.mark(reader)?;
    let (sessions, replies) = session_records(&mark.sessions);
    let tag = FileTag::new(cluster, Kind::Checkpoint, range.0, range.1);
    let mut pages = PageWriter::create(storage, path, tag, pace, &mut scratch.chunks)?;
    let mut sections = [Section::default(); SECTIONS];
    sections[PiecePart::State as usize] = pages.section(&[state])?;
    let accounts = Streamed::begin(&mut pages);
    let accounts = accounts.each(|put| whole.accounts(reader, put))?;
    sections[PiecePart::Accounts as usize] = accounts;
    let opened = Streamed::begin(&mut pages);
    sections[PiecePart::Opened as usize] = opened.each(|put| whole.pendings(reader, put))?;
    sections[PiecePart::Sessions as usize] = pages.section(&sessions)?;
    sections[PiecePart::Replies as usize] = pages.section(&replies)?;
    let branches = Streamed::begin(&mut pages);
    sections[PiecePart::Branches as usize] = branches.each(|put| whole.branches(reader, put))?;
    sections[PiecePart::Group as usize] = pages.section(&group_units(&mark.group))?;
    pages.finish(&mut header(cluster, range, &state, sections))
}

/// A section whose records come one by one.
struct Streamed<'p, 'w> {
    pages: &'p mut PageWriter<'w>,
    page: u64,
    count: u64,
}

impl<'p, 'w> Streamed<'p, 'w> {
    fn begin(pages: &'p mut PageWriter<'w>) -> Self {
        pages.end_page();
        let page = pages.next_page();
        Self {
            pages,
            page,
            count: 0,
        }
    }

    fn each<T: Record>(
        mut self,
        stream: impl FnOnce(&mut dyn FnMut(&T) -> Result<(), StoreError>) -> Result<(), StoreError>,
    ) -> Result<Section, StoreError> {
        stream(&mut |record| {
            self.count += 1;
            self.pages.put_bytes(record.as_bytes())
        })?;
        self.pages.end_page();
        Ok(Section {
            page: self.page,
            pages: self.pages.next_page() - self.page,
            count: self.count,
        })
    }
}

/// Sessions as records, and the replies they have.
fn session_records(sessions: &[SessionState]) -> (Vec<SessionRecord>, Vec<u128>) {
    let mut replies = Vec::new();
    let records = sessions.iter().map(|session| {
        let reply = replies.len() as u64;
        let body = session.reply.as_deref().unwrap_or_default();
        for unit in body.chunks(16) {
            let mut bytes = [0; 16];
            bytes[..unit.len()].copy_from_slice(unit);
            replies.push(u128::from_le_bytes(bytes));
        }
        SessionRecord {
            client: session.client,
            request_checksum: session.request_checksum,
            session: session.session,
            op: session.op,
            timestamp: session.timestamp,
            reply,
            request: session.request,
            release: session.release,
            reply_bytes: body.len() as u32,
            operation: session.operation,
            has_reply: u8::from(session.reply.is_some()),
            reserved: [0; 50],
        }
    });
    (records.collect(), replies)
}

/// The group's part of a mark: its length, and its bytes.
fn group_units(group: &[u8]) -> Vec<u128> {
    assert!(group.len() <= GROUP_BYTES_MAX, "a group has few members");
    if group.is_empty() {
        return Vec::new();
    }
    let units = group.chunks(16).map(|unit| {
        let mut bytes = [0; 16];
        bytes[..unit.len()].copy_from_slice(unit);
        u128::from_le_bytes(bytes)
    });
    std::iter::once(group.len() as u128).chain(units).collect()
}

fn header(
    cluster: u128,
    (first, last): (u64, u64),
    state: &StateRecord,
    sections: [Section; SECTIONS],
) -> Header {
    Header {
        magic: MAGIC,
        cluster,
        ids_min: 0,
        ids_max: 0,
        fates_min: 0,
        fates_max: 0,
        first,
        last,
        pages: 0,
        hash_check: 0,
        first_row: 0,
        count: sections[PiecePart::Accounts as usize].count,
        timestamp_first: 0,
        timestamp_last: state.timestamp_last,
        event_first: 0,
        event_last: 0,
        version: VERSION,
        kind: Kind::Checkpoint as u16,
        level: 0,
        reserved: 0,
        sections,
    }
}
