//! Reading: lookups by id, an account's transfers and balances, and scans by field.
//!
//! Results are rows of 128 bytes, written one behind another. A filter that makes no sense
//! selects nothing. Transfers that have left memory are not found here.

mod balances;
mod filters;

use std::collections::VecDeque;

use giro_base::{Account, Transfer};
use zerocopy::IntoBytes;

use self::filters::{matches_account, matches_transfer, selects};

pub use self::filters::{AccountQuery, Query};
use crate::machine::StateMachine;

impl StateMachine {
    /// Writes the accounts with these ids to `out` in the order asked, missing ones left out, and
    /// returns how many. `ids` are 16 little-endian bytes each; `out` has room for all.
    pub fn lookup_accounts(&self, ids: &[u8], out: &mut [u8]) -> usize {
        let mut rows = Rows::new(out);
        for account in ids_in(ids).filter_map(|id| self.account(id)) {
            rows.push(&account);
        }
        rows.count
    }

    /// As [`Self::lookup_accounts`], for transfers.
    pub fn lookup_transfers(&self, ids: &[u8], out: &mut [u8]) -> usize {
        let mut rows = Rows::new(out);
        for transfer in ids_in(ids).filter_map(|id| self.transfer(id)) {
            rows.push(transfer);
        }
        rows.count
    }

    /// Writes the transfers in memory that an [`giro_base::filter::AccountFilter`] (as bytes)
    /// selects to `out`, at most
    /// `rows_max`, and returns how many.
    pub fn account_transfers(&self, filter: &[u8], rows_max: usize, out: &mut [u8]) -> usize {
        let Some(query) = AccountQuery::parse(filter, rows_max) else {
            return 0;
        };
        let AccountQuery {
            filter,
            bounds,
            limit,
            reversed,
        } = query;
        let Some(slot) = self.account_slot(filter.account_id) else {
            return 0;
        };
        // The account's rows are linked newest first; oldest first keeps the last ones seen.
        let mut selected = VecDeque::with_capacity(limit);
        for row in self.rows_of(slot) {
            let transfer = self.tables().transfer(row);
            if transfer.timestamp < bounds.timestamp_min {
                break;
            }
            if !bounds.contains(transfer.timestamp) || !selects(&filter, transfer) {
                continue;
            }
            if selected.len() == limit {
                if reversed {
                    break;
                }
                selected.pop_front();
            }
            selected.push_back(row);
        }
        let mut rows = Rows::new(out);
        let mut push = |row: &u64| rows.push(self.tables().transfer(*row));
        if reversed {
            selected.iter().for_each(&mut push);
        } else {
            selected.iter().rev().for_each(&mut push);
        }
        rows.count
    }

    /// Writes the accounts that a [`giro_base::filter::QueryFilter`] (as bytes) selects to `out`,
    /// at most
    /// `rows_max`, and returns how many.
    pub fn query_accounts(&self, filter: &[u8], rows_max: usize, out: &mut [u8]) -> usize {
        let accounts = &self.tables().accounts;
        let Some(query) = Query::parse(filter, rows_max) else {
            return 0;
        };
        let range = query
            .bounds
            .range(accounts.len(), |slot| accounts[slot].timestamp);
        let mut rows = Rows::new(out);
        for slot in ordered(range.start as u64..range.end as u64, query.reversed) {
            let slot = slot as usize;
            if rows.count == query.limit {
                break;
            }
            if matches_account(&query.filter, &accounts[slot]) {
                rows.push(&Account {
                    reserved: 0,
                    ..accounts[slot]
                });
            }
        }
        rows.count
    }

    /// As [`Self::query_accounts`], for transfers.
    pub fn query_transfers(&self, filter: &[u8], rows_max: usize, out: &mut [u8]) -> usize {
        let Some(query) = Query::parse(filter, rows_max) else {
            return 0;
        };
        let window = &self.tables().window;
        let range = query.bounds.rows(|timestamp| window.row_from(timestamp));
        let mut rows = Rows::new(out);
        for row in ordered(range, query.reversed) {
            if rows.count == query.limit {
                break;
            }
            let transfer = window.transfer(row);
            if matches_transfer(&query.filter, transfer) {
                rows.push(transfer);
            }
        }
        rows.count
    }

    /// The rows in memory that touched an account, newest first.
    fn rows_of(&self, slot: u32) -> impl Iterator<Item = u64> + '_ {
        let window = &self.tables().window;
        let newest = self.tables().accounts[slot as usize].reserved;
        let newest = window.row_of_head(newest, window.end_row());
        std::iter::successors(newest, move |row| {
            let links = window.links(*row);
            let previous = if links.debit == slot {
                links.debit_previous
            } else {
                links.credit_previous
            };
            window.row_of_head(previous, *row)
        })
    }
}

fn ordered(range: std::ops::Range<u64>, reversed: bool) -> impl Iterator<Item = u64> {
    let last = range.end;
    let start = range.start;
    range.map(move |at| {
        if reversed {
            last - 1 - (at - start)
        } else {
            at
        }
    })
}

/// Results being written.
struct Rows<'a> {
    out: &'a mut [u8],
    count: usize,
}

impl<'a> Rows<'a> {
    fn new(out: &'a mut [u8]) -> Self {
        Self { out, count: 0 }
    }

    fn push(&mut self, row: &(impl IntoBytes + zerocopy::Immutable)) {
        let bytes = row.as_bytes();
        self.out[self.count * bytes.len()..][..bytes.len()].copy_from_slice(bytes);
        self.count += 1;
    }
}

fn ids_in(bytes: &[u8]) -> impl Iterator<Item = u128> + '_ {
    bytes
        .as_chunks::<16>()
        .0
        .iter()
        .map(|id| u128::from_le_bytes(*id))
}

const _: () = assert!(size_of::<Account>() == size_of::<Transfer>());
