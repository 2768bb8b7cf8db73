//! Queries over everything: what is in memory and, before it, the history on disk.
//!
//! Rows on disk are older than all rows in memory, so an answer is one behind the other.

use std::sync::Arc;

use giro_base::filter::AccountBalance;
use giro_base::{AccountFlags, Transfer};
use giro_core::StateMachine;
use giro_core::query::{AccountQuery, Query};
use giro_store::cursor::{
    BalanceCursor, BalanceRow, Progress, Row, Select, TransferCursor, Window,
};
use giro_store::segment::Segment;
use giro_store::{History, Reader, StoreError};
use zerocopy::{Immutable, IntoBytes};

/// Pages of the history read at a time.
const PAGES_PER_STEP: usize = 1024;
/// Bytes of every row that queries return.
const ROW_BYTES: usize = size_of::<Transfer>();

const _: () = assert!(ROW_BYTES == size_of::<AccountBalance>());

/// A ledger's memory and its history.
pub(crate) struct Both<'a> {
    pub(crate) machine: &'a StateMachine,
    pub(crate) history: &'a mut History,
}

/// Where rows of an answer go, and how many more.
struct Answer<'a> {
    out: &'a mut [u8],
    rows: usize,
    limit: usize,
}

impl Answer<'_> {
    fn is_full(&self) -> bool {
        self.rows == self.limit
    }

    fn push(&mut self, row: &(impl IntoBytes + Immutable)) {
        let at = self.rows * ROW_BYTES;
        self.out[at..at + ROW_BYTES].copy_from_slice(row.as_bytes());
        self.rows += 1;
    }

    /// Lets `read` write rows behind those that are there; it is told how many fit.
    fn extend(&mut self, read: impl FnOnce(usize, &mut [u8]) -> usize) {
        let left = self.limit - self.rows;
        if left > 0 {
            self.rows += read(left, &mut self.out[self.rows * ROW_BYTES..]);
        }
    }
}

impl Both<'_> {
    /// Answers `get_account_transfers`; see [`StateMachine::account_transfers`].
    pub(crate) fn account_transfers(
        &mut self,
        filter: &[u8],
        rows_max: usize,
        out: &mut [u8],
    ) -> Result<usize, StoreError> {
        let Some(query) = AccountQuery::parse(filter, rows_max) else {
            return Ok(0);
        };
        let Some(slot) = self.machine.account_slot(query.filter.account_id) else {
            return Ok(0);
        };
        let select = Select::of_account_filter(&query.filter, slot);
        let window = Window::of_account_filter(&query.filter);
        let machine = self.machine;
        let recent = |left, out: &mut [u8]| machine.account_transfers(filter, left, out);
        self.transfers(query.limit, select, window, recent, out)
    }

    /// Answers `query_transfers`; see [`StateMachine::query_transfers`].
    pub(crate) fn query_transfers(
        &mut self,
        filter: &[u8],
        rows_max: usize,
        out: &mut [u8],
    ) -> Result<usize, StoreError> {
        let Some(query) = Query::parse(filter, rows_max) else {
            return Ok(0);
        };
        let select = Select::of_query_filter(&query.filter);
        let window = Window::of_query_filter(&query.filter);
        let machine = self.machine;
        let recent = |left, out: &mut [u8]| machine.query_transfers(filter, left, out);
        self.transfers(query.limit, select, window, recent, out)
    }

    /// Answers `get_account_balances`; see [`StateMachine::account_balances`].
    pub(crate) fn account_balances(
        &mut self,
        filter: &[u8],
        rows_max: usize,
        out: &mut [u8],
    ) -> Result<usize, StoreError> {
        let Some(query) = AccountQuery::parse(filter, rows_max) else {
            return Ok(0);
        };
        let machine = self.machine;
        let Some(slot) = machine.account_slot(query.filter.account_id) else {
            return Ok(0);
        };
        if machine.tables().accounts[slot as usize].flags & AccountFlags::HISTORY == 0 {
            return Ok(0);
        }
        let select = Select::of_account_filter(&query.filter, slot);
        let window = Window::of_account_filter(&query.filter);
        let recent = |left, out: &mut [u8]| machine.account_balances(filter, left, out);
        let older = |reader: &mut Reader, segment, answer: &mut Answer<'_>| {
            let Some(mut cursor) = BalanceCursor::new(segment, select, window) else {
                return Ok(());
            };
            let mut found = Vec::new();
            let left = answer.limit - answer.rows;
            while cursor.step(reader, PAGES_PER_STEP, left, &mut found)? == Progress::More
                && found.len() < left
            {}
            found.iter().for_each(|row| answer.push(&balance_of(row)));
            Ok(())
        };
        self.gather(query.limit, window, recent, older, out)
    }

    fn transfers(
        &mut self,
        limit: usize,
        select: Select,
        window: Window,
        recent: impl FnOnce(usize, &mut [u8]) -> usize,
        out: &mut [u8],
    ) -> Result<usize, StoreError> {
        let older = |reader: &mut Reader, segment, answer: &mut Answer<'_>| {
            let mut cursor = TransferCursor::new(segment, select, window);
            let mut found: Vec<Row> = Vec::new();
            let left = answer.limit - answer.rows;
            while cursor.step(reader, PAGES_PER_STEP, left, &mut found)? == Progress::More
                && found.len() < left
            {}
            found.iter().for_each(|row| answer.push(&row.transfer));
            Ok(())
        };
        self.gather(limit, window, recent, older, out)
    }

    /// Puts rows of memory and of the segments behind one another, in the order asked.
    fn gather(
        &mut self,
        limit: usize,
        window: Window,
        recent: impl FnOnce(usize, &mut [u8]) -> usize,
        mut older: impl FnMut(&mut Reader, Arc<Segment>, &mut Answer<'_>) -> Result<(), StoreError>,
        out: &mut [u8],
    ) -> Result<usize, StoreError> {
        let mut answer = Answer {
            out,
            rows: 0,
            limit,
        };
        let segments = self.segments_of(window);
        let reader = self.history.reader();
        if window.reversed {
            answer.extend(recent);
            for segment in segments.into_iter().rev() {
                if answer.is_full() {
                    break;
                }
                older(reader, segment, &mut answer)?;
            }
        } else {
            for segment in segments {
                if answer.is_full() {
                    break;
                }
                older(reader, segment, &mut answer)?;
            }
            answer.extend(recent);
        }
        Ok(answer.rows)
    }

    /// The segments with rows of the window of time that are not in memory any more.
    fn segments_of(&self, window: Window) -> Vec<Arc<Segment>> {
        let in_memory_from = self.machine.tables().window.first_row();
        let segments = self.history.catalog().segments.iter();
        let wanted = segments.filter(|segment| {
            let header = segment.header();
            segment.rows() > 0
                && segment.end_row() <= in_memory_from
                && header.timestamp_first <= window.max
                && header.timestamp_last >= window.min
        });
        wanted.cloned().collect()
    }
}

fn balance_of(row: &BalanceRow) -> AccountBalance {
    let balances = row.after.balances;
    AccountBalance {
        debits_pending: balances.debits_pending,
        debits_posted: balances.debits_posted,
        credits_pending: balances.credits_pending,
        credits_posted: balances.credits_posted,
        timestamp: row.row.transfer.timestamp,
        reserved: [0; 56],
    }
}
