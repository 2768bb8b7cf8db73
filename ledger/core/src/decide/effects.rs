//! What transfers do to accounts, and how a broken chain takes it back.

use giro_base::CreateTransferStatus::LinkedEventFailed;
use giro_base::{Account, AccountFlags, Transfer, TransferFlags as Flags};

use super::transfers::TransferDecider;
use crate::digest::effect;
use crate::tables::{BURNED, Links, NONE, Phase, Tables};

/// Which way a change goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// It takes effect.
    Forward,
    /// It is taken back.
    Backward,
}

use Direction::{Backward, Forward};

impl TransferDecider<'_> {
    /// Stores a single-phase or pending transfer and moves its amount.
    #[inline(always)]
    pub(super) fn insert(&mut self, i: usize, stored: Transfer, debit: u32, credit: u32) {
        let pending = stored.flags & Flags::PENDING != 0;
        self.tables.move_amount(&stored, debit, credit, Forward);
        let phase = if pending {
            Phase::Pending
        } else {
            Phase::Single
        };
        self.push(i, stored, debit, credit, phase);
    }

    /// Stores a post or void of the pending transfer in `row` and releases that one's amount.
    pub(super) fn insert_closing_of(&mut self, i: usize, stored: Transfer, row: u32) {
        let Links { debit, credit, .. } = self.tables.links[row as usize];
        self.tables.close_pending(&stored, row, Forward);
        self.push(i, stored, debit, credit, Phase::Single);
    }

    #[inline(always)]
    fn push(&mut self, i: usize, stored: Transfer, debit: u32, credit: u32, phase: Phase) {
        let row = self.tables.transfers.len() as u32;
        let head = |account: &mut Account| std::mem::replace(&mut account.reserved, row + 1);
        let accounts = &mut self.tables.accounts;
        let debit_previous = head(&mut accounts[debit as usize]);
        let credit_previous = head(&mut accounts[credit as usize]);
        self.decided.effect[i] = effect_on(&accounts[debit as usize], &accounts[credit as usize]);
        self.decided.place[i] = row;
        self.tables.transfers.push(stored);
        self.tables.links.push(Links {
            debit,
            credit,
            debit_previous,
            credit_previous,
        });
        self.tables.phases.push(phase as u8);
    }

    /// Burns event `i`'s id: from now on it always fails.
    #[cold]
    pub(super) fn burn(&mut self, i: usize) {
        self.decided.place[i] = BURNED | self.tables.burned.len() as u32;
        self.decided.effect[i] = 0;
        self.tables.burned.push(self.events[i].id);
    }

    /// Undoes the chain's events before `end`, which broke it, newest first.
    #[cold]
    pub(super) fn take_back_chain(&mut self, chain_start: usize, end: usize) {
        for i in (chain_start..end).rev() {
            if self.decided.place[i] != NONE {
                self.take_back_newest(i, self.decided.place[i]);
                self.decided.place[i] = NONE;
            }
            self.decided.results[i].status = LinkedEventFailed.into();
        }
    }

    fn take_back_newest(&mut self, i: usize, row: u32) {
        let pending = self.pending_row(i);
        let tables = &mut *self.tables;
        assert_eq!(
            row as usize + 1,
            tables.transfers.len(),
            "chains unwind newest first"
        );
        let stored = tables.transfers[row as usize];
        let links = tables.links[row as usize];
        if stored.flags & (Flags::POST_PENDING_TRANSFER | Flags::VOID_PENDING_TRANSFER) != 0 {
            let pending = pending.expect("what it closed was found when it was made");
            tables.close_pending(&stored, pending, Backward);
        } else {
            tables.move_amount(&stored, links.debit, links.credit, Backward);
        }
        tables.accounts[links.debit as usize].reserved = links.debit_previous;
        tables.accounts[links.credit as usize].reserved = links.credit_previous;
        tables.transfers.set_len(row as usize);
        tables.links.set_len(row as usize);
        tables.phases.set_len(row as usize);
    }
}

impl Tables {
    /// Moves a single-phase transfer's amount, or reserves a pending one's.
    #[inline(always)]
    fn move_amount(&mut self, t: &Transfer, debit: u32, credit: u32, direction: Direction) {
        let pending = t.flags & Flags::PENDING != 0;
        self.change_debit(debit, |dr| {
            let balance = if pending {
                &mut dr.debits_pending
            } else {
                &mut dr.debits_posted
            };
            shift(balance, t.amount, direction);
            if t.flags & Flags::CLOSING_DEBIT != 0 {
                set_closed(dr, direction == Forward);
            }
        });
        self.change_credit(credit, |cr| {
            let balance = if pending {
                &mut cr.credits_pending
            } else {
                &mut cr.credits_posted
            };
            shift(balance, t.amount, direction);
            if t.flags & Flags::CLOSING_CREDIT != 0 {
                set_closed(cr, direction == Forward);
            }
        });
    }

    /// Closes the pending transfer in `row` by the post or void `t`, or opens it again.
    fn close_pending(&mut self, t: &Transfer, row: u32, direction: Direction) {
        let post = t.flags & Flags::POST_PENDING_TRANSFER != 0;
        self.release(row, !post, direction);
        let Links { debit, credit, .. } = self.links[row as usize];
        if post {
            self.change_debit(debit, |dr| {
                shift(&mut dr.debits_posted, t.amount, direction);
            });
            self.change_credit(credit, |cr| {
                shift(&mut cr.credits_posted, t.amount, direction);
            });
        }
        let closed = if post { Phase::Posted } else { Phase::Voided };
        let phase = if direction == Forward {
            closed
        } else {
            Phase::Pending
        };
        self.phases[row as usize] = phase as u8;
    }

    /// Gives back what the pending transfer in `row` reserved; `reopen` also undoes its closing
    /// of accounts.
    pub(super) fn release(&mut self, row: u32, reopen: bool, direction: Direction) {
        let p = self.transfers[row as usize];
        let Links { debit, credit, .. } = self.links[row as usize];
        let back = if direction == Forward {
            Backward
        } else {
            Forward
        };
        self.change_debit(debit, |dr| {
            shift(&mut dr.debits_pending, p.amount, back);
            if reopen && p.flags & Flags::CLOSING_DEBIT != 0 {
                set_closed(dr, direction == Backward);
            }
        });
        self.change_credit(credit, |cr| {
            shift(&mut cr.credits_pending, p.amount, back);
            if reopen && p.flags & Flags::CLOSING_CREDIT != 0 {
                set_closed(cr, direction == Backward);
            }
        });
    }

    #[inline(always)]
    fn change_debit(&mut self, slot: u32, change: impl FnOnce(&mut Account)) {
        let account = &mut self.accounts[slot as usize];
        let before = [account.debits_pending, account.debits_posted];
        change(account);
        let after = [account.debits_pending, account.debits_posted];
        self.totals.debit(account.ledger, before, after);
    }

    #[inline(always)]
    fn change_credit(&mut self, slot: u32, change: impl FnOnce(&mut Account)) {
        let account = &mut self.accounts[slot as usize];
        let before = [account.credits_pending, account.credits_posted];
        change(account);
        let after = [account.credits_pending, account.credits_posted];
        self.totals.credit(account.ledger, before, after);
    }
}

#[inline(always)]
fn shift(balance: &mut u128, amount: u128, direction: Direction) {
    match direction {
        Forward => *balance += amount,
        Backward => *balance -= amount,
    }
}

fn set_closed(account: &mut Account, closed: bool) {
    if closed {
        account.flags |= AccountFlags::CLOSED;
    } else {
        account.flags &= !AccountFlags::CLOSED;
    }
}

#[inline(always)]
pub(super) fn effect_on(dr: &Account, cr: &Account) -> u64 {
    effect(
        [dr.debits_pending, dr.debits_posted],
        [cr.credits_pending, cr.credits_posted],
    )
}
