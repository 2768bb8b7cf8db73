//! Where changes come from: memory, or the history and then memory.

use std::collections::HashMap;
use std::sync::Arc;

use giro_base::{Position, Timestamp, Transfer};
use giro_core::changes::{Change, ChangeCursor as MemoryCursor, ChangesQuery, Source, Step, What};
use giro_core::tables::Tables;
use giro_store::cursor::{ChangeCursor as SegmentCursor, Progress};
use giro_store::{Catalog, Reader, StoreError};

use super::FeedTurn;
use crate::reading::Both;

/// Where a cursor is.
pub(super) enum Place {
    Memory(MemoryCursor),
    Segment(SegmentCursor),
}

/// A source that is gone through in turns.
pub(super) trait Way: Source<Error = StoreError> {
    /// Goes on for a turn towards the first change that the reader lacks; whether it is there.
    /// `soon` is how many will be asked for then.
    ///
    /// # Errors
    /// The history's.
    fn advance(&mut self, turn: FeedTurn, soon: usize) -> Result<bool, StoreError>;

    /// So much may be done from now on, until it is paused.
    fn allow(&mut self, turn: FeedTurn);
}

/// Changes of a ledger that is wholly in memory.
pub(super) struct OfMemory<'a> {
    tables: &'a Tables,
    after: Position,
    cursor: MemoryCursor,
    /// Changes that may be gone over.
    left: usize,
}

impl<'a> OfMemory<'a> {
    /// From the kept cursor on, or from the first change the reader lacks.
    pub(super) fn new(query: &ChangesQuery, tables: &'a Tables, kept: Option<Place>) -> Self {
        let after = query.after;
        let cursor = match kept {
            Some(Place::Memory(cursor)) => cursor,
            _ => MemoryCursor::at(tables, after),
        };
        Self {
            tables,
            after,
            cursor,
            left: 0,
        }
    }

    pub(super) fn into_place(self) -> Place {
        Place::Memory(self.cursor)
    }
}

impl Way for OfMemory<'_> {
    fn advance(&mut self, turn: FeedTurn, soon: usize) -> Result<bool, StoreError> {
        let (tables, after) = (self.tables, self.after);
        Ok(self.cursor.advance(tables, after, turn.changes, soon))
    }

    fn allow(&mut self, turn: FeedTurn) {
        self.left = turn.changes;
    }
}

impl Source for OfMemory<'_> {
    type Error = StoreError;

    fn step(&mut self, found_max: usize, found: &mut Vec<Change>) -> Result<Step, StoreError> {
        let (tables, after, left) = (self.tables, self.after, &mut self.left);
        Ok(self.cursor.step(tables, after, found_max, left, found))
    }

    fn next_transfer_at(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.cursor.next_transfer_at(self.tables))
    }
}

/// Changes of a ledger with a history.
pub(super) struct OfAll<'a> {
    pub(super) past: Past<'a>,
    after: Position,
    place: Place,
    /// What the reader may have read when it is paused (pages).
    pages_end: u64,
    /// Changes in memory that may be gone over.
    left: usize,
}

impl<'a> OfAll<'a> {
    /// From the kept cursor on, or from the first change the reader lacks.
    pub(super) fn new(
        query: &ChangesQuery,
        mut past: Past<'a>,
        kept: Option<Place>,
    ) -> Result<Self, StoreError> {
        let after = query.after;
        let place = match kept {
            Some(Place::Segment(mut cursor)) => {
                cursor.set_after(after);
                Place::Segment(cursor)
            }
            Some(place) => place,
            None => past.place_from(0, after)?,
        };
        Ok(Self {
            past,
            after,
            place,
            pages_end: 0,
            left: 0,
        })
    }

    pub(super) fn into_place(self) -> Place {
        self.place
    }
}

impl Way for OfAll<'_> {
    fn advance(&mut self, turn: FeedTurn, soon: usize) -> Result<bool, StoreError> {
        loop {
            let is_there = match &mut self.place {
                Place::Memory(cursor) if cursor.generation() >= self.past.first_in_memory() => {
                    cursor.advance(self.past.tables, self.after, turn.changes, soon)
                }
                Place::Memory(cursor) => {
                    self.place = self.past.go_on(cursor, self.after)?;
                    continue;
                }
                Place::Segment(cursor) => {
                    let is_there = cursor.advance(self.past.reader, turn.pages)?;
                    if cursor.is_done() {
                        let next = cursor.generation() + 1;
                        self.place = self.past.place_from(next, self.after)?;
                        continue;
                    }
                    is_there
                }
            };
            return Ok(is_there);
        }
    }

    fn allow(&mut self, turn: FeedTurn) {
        self.pages_end = self
            .past
            .reader
            .pages_read()
            .saturating_add(turn.pages as u64);
        self.left = turn.changes;
    }
}

impl Source for OfAll<'_> {
    type Error = StoreError;

    fn step(&mut self, found_max: usize, found: &mut Vec<Change>) -> Result<Step, StoreError> {
        while found.len() < found_max {
            match &mut self.place {
                Place::Memory(cursor) if cursor.generation() >= self.past.first_in_memory() => {
                    let (tables, left) = (self.past.tables, &mut self.left);
                    return Ok(cursor.step(tables, self.after, found_max, left, found));
                }
                Place::Memory(cursor) => {
                    self.place = self.past.go_on(cursor, self.after)?;
                }
                Place::Segment(cursor) => {
                    let reader = &mut *self.past.reader;
                    let left = self.pages_end.saturating_sub(reader.pages_read()) as usize;
                    let progress = cursor.step(reader, left, found_max, found)?;
                    if progress == Progress::Done {
                        let next = cursor.generation() + 1;
                        self.place = self.past.place_from(next, self.after)?;
                    } else if found.len() < found_max {
                        return Ok(Step::Paused);
                    }
                }
            }
        }
        Ok(Step::Full)
    }

    fn next_transfer_at(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let cursor = match &mut self.place {
            Place::Memory(cursor) => return Ok(cursor.next_transfer_at(self.past.tables)),
            Place::Segment(cursor) => cursor,
        };
        if let Some(next) = cursor.next_transfer_at(self.past.reader)? {
            return Ok(Some(next));
        }
        Ok(self.past.first_transfer_at(cursor.generation() + 1))
    }
}

/// A ledger's memory and its history.
pub(super) struct Past<'a> {
    pub(super) tables: &'a Tables,
    catalog: Arc<Catalog>,
    reader: &'a mut Reader,
}

impl<'a> Past<'a> {
    pub(super) fn of(both: Both<'a>) -> Self {
        Self {
            tables: both.machine.tables(),
            catalog: both.catalog,
            reader: both.reader,
        }
    }

    /// Number of the oldest generation in memory. Those before it are on disk.
    fn first_in_memory(&self) -> u64 {
        let mut in_memory = self.tables.window.generations();
        in_memory.next().map_or(0, |oldest| oldest.number)
    }

    /// The place of the first change in `generation` or later that a reader at `after` lacks.
    fn place_from(&mut self, generation: u64, after: Position) -> Result<Place, StoreError> {
        let segments = &self.catalog.segments[..self.first_in_memory() as usize];
        for segment in segments.iter().skip(generation as usize) {
            if SegmentCursor::has_some(segment, after, self.reader)? {
                return Ok(Place::Segment(SegmentCursor::new(
                    Arc::clone(segment),
                    after,
                )));
            }
        }
        Ok(Place::Memory(MemoryCursor::at(self.tables, after)))
    }

    /// The place of a cursor in memory whose generation has left it.
    fn go_on(&mut self, cursor: &mut MemoryCursor, after: Position) -> Result<Place, StoreError> {
        let generation = cursor.generation();
        match cursor.take_whole() {
            Some(whole) => {
                let segment = Arc::clone(&self.catalog.segments[generation as usize]);
                Ok(Place::Segment(SegmentCursor::resume(segment, after, whole)))
            }
            None => self.place_from(generation, after),
        }
    }

    /// Timestamp of the first transfer (ns) in `generation` or later.
    fn first_transfer_at(&self, generation: u64) -> Option<Timestamp> {
        let segments = &self.catalog.segments[..self.first_in_memory() as usize];
        let mut with_rows = segments.iter().skip(generation as usize);
        if let Some(segment) = with_rows.find(|segment| segment.rows() > 0) {
            return Some(segment.header().timestamp_first);
        }
        let mut in_memory = self.tables.window.generations();
        in_memory
            .find_map(|generation| generation.transfers.first())
            .map(|transfer| transfer.timestamp)
    }

    /// The pending transfers of expiries whose rows are on disk, by row.
    pub(super) fn older_pending_of(
        &mut self,
        changes: &[Change],
    ) -> Result<HashMap<u64, Transfer>, StoreError> {
        let first_row = self.tables.window.first_row();
        let row = |change: &Change| match change.what {
            What::Expiry { pending_row, .. } if pending_row < first_row => Some(pending_row),
            _ => None,
        };
        let mut rows: Vec<u64> = changes.iter().filter_map(row).collect();
        rows.sort_unstable();
        let mut found = HashMap::with_capacity(rows.len());
        let mut rest = &rows[..];
        while let Some(first) = rest.first() {
            let segment = self.catalog.segment_of_row(*first);
            let segment = segment.expect("rows that are not in memory are on disk");
            let here = rest.partition_point(|row| *row < segment.end_row());
            let (here, behind) = rest.split_at(here);
            let offsets: Vec<u64> = here.iter().map(|row| row - segment.first_row()).collect();
            segment.transfers(self.reader, &offsets, |at, transfer| {
                found.insert(here[at], *transfer);
            })?;
            rest = behind;
        }
        Ok(found)
    }
}
