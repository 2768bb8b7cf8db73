//! The change feed over everything: segments of the history first, then memory.
//!
//! Working out the balances after a change needs those before it, so that a cursor which is new has
//! to begin at a place where they are known. A reader comes back for what follows what it got; so
//! cursors of the last readers are kept, and go on where they are.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use giro_base::operation::Kind;
use giro_base::{ChangeEvent, Position, Timestamp, Transfer};
use giro_core::changes::{
    Change, ChangeCursor as MemoryCursor, ChangesQuery, Source, What, event_of, gather,
};
use giro_core::tables::Tables;
use giro_store::cursor::{ChangeCursor as SegmentCursor, Progress};
use giro_store::{Catalog, Reader, StoreError};
use zerocopy::IntoBytes;

use crate::error::Error;
use crate::executor::Executor;
use crate::reading::Both;

/// Readers whose cursors are kept. One takes some 100 bytes for each account it came across in a
/// generation.
const FEEDS_MAX: usize = 8;
/// A cursor on its way is given up when its reader did not ask in so many requests of others.
const FEED_REQUESTS_MAX: u64 = 4096;
/// Pages of the history read at a time.
const PAGES_PER_STEP: usize = 256;

/// What a cursor on its way does before others have their turn.
#[derive(Clone, Copy, Debug)]
pub struct FeedTurn {
    /// Pages of the history.
    pub pages: usize,
    /// Changes in memory.
    pub changes: usize,
}

impl Default for FeedTurn {
    /// About a millisecond.
    fn default() -> Self {
        Self {
            pages: 64,
            changes: 8192,
        }
    }
}

/// Cursors of readers that may come back, the last one used at the end.
#[derive(Default)]
pub(crate) struct Feeds {
    kept: Vec<Feed>,
    turn: FeedTurn,
    /// Requests so far.
    requests: u64,
}

struct Feed {
    /// Everything before the cursor is at this position or before.
    reached: Position,
    place: Place,
    /// It is still on its way to the first change that its reader lacks.
    is_on_its_way: bool,
    /// The last request that used it.
    used: u64,
}

enum Place {
    Memory(MemoryCursor),
    Segment(SegmentCursor),
}

impl Feeds {
    /// The cursor of a reader who now is at `after`.
    fn take(&mut self, after: Position) -> Option<Place> {
        let latest = |p: Position| p.transfers.max(p.expiries);
        // One that is not far behind: a window of time begins behind the last event of another.
        let fits = |feed: &Feed| {
            let reached = feed.reached;
            reached.transfers <= after.transfers
                && reached.expiries <= after.expiries
                && latest(reached) == latest(after)
        };
        self.requests += 1;
        let found = self.kept.iter().rposition(fits)?;
        Some(self.kept.remove(found).place)
    }

    /// Whether a new reader can be kept without giving up another's way.
    fn has_room(&self) -> bool {
        self.kept.len() < FEEDS_MAX || self.dispensable().is_some()
    }

    /// The one that was used longest ago, but for those on their way, which would begin anew and
    /// perhaps never arrive.
    fn dispensable(&self) -> Option<usize> {
        let is_idle = |feed: &Feed| self.requests - feed.used > FEED_REQUESTS_MAX;
        let mut kept = self.kept.iter();
        kept.position(|feed| !feed.is_on_its_way || is_idle(feed))
    }

    fn keep(&mut self, reached: Position, place: Place, is_on_its_way: bool) {
        if self.kept.len() == FEEDS_MAX {
            self.kept.remove(self.dispensable().unwrap_or(0));
        }
        self.kept.push(Feed {
            reached,
            place,
            is_on_its_way,
            used: self.requests,
        });
    }
}

impl Executor {
    /// Makes turns of readers on their way shorter or longer.
    pub fn set_feed_turn(&mut self, turn: FeedTurn) {
        self.feeds.turn = turn;
    }

    /// Does some of the work that an answer to `get_change_events` or `get_changes_after`,
    /// whichever `kind` is, needs beforehand. False when there is more to do: call it again, with
    /// other work in between.
    ///
    /// # Errors
    /// The history's.
    pub fn prepare_change_events(
        &mut self,
        kind: Kind,
        filter: &[u8],
        events_max: usize,
    ) -> Result<bool, Error> {
        let Some(query) = ChangesQuery::parse(kind, filter, events_max) else {
            return Ok(true);
        };
        let kept = self.feeds.take(query.after);
        if kept.is_none() && !self.feeds.has_room() {
            return Ok(false);
        }
        let turn = self.feeds.turn;
        let (place, is_there) = match self.both() {
            None => {
                let tables = self.machine().tables();
                let mut cursor = memory_cursor(tables, &query, kept);
                let (after, soon) = (query.after, query.limit);
                let is_there = cursor.advance(tables, after, turn.changes, soon);
                (Place::Memory(cursor), is_there)
            }
            Some(both) => OfAll::new(&query, Past::of(both), kept)?.advance(turn, query.limit)?,
        };
        self.feeds.keep(query.after, place, !is_there);
        Ok(is_there)
    }

    /// Answers `get_change_events` and `get_changes_after`, whichever `kind` is: writes events to
    /// `out`, at most `events_max`, and returns how many. Does at once what was not
    /// [prepared](Self::prepare_change_events).
    ///
    /// # Errors
    /// The history's.
    pub fn change_events(
        &mut self,
        kind: Kind,
        filter: &[u8],
        events_max: usize,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let Some(query) = ChangesQuery::parse(kind, filter, events_max) else {
            return Ok(0);
        };
        let kept = self.feeds.take(query.after);
        let (count, reached, place) = match self.both() {
            None => answer_from_memory(&query, self.machine().tables(), kept, out),
            Some(both) => answer_from_all(&query, Past::of(both), kept, out)?,
        };
        if let Some(reached) = reached {
            self.feeds.keep(reached, place, false);
        }
        Ok(count)
    }
}

/// How many events there were, where their reader is if the cursor is there, too, and the cursor.
type Answered = (usize, Option<Position>, Place);

fn memory_cursor(tables: &Tables, query: &ChangesQuery, kept: Option<Place>) -> MemoryCursor {
    match kept {
        Some(Place::Memory(cursor)) => cursor,
        _ => MemoryCursor::at(tables, query.after),
    }
}

fn answer_from_memory(
    query: &ChangesQuery,
    tables: &Tables,
    kept: Option<Place>,
    out: &mut [u8],
) -> Answered {
    let mut source = OfMemory {
        tables,
        after: query.after,
        cursor: memory_cursor(tables, query, kept),
    };
    let Ok(gathered) = gather(query, &mut source);
    let count = write(&gathered.changes, tables, &HashMap::new(), out);
    (count, gathered.reached, Place::Memory(source.cursor))
}

fn answer_from_all(
    query: &ChangesQuery,
    past: Past<'_>,
    kept: Option<Place>,
    out: &mut [u8],
) -> Result<Answered, StoreError> {
    let mut source = OfAll::new(query, past, kept)?;
    let gathered = gather(query, &mut source)?;
    let older = source.past.older_pending_of(&gathered.changes)?;
    let count = write(&gathered.changes, source.past.tables, &older, out);
    Ok((count, gathered.reached, source.place))
}

/// Writes events, given the pending transfers of expiries that have left memory, by row.
fn write(
    changes: &[Change],
    tables: &Tables,
    older: &HashMap<u64, Transfer>,
    out: &mut [u8],
) -> usize {
    let rows = out.chunks_exact_mut(size_of::<ChangeEvent>());
    for (out, change) in rows.zip(changes) {
        let pending = match change.what {
            What::Transfer { .. } => None,
            What::Expiry { pending_row, .. } => {
                let older = older.get(&pending_row);
                Some(older.unwrap_or_else(|| tables.transfer(pending_row)))
            }
        };
        out.copy_from_slice(event_of(change, &tables.accounts, pending).as_bytes());
    }
    changes.len()
}

/// Changes of a ledger that is wholly in memory.
struct OfMemory<'a> {
    tables: &'a Tables,
    after: Position,
    cursor: MemoryCursor,
}

impl Source for OfMemory<'_> {
    type Error = Infallible;

    fn step(&mut self, found_max: usize, found: &mut Vec<Change>) -> Result<bool, Infallible> {
        Ok(self.cursor.step(self.tables, self.after, found_max, found))
    }

    fn next_transfer_at(&mut self) -> Result<Option<Timestamp>, Infallible> {
        Ok(self.cursor.next_transfer_at(self.tables))
    }
}

/// Changes of a ledger with a history.
struct OfAll<'a> {
    past: Past<'a>,
    after: Position,
    place: Place,
}

impl<'a> OfAll<'a> {
    /// From the kept cursor on, or from the first change the reader lacks.
    fn new(
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
        Ok(Self { past, after, place })
    }

    /// Goes on for a turn towards the first change that the reader lacks; whether it is there.
    fn advance(mut self, turn: FeedTurn, soon: usize) -> Result<(Place, bool), StoreError> {
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
            return Ok((self.place, is_there));
        }
    }
}

impl Source for OfAll<'_> {
    type Error = StoreError;

    fn step(&mut self, found_max: usize, found: &mut Vec<Change>) -> Result<bool, StoreError> {
        while found.len() < found_max {
            match &mut self.place {
                Place::Memory(cursor) if cursor.generation() >= self.past.first_in_memory() => {
                    return Ok(cursor.step(self.past.tables, self.after, found_max, found));
                }
                Place::Memory(cursor) => {
                    self.place = self.past.go_on(cursor, self.after)?;
                }
                Place::Segment(cursor) => {
                    let reader = &mut *self.past.reader;
                    let progress = cursor.step(reader, PAGES_PER_STEP, found_max, found)?;
                    if progress == Progress::Done {
                        let next = cursor.generation() + 1;
                        self.place = self.past.place_from(next, self.after)?;
                    }
                }
            }
        }
        Ok(true)
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
struct Past<'a> {
    tables: &'a Tables,
    catalog: Arc<Catalog>,
    reader: &'a mut Reader,
}

impl<'a> Past<'a> {
    fn of(both: Both<'a>) -> Self {
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
    fn older_pending_of(
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
