//! An account's balances right after each of its transfers, worked out again from the transfers:
//! they are what the balances are made of, so nothing more needs to be kept.

use std::collections::HashSet;

use giro_base::filter::{AccountBalance, AccountFilter};
use giro_base::{Account, AccountFlags, Timestamp, Transfer, TransferFlags as Flags};
use zerocopy::FromBytes;

use super::filters::{Bounds, selects};
use super::{Rows, ordered};
use crate::machine::StateMachine;
use crate::tables::{Expiry, Phase};

/// Something that changed an account's balances.
#[derive(Clone, Copy)]
enum Change {
    Transfer(u32),
    Expiry(Expiry),
}

impl StateMachine {
    /// Writes the balances of an account with the history flag after each transfer that an
    /// [`AccountFilter`] (as bytes) selects to `out`, at most `rows_max`, and returns how many.
    pub fn account_balances(&self, filter: &[u8], rows_max: usize, out: &mut [u8]) -> usize {
        let Ok(filter) = AccountFilter::read_from_bytes(filter) else {
            return 0;
        };
        let Some(bounds) = Bounds::of_account_filter(&filter) else {
            return 0;
        };
        let Some(slot) = self.account_slot(filter.account_id) else {
            return 0;
        };
        if self.tables().accounts[slot as usize].flags & AccountFlags::HISTORY == 0 {
            return 0;
        }
        let mut selected = Vec::new();
        let mut balances = Account {
            id: filter.account_id,
            ..Account::default()
        };
        for change in self.changes_of(slot) {
            self.apply_to(&mut balances, change);
            if let Change::Transfer(row) = change {
                let transfer = &self.tables().transfers[row as usize];
                if bounds.contains(transfer.timestamp) && selects(&filter, transfer) {
                    selected.push(balance_at(&balances, transfer.timestamp));
                }
            }
        }
        let mut rows = Rows::new(out);
        let reversed = filter.flags & AccountFilter::REVERSED != 0;
        let limit = rows_max.min(filter.limit as usize);
        for at in ordered(0..selected.len(), reversed).take(limit) {
            rows.push(&selected[at]);
        }
        rows.count
    }

    /// Everything that changed an account's balances, oldest first.
    fn changes_of(&self, slot: u32) -> Vec<Change> {
        let mut rows: Vec<u32> = self.rows_of(slot).collect();
        rows.reverse();
        let mut expiries = self.expiries_of(&rows).into_iter().peekable();
        let mut changes = Vec::with_capacity(rows.len());
        for row in rows {
            let timestamp = self.tables().transfers[row as usize].timestamp;
            while let Some(expiry) = expiries.next_if(|expiry| expiry.timestamp < timestamp) {
                changes.push(Change::Expiry(expiry));
            }
            changes.push(Change::Transfer(row));
        }
        changes.extend(expiries.map(Change::Expiry));
        changes
    }

    /// The expiries of these rows, oldest first.
    fn expiries_of(&self, rows: &[u32]) -> Vec<Expiry> {
        let expired = |row: &&u32| self.tables().phase(**row) == Phase::Expired;
        let mut expired: HashSet<u32> = rows.iter().filter(expired).copied().collect();
        let Some(first) = expired.iter().min() else {
            return Vec::new();
        };
        let since = self.tables().transfers[*first as usize].timestamp;
        let all = &self.tables().expiries;
        let start = all.partition_point(|expiry| expiry.timestamp < since);
        let mut found = Vec::with_capacity(expired.len());
        for expiry in &all[start..] {
            if expired.remove(&expiry.row) {
                found.push(*expiry);
                if expired.is_empty() {
                    break;
                }
            }
        }
        found
    }

    fn apply_to(&self, account: &mut Account, change: Change) {
        let row = match change {
            Change::Expiry(expiry) => {
                return release(account, &self.tables().transfers[expiry.row as usize]);
            }
            Change::Transfer(row) => row,
        };
        let t = &self.tables().transfers[row as usize];
        let second = Flags::POST_PENDING_TRANSFER | Flags::VOID_PENDING_TRANSFER;
        if t.flags & second != 0 {
            let pending = self
                .transfer(t.pending_id)
                .expect("what it closed is stored");
            release(account, pending);
        }
        if t.flags & Flags::VOID_PENDING_TRANSFER != 0 {
            return;
        }
        let pending = t.flags & Flags::PENDING != 0;
        let debit = t.debit_account_id == account.id;
        let balance = match (pending, debit) {
            (true, true) => &mut account.debits_pending,
            (true, false) => &mut account.credits_pending,
            (false, true) => &mut account.debits_posted,
            (false, false) => &mut account.credits_posted,
        };
        *balance += t.amount;
    }
}

/// Gives back what a pending transfer reserved.
fn release(account: &mut Account, pending: &Transfer) {
    if pending.debit_account_id == account.id {
        account.debits_pending -= pending.amount;
    } else {
        account.credits_pending -= pending.amount;
    }
}

fn balance_at(account: &Account, timestamp: Timestamp) -> AccountBalance {
    AccountBalance {
        debits_pending: account.debits_pending,
        debits_posted: account.debits_posted,
        credits_pending: account.credits_pending,
        credits_posted: account.credits_posted,
        timestamp,
        reserved: [0; 56],
    }
}
