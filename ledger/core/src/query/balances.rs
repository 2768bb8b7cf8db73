//! An account's balances right after each of its transfers, worked out again from the balances
//! now, going back: transfers are what balances are made of, so nothing more needs to be kept.

use std::collections::VecDeque;

use giro_base::filter::AccountBalance;
use giro_base::{Timestamp, Transfer};

use super::Rows;
use super::filters::{AccountQuery, selects};
use super::rows::Links;
use crate::generation::{Balances, Expiry};
use crate::machine::StateMachine;
use crate::replay::{AccountState, Side};
use crate::tables::Tables;
use crate::window::Window;

const ADDS_UP: &str = "balances in memory add up";

/// An account's balances, from now back.
pub struct BalanceWalk {
    query: AccountQuery,
    slot: u32,
    /// As it was right after the next row of `links`, but for expiries not passed yet.
    state: AccountState,
    links: Links,
    expiries: Expiries,
    /// Newest first. Where the oldest are wanted, the last ones seen.
    selected: VecDeque<AccountBalance>,
}

impl BalanceWalk {
    pub(super) fn new(machine: &StateMachine, query: AccountQuery, slot: u32) -> Self {
        let tables = machine.tables();
        Self {
            slot,
            state: AccountState::of(&tables.accounts[slot as usize]),
            links: Links::new(tables, slot, &query.bounds),
            expiries: Expiries::new(&tables.window),
            selected: VecDeque::new(),
            query,
        }
    }

    pub(super) fn step(&mut self, machine: &StateMachine, work: &mut usize) -> bool {
        let tables = machine.tables();
        while let Some(row) = self.links.peek() {
            if *work == 0 || !self.take_back_expiries(tables, row, work) {
                return false;
            }
            *work = work.saturating_sub(1);
            let transfer = tables.transfer(row);
            if transfer.timestamp < self.query.bounds.timestamp_min || !self.show(transfer) {
                return true;
            }
            let side = self.side(tables.window.links(row).debit);
            let closing = tables.window.closing(row);
            let before = self.state.before(transfer, side, closing.as_ref());
            self.state = before.expect(ADDS_UP);
            self.links.pass(tables);
        }
        true
    }

    /// Takes back what expired behind `row`. False when `work` was used up on the way.
    fn take_back_expiries(&mut self, tables: &Tables, row: u64, work: &mut usize) -> bool {
        while let Some(expiry) = self.expiries.peek(&tables.window) {
            if expiry.before_row <= row {
                return true;
            }
            if *work == 0 {
                return false;
            }
            *work -= 1;
            if expiry.debit == self.slot || expiry.credit == self.slot {
                let (side, flags) = (self.side(expiry.debit), expiry.pending_flags);
                let before = self.state.before_release(expiry.amount, flags, side);
                self.state = before.expect(ADDS_UP);
            }
            self.expiries.pass();
        }
        true
    }

    /// The side it is on, given the slot of the debit account.
    fn side(&self, debit: u32) -> Side {
        if debit == self.slot {
            Side::Debit
        } else {
            Side::Credit
        }
    }

    /// Selects the balances right after a transfer if they are asked for. False when there are
    /// enough.
    fn show(&mut self, transfer: &Transfer) -> bool {
        let AccountQuery {
            filter,
            bounds,
            limit,
            reversed,
        } = &self.query;
        if !bounds.contains(transfer.timestamp) || !selects(filter, transfer) {
            return true;
        }
        if self.selected.len() == *limit {
            if *reversed {
                return false;
            }
            self.selected.pop_front();
        }
        let balance = balance_at(&self.state.balances, transfer.timestamp);
        self.selected.push_back(balance);
        true
    }

    pub(super) fn write(&self, rows: &mut Rows<'_>) {
        if self.query.reversed {
            self.selected.iter().for_each(|balance| rows.push(balance));
        } else {
            let oldest_first = self.selected.iter().rev();
            oldest_first.for_each(|balance| rows.push(balance));
        }
    }
}

/// The expiries in memory, newest first.
struct Expiries {
    generation: u64,
    /// Of the generation, so many are left.
    left: usize,
}

impl Expiries {
    fn new(window: &Window) -> Self {
        Self {
            generation: window.open().number,
            left: window.open().expiries.len(),
        }
    }

    /// The next one, which stays the next.
    fn peek<'w>(&mut self, window: &'w Window) -> Option<&'w Expiry> {
        while self.left == 0 {
            let before = self.generation.checked_sub(1)?;
            self.left = window.numbered(before)?.expiries.len();
            self.generation = before;
        }
        let generation = window.numbered(self.generation)?;
        Some(&generation.expiries[self.left - 1])
    }

    fn pass(&mut self) {
        self.left -= 1;
    }
}

fn balance_at(balances: &Balances, timestamp: Timestamp) -> AccountBalance {
    AccountBalance {
        debits_pending: balances.debits_pending,
        debits_posted: balances.debits_posted,
        credits_pending: balances.credits_pending,
        credits_posted: balances.credits_posted,
        timestamp,
        reserved: [0; 56],
    }
}
