//! What transfers and expiries do to an account, worked out again, forward or back.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use giro_base::hash::fold;
use giro_base::{Account, AccountFlags, Transfer, TransferFlags as Flags};

use crate::generation::{Balances, Closing};

/// Which side of a transfer an account is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Its debits change.
    Debit,
    /// Its credits change.
    Credit,
}

/// Accounts by slot.
pub type States = HashMap<u32, AccountState, BuildHasherDefault<SlotHasher>>;

/// Hashes slots, which nobody outside chooses.
#[derive(Default)]
pub struct SlotHasher(u64);

impl Hasher for SlotHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, slot: u32) {
        self.0 = fold(
            self.0 ^ u64::from(slot) ^ 0x9e37_79b9_7f4a_7c15,
            0xd1b5_4a32_d192_ed03,
        );
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What changes about an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    /// Its balances.
    pub balances: Balances,
    /// Its flags, of which only `closed` changes.
    pub flags: u16,
}

/// What a post or void closed, wherever that is kept.
pub trait Closes {
    /// What the pending transfer had reserved.
    fn pending_amount(&self) -> u128;
    /// Its flags.
    fn pending_flags(&self) -> u16;
}

impl Closes for Closing {
    fn pending_amount(&self) -> u128 {
        self.pending_amount
    }

    fn pending_flags(&self) -> u16 {
        self.pending_flags
    }
}

impl AccountState {
    /// That of an account now.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self {
            balances: Balances::of(account),
            flags: account.flags,
        }
    }

    /// Makes the change of a transfer, given what it closed if it is a post or void. None if
    /// that cannot be: the numbers may come from disk, and must not end the process.
    #[must_use]
    pub fn after(
        mut self,
        transfer: &Transfer,
        side: Side,
        closing: Option<&impl Closes>,
    ) -> Option<Self> {
        let flags = transfer.flags;
        if flags & (Flags::POST_PENDING_TRANSFER | Flags::VOID_PENDING_TRANSFER) != 0 {
            let closing = closing?;
            let reopens = flags & Flags::VOID_PENDING_TRANSFER != 0;
            let pending_flags = if reopens { closing.pending_flags() } else { 0 };
            self = self.after_release(closing.pending_amount(), pending_flags, side)?;
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
        let posted = self.posted(side);
        *posted = posted.checked_add(transfer.amount)?;
        Some(self)
    }

    /// Takes the change of a transfer back. None if it cannot have been made.
    #[must_use]
    pub fn before(
        mut self,
        transfer: &Transfer,
        side: Side,
        closing: Option<&impl Closes>,
    ) -> Option<Self> {
        let flags = transfer.flags;
        if flags & (Flags::POST_PENDING_TRANSFER | Flags::VOID_PENDING_TRANSFER) != 0 {
            let closing = closing?;
            let reopened = flags & Flags::VOID_PENDING_TRANSFER != 0;
            let pending_flags = if reopened { closing.pending_flags() } else { 0 };
            self = self.before_release(closing.pending_amount(), pending_flags, side)?;
            if reopened {
                return Some(self);
            }
        }
        if flags & Flags::PENDING != 0 {
            let pending = self.pending(side);
            *pending = pending.checked_sub(transfer.amount)?;
            if flags & closing_flag(side) != 0 {
                self.flags &= !AccountFlags::CLOSED;
            }
            return Some(self);
        }
        let posted = self.posted(side);
        *posted = posted.checked_sub(transfer.amount)?;
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

    /// Takes [`after_release`](Self::after_release) back.
    #[must_use]
    pub fn before_release(mut self, amount: u128, pending_flags: u16, side: Side) -> Option<Self> {
        let pending = self.pending(side);
        *pending = pending.checked_add(amount)?;
        if pending_flags & closing_flag(side) != 0 {
            self.flags |= AccountFlags::CLOSED;
        }
        Some(self)
    }

    fn pending(&mut self, side: Side) -> &mut u128 {
        self.balances.pending(side == Side::Debit)
    }

    fn posted(&mut self, side: Side) -> &mut u128 {
        self.balances.posted(side == Side::Debit)
    }
}

fn closing_flag(side: Side) -> u16 {
    match side {
        Side::Debit => Flags::CLOSING_DEBIT,
        Side::Credit => Flags::CLOSING_CREDIT,
    }
}
