//! An account's balances right after each of its transfers, worked out from the snapshot before.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use giro_base::{Transfer, TransferFlags as Flags};

use super::Progress;
use super::select::{AccountSides, Select, Window};
use super::transfers::{Row, first_from, window_rows};
use crate::error::StoreError;
use crate::format::{AccountRecord, POSTINGS_PER_SNAPSHOT, Part, Release, Snapshot};
use crate::reader::Reader;
use crate::replay::{AccountState, Side};
use crate::segment::Segment;
use crate::segment::accounts::side_of;

/// A transfer and its account right after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceRow {
    /// The transfer.
    pub row: Row,
    /// The account after it.
    pub after: AccountState,
}

/// Goes through one segment, the postings between two snapshots at a time.
pub struct BalanceCursor {
    segment: Arc<Segment>,
    select: Select,
    account: AccountSides,
    window: Window,
    /// Before the first step there is none.
    plan: Option<Plan>,
    /// Found, not handed over yet.
    ready: VecDeque<BalanceRow>,
}

/// What is left to do.
struct Plan {
    record: AccountRecord,
    /// Postings wanted, from the account's first.
    wanted: Range<u64>,
    /// Blocks between snapshots that are left.
    blocks: Range<u64>,
}

impl BalanceCursor {
    /// A cursor before the first wanted row. None if `select` names no account.
    #[must_use]
    pub fn new(segment: Arc<Segment>, select: Select, window: Window) -> Option<Self> {
        let account = select.account?;
        Some(Self {
            segment,
            select,
            account,
            window,
            plan: None,
            ready: VecDeque::new(),
        })
    }

    /// Looks at some more rows, and appends those wanted to `found` until it has `rows_max`.
    /// Begins no further block of at most 256 postings once `pages_max` pages were read.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn step(
        &mut self,
        reader: &mut Reader,
        pages_max: usize,
        rows_max: usize,
        found: &mut Vec<BalanceRow>,
    ) -> Result<Progress, StoreError> {
        let end = reader.pages_read().saturating_add(pages_max as u64);
        let mut plan = match self.plan.take() {
            Some(plan) => plan,
            None => self.plan(reader)?,
        };
        loop {
            while found.len() < rows_max {
                let Some(row) = self.ready.pop_front() else {
                    break;
                };
                found.push(row);
            }
            let over = found.len() >= rows_max || reader.pages_read() >= end;
            let block = match self.window.reversed {
                _ if over => None,
                true => plan.blocks.next_back(),
                false => plan.blocks.next(),
            };
            let Some(block) = block else {
                break;
            };
            self.block(reader, &plan, block)?;
        }
        let done = plan.blocks.is_empty() && self.ready.is_empty();
        self.plan = Some(plan);
        Ok(if done { Progress::Done } else { Progress::More })
    }

    fn plan(&self, reader: &mut Reader) -> Result<Plan, StoreError> {
        let record = self.segment.account(reader, self.account.slot)?;
        let record = record.unwrap_or_default();
        let rows = window_rows(&self.segment, reader, &self.window)?;
        let start = u64::from(record.postings);
        let list = start..start + u64::from(record.postings_count);
        let part = Part::Postings;
        let segment = &self.segment;
        let low = first_from(segment, reader, part, list.clone(), rows.start.into())?;
        let high = first_from(segment, reader, part, low..list.end, rows.end.into())?;
        let wanted = low - start..high - start;
        let each = u64::from(POSTINGS_PER_SNAPSHOT);
        let blocks = if wanted.is_empty() {
            0..0
        } else {
            wanted.start / each..wanted.end.div_ceil(each)
        };
        Ok(Plan {
            record,
            wanted,
            blocks,
        })
    }

    /// Works out the balances after the postings of a block.
    fn block(&mut self, reader: &mut Reader, plan: &Plan, block: u64) -> Result<(), StoreError> {
        let each = u64::from(POSTINGS_PER_SNAPSHOT);
        let (mut state, done) = self.state_before(reader, &plan.record, block)?;
        let start = block * each;
        let end = (start + each).min(plan.wanted.end);
        let Posted {
            offsets,
            rows,
            closings,
        } = self.posted(reader, &plan.record, start..end)?;
        let mut closings = closings.iter();
        let mut releases = Releases::new(&plan.record, done);
        let damaged = || {
            self.segment
                .damaged(Part::Postings, "balances do not add up")
        };
        let mut found = Vec::with_capacity(offsets.len());
        for (place, (offset, transfer)) in offsets.iter().zip(&rows).enumerate() {
            while let Some(release) = releases.next_until(&self.segment, reader, *offset)? {
                let (amount, flags) = (release.amount, release.pending_flags);
                let after = state.after_release(amount, flags, side_of(&release));
                state = after.ok_or_else(damaged)?;
            }
            let side = if transfer.debit_account_id == self.account.id {
                Side::Debit
            } else {
                Side::Credit
            };
            let closing = if is_closing(transfer) {
                closings.next()
            } else {
                None
            };
            state = state.after(transfer, side, closing).ok_or_else(damaged)?;
            let wanted = plan.wanted.contains(&(start + place as u64));
            if wanted && self.select.wants(transfer) {
                let row = self.segment.first_row() + u64::from(*offset);
                found.push(BalanceRow {
                    row: Row {
                        row,
                        transfer: *transfer,
                    },
                    after: state,
                });
            }
        }
        if self.window.reversed {
            found.reverse();
        }
        self.ready.extend(found);
        Ok(())
    }

    /// The account before a block, and how many of its releases are in that.
    fn state_before(
        &self,
        reader: &mut Reader,
        record: &AccountRecord,
        block: u64,
    ) -> Result<(AccountState, u32), StoreError> {
        let Some(snapshot) = block.checked_sub(1) else {
            let state = AccountState {
                balances: record.balances.into(),
                flags: record.flags,
            };
            return Ok((state, 0));
        };
        let section = self.segment.section(Part::Snapshots);
        let place = u64::from(record.snapshots) + snapshot;
        let snapshot: Snapshot = reader.one(self.segment.file(), section, place)?;
        let state = AccountState {
            balances: snapshot.balances.into(),
            flags: snapshot.flags,
        };
        Ok((state, snapshot.releases_done))
    }

    fn posted(
        &self,
        reader: &mut Reader,
        record: &AccountRecord,
        postings: Range<u64>,
    ) -> Result<Posted, StoreError> {
        let segment = &self.segment;
        let start = u64::from(record.postings);
        let places = start + postings.start..start + postings.end;
        let section = segment.section(Part::Postings);
        let offsets = reader.range::<u32>(segment.file(), section, places)?;
        let wide: Vec<u64> = offsets.iter().map(|offset| u64::from(*offset)).collect();
        let mut rows = vec![Transfer::default(); offsets.len()];
        segment.transfers(reader, &wide, |place, row| rows[place] = *row)?;
        let closing = offsets.iter().zip(&rows).filter(|(_, t)| is_closing(t));
        let closing: Vec<u32> = closing.map(|(offset, _)| *offset).collect();
        let closings = segment.closings(reader, &closing)?;
        Ok(Posted {
            offsets,
            rows,
            closings,
        })
    }
}

/// Postings as they were read.
struct Posted {
    offsets: Vec<u32>,
    rows: Vec<Transfer>,
    /// Of those that are posts or voids.
    closings: Vec<crate::format::ClosingRecord>,
}

pub(super) fn is_closing(t: &Transfer) -> bool {
    t.flags & (Flags::POST_PENDING_TRANSFER | Flags::VOID_PENDING_TRANSFER) != 0
}

/// An account's releases, read a few at a time.
struct Releases {
    left: Range<u64>,
    read: VecDeque<Release>,
}

/// Releases read at once: one page, nearly always.
const RELEASES_AT_ONCE: u64 = 64;

impl Releases {
    fn new(record: &AccountRecord, done: u32) -> Self {
        let start = u64::from(record.releases);
        let end = start + u64::from(record.releases_count);
        Self {
            left: (start + u64::from(done)).min(end)..end,
            read: VecDeque::new(),
        }
    }

    /// The next one that took effect before `row` did.
    fn next_until(
        &mut self,
        segment: &Segment,
        reader: &mut Reader,
        row: u32,
    ) -> Result<Option<Release>, StoreError> {
        if self.read.is_empty() && !self.left.is_empty() {
            let end = (self.left.start + RELEASES_AT_ONCE).min(self.left.end);
            let section = segment.section(Part::Releases);
            let range = self.left.start..end;
            self.read = reader.range(segment.file(), section, range)?.into();
            self.left.start = end;
        }
        let due = self
            .read
            .front()
            .is_some_and(|release| release.place <= row);
        Ok(due.then(|| self.read.pop_front()).flatten())
    }
}
