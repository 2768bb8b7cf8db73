//! An account's balances right after each of its transfers, worked out again from the balances
//! now, going back: transfers are what balances are made of, so nothing more needs to be kept.

use std::collections::VecDeque;

use giro_base::filter::AccountBalance;
use giro_base::{AccountFlags, Timestamp, Transfer, TransferFlags as Flags};

use super::Rows;
use super::filters::{AccountQuery, selects};
use crate::generation::{Balances, Expiry};
use crate::machine::StateMachine;

impl StateMachine {
    /// Writes the balances of an account with the history flag after each transfer in memory
    /// that an [`giro_base::filter::AccountFilter`] (as bytes) selects to `out`, at most
    /// `rows_max`, and returns how
    /// many.
    pub fn account_balances(&self, filter: &[u8], rows_max: usize, out: &mut [u8]) -> usize {
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
        if self.tables().accounts[slot as usize].flags & AccountFlags::HISTORY == 0 {
            return 0;
        }
        let mut selected = VecDeque::with_capacity(limit);
        self.walk_balances(slot, |transfer, balances| {
            if transfer.timestamp < bounds.timestamp_min {
                return Walk::Stop;
            }
            if bounds.contains(transfer.timestamp) && selects(&filter, transfer) {
                if selected.len() == limit {
                    if reversed {
                        return Walk::Stop;
                    }
                    selected.pop_front();
                }
                selected.push_back(balance_at(balances, transfer.timestamp));
            }
            Walk::On
        });
        let mut rows = Rows::new(out);
        if reversed {
            selected.iter().for_each(|balance| rows.push(balance));
        } else {
            selected.iter().rev().for_each(|balance| rows.push(balance));
        }
        rows.count
    }

    /// Shows an account's transfers in memory, newest first, with its balances right after each.
    fn walk_balances(&self, slot: u32, mut show: impl FnMut(&Transfer, &Balances) -> Walk) {
        let mut balances = Balances::of(&self.tables().accounts[slot as usize]);
        let window = &self.tables().window;
        let generations = window.generations().rev();
        let expiries = generations.flat_map(|generation| generation.expiries.iter().rev());
        let touches = |expiry: &&Expiry| expiry.debit == slot || expiry.credit == slot;
        let mut expiries = expiries.filter(touches).peekable();
        for row in self.rows_of(slot) {
            let transfer = window.transfer(row);
            while let Some(e) = expiries.next_if(|e| e.before_row > row) {
                *balances.pending(e.debit == slot) += e.amount;
            }
            if matches!(show(transfer, &balances), Walk::Stop) {
                return;
            }
            let debit = window.links(row).debit == slot;
            self.undo(&mut balances, row, transfer, debit);
        }
    }

    /// Takes the effect of a transfer on one of its accounts back.
    fn undo(&self, balances: &mut Balances, row: u64, t: &Transfer, debit: bool) {
        if let Some(closing) = self.tables().window.closing(row) {
            *balances.pending(debit) += closing.pending_amount;
        }
        if t.flags & Flags::VOID_PENDING_TRANSFER != 0 {
            return;
        }
        if t.flags & Flags::PENDING != 0 {
            *balances.pending(debit) -= t.amount;
        } else {
            *balances.posted(debit) -= t.amount;
        }
    }
}

/// Whether to go on.
enum Walk {
    On,
    Stop,
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
