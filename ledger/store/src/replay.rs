//! What transfers and expiries do to an account's balances, worked out again.

use giro_base::{AccountFlags, Transfer, TransferFlags as Flags};
use giro_core::generation::Balances;

use crate::format::ClosingRecord;

/// Which side of a transfer an account is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Its debits change.
    Debit,
    /// Its credits change.
    Credit,
}

/// What changes about an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    /// Its balances.
    pub balances: Balances,
    /// Its flags, of which only `closed` changes.
    pub flags: u16,
}

impl AccountState {
    /// Makes the change of a transfer, given what it closed if it is a post or void. None if
    /// that cannot be: the numbers come from disk, and must not end the process.
    #[must_use]
    pub fn after(
        mut self,
        transfer: &Transfer,
        side: Side,
        closing: Option<&ClosingRecord>,
    ) -> Option<Self> {
        let flags = transfer.flags;
        if flags & (Flags::POST_PENDING_TRANSFER | Flags::VOID_PENDING_TRANSFER) != 0 {
            let closing = closing?;
            let reopens = flags & Flags::VOID_PENDING_TRANSFER != 0;
            let pending_flags = if reopens { closing.pending_flags } else { 0 };
            self = self.after_release(closing.pending_amount, pending_flags, side)?;
            if reopens {
                return Some(self);
            }
        }
        if flags & Flags::PENDING != 0 {
            let pending = self.pending(side);
            *pending = pending.checked_add(transfer.amount)?;
            if flags & closing_flag(side) != 0 {
                self.flags |= AccountFlags::CLOSED;
            }
            return Some(self);
        }
        let posted = match side {
            Side::Debit => &mut self.balances.debits_posted,
            Side::Credit => &mut self.balances.credits_posted,
        };
        *posted = posted.checked_add(transfer.amount)?;
        Some(self)
    }

    /// Gives back what a pending transfer reserved, and opens what it closed. None if there is
    /// not so much to give back.
    #[must_use]
    pub fn after_release(mut self, amount: u128, pending_flags: u16, side: Side) -> Option<Self> {
        let pending = self.pending(side);
        *pending = pending.checked_sub(amount)?;
        if pending_flags & closing_flag(side) != 0 {
            self.flags &= !AccountFlags::CLOSED;
        }
        Some(self)
    }

    fn pending(&mut self, side: Side) -> &mut u128 {
        match side {
            Side::Debit => &mut self.balances.debits_pending,
            Side::Credit => &mut self.balances.credits_pending,
        }
    }
}

fn closing_flag(side: Side) -> u16 {
    match side {
        Side::Debit => Flags::CLOSING_DEBIT,
        Side::Credit => Flags::CLOSING_CREDIT,
    }
}
