//! Queries over everything: what is in memory and, before it, the history on disk.
//!
//! Rows on disk are older than all rows in memory, so an answer is one behind the other.

use std::sync::Arc;

use giro_base::filter::AccountBalance;
use giro_base::{AccountFlags, Transfer};
use giro_core::StateMachine;
use giro_core::query::{AccountQuery, Query};
use giro_store::cursor::{BalanceRow, Cursor, Progress, Row, Select, Walk, Window};
use giro_store::{Catalog, Reader, StoreError};
use zerocopy::{Immutable, IntoBytes};

use crate::error::Error;
use crate::executor::Executor;

/// Pages of the history read at a time.
const PAGES_PER_STEP: usize = 1024;
/// Bytes of every row that queries return.
const ROW_BYTES: usize = size_of::<Transfer>();

const _: () = assert!(ROW_BYTES == size_of::<AccountBalance>());

/// A ledger's memory and its history.
pub(crate) struct Both<'a> {
    pub(crate) machine: &'a StateMachine,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) reader: &'a mut Reader,
}

impl Executor {
    /// Answers `get_account_transfers`: writes rows to `out`, at most `rows_max`, and returns how
    /// many.
    ///
    /// # Errors
    /// The history's.
    pub fn account_transfers(
        &mut self,
        filter: &[u8],
        rows_max: usize,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let Some(both) = self.both() else {
            return Ok(self.machine().account_transfers(filter, rows_max, out));
        };
        let Some((query, slot)) = both.account_query(filter, rows_max) else {
            return Ok(0);
        };
        let select = Select::of_account_filter(&query.filter, slot);
        let window = Window::of_account_filter(&query.filter);
        let walk = Walk::transfers(
            Arc::clone(&both.catalog),
            select,
            window,
            both.generations(),
        );
        let machine = both.machine;
        let recent = |left, out: &mut [u8]| machine.account_transfers(filter, left, out);
        let order = (query.limit, window.reversed);
        Ok(both.gather(order, recent, walk, |row: &Row| row.transfer, out)?)
    }

    /// As [`account_transfers`](Self::account_transfers), for `query_transfers`.
    ///
    /// # Errors
    /// The history's.
    pub fn query_transfers(
        &mut self,
        filter: &[u8],
        rows_max: usize,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let Some(both) = self.both() else {
            return Ok(self.machine().query_transfers(filter, rows_max, out));
        };
        let Some(query) = Query::parse(filter, rows_max) else {
            return Ok(0);
        };
        let select = Select::of_query_filter(&query.filter);
        let window = Window::of_query_filter(&query.filter);
        let walk = Walk::transfers(
            Arc::clone(&both.catalog),
            select,
            window,
            both.generations(),
        );
        let machine = both.machine;
        let recent = |left, out: &mut [u8]| machine.query_transfers(filter, left, out);
        let order = (query.limit, window.reversed);
        Ok(both.gather(order, recent, walk, |row: &Row| row.transfer, out)?)
    }

    /// As [`account_transfers`](Self::account_transfers), for `get_account_balances`.
    ///
    /// # Errors
    /// The history's.
    pub fn account_balances(
        &mut self,
        filter: &[u8],
        rows_max: usize,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let Some(both) = self.both() else {
            return Ok(self.machine().account_balances(filter, rows_max, out));
        };
        let Some((query, slot)) = both.account_query(filter, rows_max) else {
            return Ok(0);
        };
        let machine = both.machine;
        if machine.tables().accounts[slot as usize].flags & AccountFlags::HISTORY == 0 {
            return Ok(0);
        }
        let select = Select::of_account_filter(&query.filter, slot);
        let window = Window::of_account_filter(&query.filter);
        let walk = Walk::balances(
            Arc::clone(&both.catalog),
            select,
            window,
            both.generations(),
        );
        let walk = walk.expect("an account is selected");
        let recent = |left, out: &mut [u8]| machine.account_balances(filter, left, out);
        let order = (query.limit, window.reversed);
        Ok(both.gather(order, recent, walk, balance_of, out)?)
    }
}

impl Both<'_> {
    /// What the filter asks for, and the slot of its account; none when there is nothing.
    fn account_query(&self, filter: &[u8], rows_max: usize) -> Option<(AccountQuery, u32)> {
        let query = AccountQuery::parse(filter, rows_max)?;
        let slot = self.machine.account_slot(query.filter.account_id)?;
        Some((query, slot))
    }

    /// Generations that are not in memory any more.
    fn generations(&self) -> u64 {
        let mut in_memory = self.machine.tables().window.generations();
        in_memory.next().map_or(0, |oldest| oldest.number)
    }

    /// Puts rows of memory and of the history behind one another, `limit` at most, the newest
    /// first if it is `reversed`.
    fn gather<C: Cursor, R: IntoBytes + Immutable>(
        self,
        (limit, reversed): (usize, bool),
        recent: impl FnOnce(usize, &mut [u8]) -> usize,
        mut walk: Walk<C>,
        row_of: impl Fn(&C::Found) -> R,
        out: &mut [u8],
    ) -> Result<usize, StoreError> {
        let reader = self.reader;
        let mut older = |limit: usize, out: &mut [u8]| -> Result<usize, StoreError> {
            let mut found = Vec::new();
            while found.len() < limit
                && walk.step(reader, PAGES_PER_STEP, limit, &mut found)? == Progress::More
            {
            }
            for (row, found) in out.chunks_exact_mut(ROW_BYTES).zip(&found) {
                row.copy_from_slice(row_of(found).as_bytes());
            }
            Ok(found.len())
        };
        if reversed {
            let newest = recent(limit, out);
            Ok(newest + older(limit - newest, &mut out[newest * ROW_BYTES..])?)
        } else {
            let oldest = older(limit, out)?;
            let rest = limit - oldest;
            // With no row left to write, memory need not be asked.
            let newest = if rest > 0 {
                recent(rest, &mut out[oldest * ROW_BYTES..])
            } else {
                0
            };
            Ok(oldest + newest)
        }
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
