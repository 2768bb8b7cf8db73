//! What changed accounts, in the order it took effect, with both accounts right after each change.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use giro_base::{Position, Timestamp, Transfer};
use giro_core::changes::{Change, What, WholeCursor};

use super::Progress;
use super::balances::is_closing;
use crate::error::StoreError;
use crate::format::{ClosingRecord, ExpiryRecord, Part, Record, Sides};
use crate::reader::Reader;
use crate::replay::{AccountState, Side, States};
use crate::segment::Segment;

/// Goes through one segment, in the order changes took effect. It works from the segment's
/// beginning, so that a consumer that comes back for more does well to keep its cursor.
pub struct ChangeCursor {
    segment: Arc<Segment>,
    /// What the reader has.
    after: Position,
    /// Rows and expiries that are left.
    rows: Range<u64>,
    expiries: Range<u64>,
    /// Accounts as they are before the next change.
    accounts: States,
    /// Worked out, not handed over yet.
    ready: VecDeque<Change>,
}

/// Some changes as they were read.
struct Chunk {
    first: u64,
    rows: Vec<Transfer>,
    sides: Vec<Sides>,
    closings: Vec<ClosingRecord>,
    expiries: Vec<ExpiryRecord>,
}

impl ChangeCursor {
    /// A cursor before the first change that a reader who is at `after` lacks.
    #[must_use]
    pub fn new(segment: Arc<Segment>, after: Position) -> Self {
        let count = |part| segment.section(part).count;
        let (rows, expiries) = (count(Part::Rows), count(Part::Expiries));
        // Nothing in it is wanted: no need to read it.
        let over = segment.header().event_last <= after.transfers.min(after.expiries);
        let left = |count| if over { count..count } else { 0..count };
        Self {
            rows: left(rows),
            expiries: left(expiries),
            segment,
            after,
            accounts: States::default(),
            ready: VecDeque::new(),
        }
    }

    /// Whether a segment has changes that a reader who is at `after` lacks. Reads one page at most.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn has_some(
        segment: &Segment,
        after: Position,
        reader: &mut Reader,
    ) -> Result<bool, StoreError> {
        let header = segment.header();
        if header.timestamp_last > after.transfers {
            return Ok(true);
        }
        let expiries = segment.section(Part::Expiries);
        if expiries.count == 0 || header.event_last <= after.expiries {
            return Ok(false);
        }
        let last: ExpiryRecord = reader.one(segment.file(), expiries, expiries.count - 1)?;
        Ok(last.timestamp > after.expiries)
    }

    /// The same in the place of a cursor on the generation that the segment was made of.
    #[must_use]
    pub fn resume(segment: Arc<Segment>, after: Position, cursor: WholeCursor) -> Self {
        debug_assert_eq!(segment.number(), cursor.generation);
        let count = |part| segment.section(part).count;
        Self {
            rows: cursor.row..count(Part::Rows),
            expiries: cursor.expiry..count(Part::Expiries),
            after,
            accounts: cursor.accounts,
            ready: VecDeque::new(),
            segment,
        }
    }

    /// Number of its segment.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.segment.number()
    }

    /// Reads on, about `pages_max` pages, towards the next change wanted. True when it is there, or
    /// at the end.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn advance(&mut self, reader: &mut Reader, pages_max: usize) -> Result<bool, StoreError> {
        let end = reader.pages_read().saturating_add(pages_max as u64);
        while self.ready.is_empty() && !self.is_read() {
            let left = end.saturating_sub(reader.pages_read());
            if left == 0 {
                return Ok(false);
            }
            self.work_out(reader, left)?;
        }
        Ok(true)
    }

    /// Whether there is no more in its segment.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ready.is_empty() && self.is_read()
    }

    /// From now on the reader is at `after`, which is not before where it was.
    pub fn set_after(&mut self, after: Position) {
        self.after = after;
        self.ready.retain(|change| change.is_after(after));
    }

    /// Timestamp of the next transfer of the segment (ns), if there is one: of one wanted, or of
    /// the first one not read yet.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn next_transfer_at(
        &mut self,
        reader: &mut Reader,
    ) -> Result<Option<Timestamp>, StoreError> {
        let ready = self.ready.iter().find(|change| change.is_transfer());
        if let Some(ready) = ready {
            return Ok(Some(ready.timestamp));
        }
        if self.rows.is_empty() {
            return Ok(None);
        }
        let section = self.segment.section(Part::Rows);
        let next: Transfer = reader.one(self.segment.file(), section, self.rows.start)?;
        Ok(Some(next.timestamp))
    }

    /// Works on, reading about `pages_max` pages, and appends changes to `found` until it has
    /// `changes_max`.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn step(
        &mut self,
        reader: &mut Reader,
        pages_max: usize,
        changes_max: usize,
        found: &mut Vec<Change>,
    ) -> Result<Progress, StoreError> {
        let end = reader.pages_read().saturating_add(pages_max as u64);
        loop {
            while found.len() < changes_max {
                let Some(change) = self.ready.pop_front() else {
                    break;
                };
                found.push(change);
            }
            let left = end.saturating_sub(reader.pages_read());
            if self.is_read() || found.len() >= changes_max || left == 0 {
                break;
            }
            self.work_out(reader, left)?;
        }
        Ok(if self.is_done() {
            Progress::Done
        } else {
            Progress::More
        })
    }

    /// Works out some more changes, from about so many pages.
    fn work_out(&mut self, reader: &mut Reader, pages: u64) -> Result<(), StoreError> {
        let chunk = self.read(reader, pages)?;
        self.load_accounts(reader, &chunk)?;
        self.replay(chunk)
    }

    fn is_read(&self) -> bool {
        self.rows.is_empty() && self.expiries.is_empty()
    }

    /// Reads the next rows, and the expiries in between, as far as they were read themselves.
    fn read(&mut self, reader: &mut Reader, pages: u64) -> Result<Chunk, StoreError> {
        let (segment, file) = (&self.segment, self.segment.file());
        let section = |part| segment.section(part);
        let expiries_end = (self.expiries.start + EXPIRIES_PER_CHUNK).min(self.expiries.end);
        let range = self.expiries.start..expiries_end;
        let mut expiries = reader.range::<ExpiryRecord>(file, section(Part::Expiries), range)?;
        let first = self.rows.start;
        let count = pages.clamp(1, CHUNK_PAGES_MAX) * Transfer::PER_PAGE;
        let mut end = (first + count).min(self.rows.end);
        if expiries_end < self.expiries.end {
            // What lies behind the last expiry read must wait for the next ones.
            let last = expiries.last().map_or(end, |expiry| expiry.place.into());
            end = end.min(last.max(first));
        }
        let due = expiries.partition_point(|expiry| u64::from(expiry.place) <= end);
        expiries.truncate(due);
        let rows = reader.range::<Transfer>(file, section(Part::Rows), first..end)?;
        let sides = reader.range::<Sides>(file, section(Part::Sides), first..end)?;
        let closing = rows
            .iter()
            .zip(first as u32..)
            .filter(|(t, _)| is_closing(t));
        let closing: Vec<u32> = closing.map(|(_, offset)| offset).collect();
        let closings = segment.closings(reader, &closing)?;
        if rows.is_empty() && expiries.is_empty() {
            return Err(segment.damaged(Part::Expiries, "an expiry lies behind the last row"));
        }
        self.rows.start = end;
        self.expiries.start += expiries.len() as u64;
        Ok(Chunk {
            first,
            rows,
            sides,
            closings,
            expiries,
        })
    }

    /// Sees to it that each account of the chunk is known.
    fn load_accounts(&mut self, reader: &mut Reader, chunk: &Chunk) -> Result<(), StoreError> {
        let of_rows = chunk
            .sides
            .iter()
            .flat_map(|sides| [sides.debit, sides.credit]);
        let of_expiries = chunk.expiries.iter().flat_map(|e| [e.debit, e.credit]);
        let mut slots: Vec<u32> = of_rows.chain(of_expiries).collect();
        slots.retain(|slot| !self.accounts.contains_key(slot));
        slots.sort_unstable();
        slots.dedup();
        for record in self.segment.accounts(reader, &slots)? {
            let state = AccountState {
                balances: record.balances.into(),
                flags: record.flags,
            };
            self.accounts.insert(record.slot, state);
        }
        Ok(())
    }

    fn replay(&mut self, chunk: Chunk) -> Result<(), StoreError> {
        let mut expiries = chunk.expiries.into_iter().peekable();
        let mut closings = chunk.closings.iter();
        for ((offset, transfer), sides) in (chunk.first..).zip(chunk.rows).zip(chunk.sides) {
            while let Some(expiry) = expiries.next_if(|e| u64::from(e.place) <= offset) {
                self.expire(&expiry)?;
            }
            let closing = if is_closing(&transfer) {
                closings.next()
            } else {
                None
            };
            let what = What::Transfer {
                row: self.segment.first_row() + offset,
                transfer,
            };
            self.change(transfer.timestamp, what, sides, |state, side| {
                state.after(&transfer, side, closing)
            })?;
        }
        for expiry in expiries {
            self.expire(&expiry)?;
        }
        Ok(())
    }

    fn expire(&mut self, expiry: &ExpiryRecord) -> Result<(), StoreError> {
        let sides = Sides {
            debit: expiry.debit,
            credit: expiry.credit,
        };
        let what = What::Expiry {
            pending_row: expiry.pending_row,
            pending_id: expiry.pending_id,
            amount: expiry.amount,
        };
        self.change(expiry.timestamp, what, sides, |state, side| {
            state.after_release(expiry.amount, expiry.pending_flags, side)
        })
    }

    fn change(
        &mut self,
        timestamp: Timestamp,
        what: What,
        sides: Sides,
        after: impl Fn(AccountState, Side) -> Option<AccountState>,
    ) -> Result<(), StoreError> {
        let mut step = |slot, side| {
            let state = self.accounts.get_mut(&slot)?;
            *state = after(*state, side)?;
            Some(*state)
        };
        let both = (
            step(sides.debit, Side::Debit),
            step(sides.credit, Side::Credit),
        );
        let (Some(debit), Some(credit)) = both else {
            return Err(self.segment.damaged(Part::Rows, "balances do not add up"));
        };
        let change = Change {
            timestamp,
            what,
            slots: [sides.debit, sides.credit],
            after: [debit, credit],
        };
        if change.is_after(self.after) {
            self.ready.push_back(change);
        }
        Ok(())
    }
}

/// Pages of rows worked on at once at most: 1 MiB.
const CHUNK_PAGES_MAX: u64 = 256;
/// Expiries worked on at once at most.
const EXPIRIES_PER_CHUNK: u64 = 16 * ExpiryRecord::PER_PAGE;
