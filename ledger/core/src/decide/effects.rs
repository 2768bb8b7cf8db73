//! What transfers do to accounts, and how a broken chain takes it back.

use giro_base::CreateTransferStatus::LinkedEventFailed;
use giro_base::{Account, AccountFlags, Timestamp, Transfer, TransferFlags as Flags};

use super::transfers::TransferDecider;
use crate::conservation::Totals;
use crate::digest::effect;
use crate::generation::{Closing, Links};
use crate::pendings::Pending;
use crate::phase::Phase;
use crate::place::{NONE, Stored};
use crate::tables::Tables;
use crate::window::Window;

/// Which way a change goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// It takes effect.
    Forward,
    /// It is taken back.
    Backward,
}

use Direction::{Backward, Forward};

/// What a single-phase or pending transfer has otherwise than its event.
#[derive(Clone, Copy)]
pub(super) struct Made {
    pub(super) amount: u128,
    pub(super) timestamp: Timestamp,
}

impl TransferDecider<'_> {
    /// Stores a single-phase or pending transfer and moves its amount.
    #[inline(always)]
    pub(super) fn insert(&mut self, i: usize, made: Made, [debit, credit]: [u32; 2]) {
        let t = &self.events[i];
        let tables = &mut *self.tables;
        let sides = [debit as usize, credit as usize];
        let sides = tables.accounts.get_disjoint_mut(sides);
        let [dr, cr] = sides.expect("two accounts, and there are such");
        tables.window.note_opening(debit, dr);
        tables.window.note_opening(credit, cr);
        let phase = if t.flags & Flags::PENDING == 0 {
            move_posted(&mut tables.totals, made.amount, dr, cr);
            Phase::Single
        } else {
            self.decided.has_timeouts |= t.timeout != 0;
            reserve(&mut tables.totals, t, made.amount, dr, cr);
            Phase::Pending
        };
        let row = tables.window.end_row();
        let new_head = Window::head_of(row);
        let links = Links {
            debit,
            credit,
            debit_previous: std::mem::replace(&mut dr.reserved, new_head),
            credit_previous: std::mem::replace(&mut cr.reserved, new_head),
        };
        self.decided.effect[i] = effect_on(dr, cr);
        self.decided.place[i] = Window::place_of(row);
        let stored = tables.window.push(t, links, phase);
        stored.amount = made.amount;
        stored.timestamp = made.timestamp;
    }

    /// Stores a post or void of the pending transfer and releases that one's amount.
    pub(super) fn insert_closing_of(&mut self, i: usize, stored: Transfer, pending: &Pending) {
        let Pending { debit, credit, .. } = *pending;
        self.tables.note_opening(debit);
        self.tables.note_opening(credit);
        self.tables.close_pending(&stored, pending, Forward);
        self.tables.window.note_closing(Closing {
            row: self.tables.window.end_row(),
            pending_row: pending.row,
            pending_amount: pending.transfer.amount,
            pending_flags: pending.transfer.flags,
            ..Closing::default()
        });
        self.push_closing(i, &stored, debit, credit);
    }

    fn push_closing(&mut self, i: usize, stored: &Transfer, debit: u32, credit: u32) {
        let row = self.tables.window.end_row();
        let new_head = Window::head_of(row);
        let head = |account: &mut Account| std::mem::replace(&mut account.reserved, new_head);
        let accounts = &mut self.tables.accounts;
        let debit_previous = head(&mut accounts[debit as usize]);
        let credit_previous = head(&mut accounts[credit as usize]);
        self.decided.effect[i] = effect_on(&accounts[debit as usize], &accounts[credit as usize]);
        self.decided.place[i] = Window::place_of(row);
        let links = Links {
            debit,
            credit,
            debit_previous,
            credit_previous,
        };
        self.tables.window.push(stored, links, Phase::Single);
    }

    /// Burns event `i`'s id: from now on it always fails.
    #[cold]
    pub(super) fn burn(&mut self, i: usize) {
        let number = self.tables.window.burn(self.events[i].id);
        self.decided.place[i] = Stored::Burned(number).place();
        self.decided.effect[i] = 0;
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

    fn take_back_newest(&mut self, i: usize, place: u32) {
        let closes = Flags::POST_PENDING_TRANSFER | Flags::VOID_PENDING_TRANSFER;
        let closed = (self.events[i].flags & closes != 0).then(|| {
            let at = self.pending_at(i);
            self.pending_of(at.expect("what it closed was found when it was made"))
        });
        let tables = &mut *self.tables;
        let last = tables.window.end_row() - 1;
        assert_eq!(place, Window::place_of(last), "chains unwind newest first");
        let (stored, links) = tables.window.pop();
        if let Some(pending) = closed {
            tables.close_pending(&stored, &pending, Backward);
        } else {
            tables.move_back(&stored, links.debit, links.credit);
        }
        tables.accounts[links.debit as usize].reserved = links.debit_previous;
        tables.accounts[links.credit as usize].reserved = links.credit_previous;
    }
}

/// Moves a single-phase transfer's amount.
#[inline(always)]
fn move_posted(totals: &mut Totals, amount: u128, dr: &mut Account, cr: &mut Account) {
    let before = [dr.debits_posted, cr.credits_posted];
    dr.debits_posted += amount;
    cr.credits_posted += amount;
    totals.posted(dr.ledger, before, [dr.debits_posted, cr.credits_posted]);
}

/// Reserves a pending transfer's amount, and closes the accounts that it is to close.
#[inline(always)]
fn reserve(totals: &mut Totals, t: &Transfer, amount: u128, dr: &mut Account, cr: &mut Account) {
    let before = [dr.debits_pending, cr.credits_pending];
    dr.debits_pending += amount;
    cr.credits_pending += amount;
    totals.pending(dr.ledger, before, [dr.debits_pending, cr.credits_pending]);
    if t.flags & Flags::CLOSING_DEBIT != 0 {
        set_closed(dr, true);
    }
    if t.flags & Flags::CLOSING_CREDIT != 0 {
        set_closed(cr, true);
    }
}

impl Tables {
    /// Takes a single-phase transfer's amount back, or gives back what a pending one reserved.
    fn move_back(&mut self, t: &Transfer, debit: u32, credit: u32) {
        let pending = t.flags & Flags::PENDING != 0;
        self.change_debit(debit, |dr| {
            let balance = if pending {
                &mut dr.debits_pending
            } else {
                &mut dr.debits_posted
            };
            *balance -= t.amount;
            if t.flags & Flags::CLOSING_DEBIT != 0 {
                set_closed(dr, false);
            }
        });
        self.change_credit(credit, |cr| {
            let balance = if pending {
                &mut cr.credits_pending
            } else {
                &mut cr.credits_posted
            };
            *balance -= t.amount;
            if t.flags & Flags::CLOSING_CREDIT != 0 {
                set_closed(cr, false);
            }
        });
    }

    /// Closes the pending transfer by the post or void `t`, or opens it again.
    fn close_pending(&mut self, t: &Transfer, pending: &Pending, direction: Direction) {
        let post = t.flags & Flags::POST_PENDING_TRANSFER != 0;
        self.release(pending, !post, direction);
        let Pending { debit, credit, .. } = *pending;
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
        self.close_pending_row(pending.row, phase);
    }

    /// Gives back what the pending transfer reserved; `reopen` also undoes its closing of
    /// accounts.
    pub(super) fn release(&mut self, pending: &Pending, reopen: bool, direction: Direction) {
        let Pending {
            transfer: p,
            debit,
            credit,
            ..
        } = *pending;
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
