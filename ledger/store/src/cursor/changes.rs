//! What changed accounts, in order, with both accounts right after each change.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use giro_base::{Timestamp, Transfer};

use super::Progress;
use super::balances::is_closing;
use super::select::Window;
use crate::error::StoreError;
use crate::format::{ClosingRecord, ExpiryRecord, Part, Record, Sides};
use crate::reader::Reader;
use crate::replay::{AccountState, Side};
use crate::segment::Segment;

/// One change of two accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it took effect (ns).
    pub timestamp: Timestamp,
    /// What it was.
    pub what: What,
    /// Slots of the debit and the credit account.
    pub sides: Sides,
    /// The debit account after it.
    pub debit: AccountState,
    /// The credit account after it.
    pub credit: AccountState,
}

/// What a change was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A transfer.
    Transfer {
        /// Its row.
        row: u64,
        /// The transfer.
        transfer: Transfer,
    },
    /// A pending transfer's end by time.
    Expiry {
        /// Row of the pending transfer, perhaps in an earlier segment.
        pending_row: u64,
        /// Its id.
        pending_id: u128,
        /// What it had reserved.
        amount: u128,
    },
}

/// Goes through one segment, oldest first. It works from the segment's beginning, so that a
/// consumer that comes back for more does well to keep its cursor.
pub struct ChangeCursor {
    segment: Arc<Segment>,
    window: Window,
    /// Rows and expiries that are left.
    rows: Range<u64>,
    expiries: Range<u64>,
    /// Accounts as they are before the next change.
    accounts: HashMap<u32, AccountState>,
    /// Expiries worked out. Imported transfers behind them may have earlier timestamps.
    held: std::collections::VecDeque<Change>,
    /// Worked out, not handed over yet.
    ready: std::collections::VecDeque<Change>,
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
    /// A cursor before the first change in the window. Oldest come first in any case.
    #[must_use]
    pub fn new(segment: Arc<Segment>, window: Window) -> Self {
        let count = |part| segment.section(part).count;
        let (rows, expiries) = (count(Part::Rows), count(Part::Expiries));
        // Nothing in it is wanted: no need to read it.
        let header = segment.header();
        let over = header.event_last < window.min || header.event_first > window.max;
        let left = |count| if over { count..count } else { 0..count };
        Self {
            rows: left(rows),
            expiries: left(expiries),
            segment,
            window,
            accounts: HashMap::new(),
            held: std::collections::VecDeque::new(),
            ready: std::collections::VecDeque::new(),
        }
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
        let end = reader.pages_read() + pages_max as u64;
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
            let chunk = self.read(reader, left)?;
            self.load_accounts(reader, &chunk)?;
            self.replay(chunk)?;
            if self.is_read() {
                self.ready.append(&mut self.held);
            }
        }
        let done = self.is_read() && self.ready.is_empty();
        Ok(if done { Progress::Done } else { Progress::More })
    }

    fn is_read(&self) -> bool {
        self.rows.is_empty() && self.expiries.is_empty()
    }

    /// Reads the next rows, and the expiries in between, as far as they were read themselves.
    fn read(&mut self, reader: &mut Reader, pages: u64) -> Result<Chunk, StoreError> {
        let (segment, file) = (&self.segment, self.segment.file());
        let section = |part| segment.section(part);
        let expiries_end = (self.expiries.start + ExpiryRecord::PER_PAGE).min(self.expiries.end);
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
            sides,
            debit,
            credit,
        };
        self.arrange(change);
        Ok(())
    }

    /// Brings changes into the order of their timestamps. Those of transfers rise, and those of
    /// expiries; and an expiry is later than all transfers before it.
    fn arrange(&mut self, change: Change) {
        let is_transfer = matches!(change.what, What::Transfer { .. });
        if is_transfer {
            let due = self
                .held
                .iter()
                .take_while(|held| held.timestamp < change.timestamp);
            let due = due.count();
            self.ready.extend(self.held.drain(..due));
        }
        if change.timestamp > self.window.max {
            if is_transfer {
                // Nothing behind it is wanted.
                self.rows.start = self.rows.end;
                self.expiries.start = self.expiries.end;
            }
        } else if change.timestamp >= self.window.min {
            let to = if is_transfer {
                &mut self.ready
            } else {
                &mut self.held
            };
            to.push_back(change);
        }
    }
}

/// Pages of rows worked on at once at most: 1 MiB.
const CHUNK_PAGES_MAX: u64 = 256;
