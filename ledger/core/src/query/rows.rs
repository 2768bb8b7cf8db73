//! Transfers in memory: those of an account, by the links between its rows, and those that a scan
//! over all rows finds.

use std::collections::VecDeque;
use std::ops::Range;

use super::Rows;
use super::filters::{AccountQuery, Bounds, Query, matches_transfer, selects};
use crate::machine::StateMachine;
use crate::tables::Tables;

/// The account's rows, newest first.
pub(super) struct Links {
    slot: u32,
    next: Option<u64>,
}

impl Links {
    /// From the newest row on; none if nothing in memory is within the bounds. There may be any
    /// number of later rows, which a walk would pass one by one.
    pub(super) fn new(tables: &Tables, slot: u32, bounds: &Bounds) -> Self {
        let newest = tables.accounts[slot as usize].reserved;
        let window = &tables.window;
        let inside = bounds.rows(|timestamp| window.row_from(timestamp));
        let next = window.row_of_head(newest, window.end_row());
        Self {
            slot,
            next: next.filter(|_| !inside.is_empty()),
        }
    }

    /// The next row, which stays the next.
    pub(super) fn peek(&self) -> Option<u64> {
        self.next
    }

    /// Goes on behind the next row.
    pub(super) fn pass(&mut self, tables: &Tables) {
        let Some(row) = self.next else {
            return;
        };
        let links = tables.window.links(row);
        let previous = if links.debit == self.slot {
            links.debit_previous
        } else {
            links.credit_previous
        };
        self.next = tables.window.row_of_head(previous, row);
    }
}

/// An account's transfers.
pub struct AccountWalk {
    query: AccountQuery,
    links: Links,
    /// Rows, newest first. Where the oldest are wanted, the last ones seen.
    selected: VecDeque<u64>,
}

impl AccountWalk {
    pub(super) fn new(machine: &StateMachine, query: AccountQuery, slot: u32) -> Self {
        Self {
            links: Links::new(machine.tables(), slot, &query.bounds),
            query,
            selected: VecDeque::new(),
        }
    }

    pub(super) fn step(&mut self, machine: &StateMachine, work: &mut usize) -> bool {
        let tables = machine.tables();
        let AccountQuery {
            filter,
            bounds,
            limit,
            reversed,
        } = &self.query;
        while let Some(row) = self.links.peek() {
            if *work == 0 {
                return false;
            }
            *work -= 1;
            let transfer = tables.transfer(row);
            if transfer.timestamp < bounds.timestamp_min {
                return true;
            }
            self.links.pass(tables);
            if !bounds.contains(transfer.timestamp) || !selects(filter, transfer) {
                continue;
            }
            if self.selected.len() == *limit {
                if *reversed {
                    return true;
                }
                self.selected.pop_front();
            }
            self.selected.push_back(row);
        }
        true
    }

    pub(super) fn write(&self, machine: &StateMachine, rows: &mut Rows<'_>) {
        let mut push = |row: &u64| rows.push(machine.tables().transfer(*row));
        if self.query.reversed {
            self.selected.iter().for_each(&mut push);
        } else {
            self.selected.iter().rev().for_each(&mut push);
        }
    }
}

/// Transfers by their fields.
pub struct RowScan {
    query: Query,
    /// Rows to be looked at.
    left: Range<u64>,
    selected: Vec<u64>,
}

impl RowScan {
    pub(super) fn new(machine: &StateMachine, query: Query) -> Self {
        let window = &machine.tables().window;
        Self {
            left: query.bounds.rows(|timestamp| window.row_from(timestamp)),
            query,
            selected: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, machine: &StateMachine, work: &mut usize) -> bool {
        while self.selected.len() < self.query.limit && !self.left.is_empty() {
            if *work == 0 {
                return false;
            }
            *work -= 1;
            let next = if self.query.reversed {
                self.left.next_back()
            } else {
                self.left.next()
            };
            let row = next.expect("it is not empty");
            if matches_transfer(&self.query.filter, machine.tables().transfer(row)) {
                self.selected.push(row);
            }
        }
        true
    }

    pub(super) fn write(&self, machine: &StateMachine, rows: &mut Rows<'_>) {
        for row in &self.selected {
            rows.push(machine.tables().transfer(*row));
        }
    }
}
