//! The accounts as a verification goes through the rows.

use std::collections::{HashMap, HashSet};

use giro_base::{Account, TransferFlags};
use giro_core::generation::Balances;

use crate::format::Sides;
use crate::replay::{AccountState, Side};
use crate::segment::content::Content;

/// Every account seen so far.
#[derive(Default)]
pub(super) struct Accounts {
    states: HashMap<u32, AccountState>,
    ids: HashMap<u32, u128>,
    /// Rows of pending transfers that are open.
    open: HashSet<u64>,
}

impl Accounts {
    /// Goes through a segment's content: accounts begin as they ended before, and balances add
    /// up. Otherwise says what does not.
    pub(super) fn replay(
        &mut self,
        content: &Content<'_>,
        first_row: u64,
    ) -> Result<(), &'static str> {
        for (slot, opening) in content.openings.iter() {
            let before = self.states.insert(slot, opening);
            if before.is_some_and(|before| before != opening) {
                return Err("an account does not begin as it ended before");
            }
        }
        let mut expiries = content.expiries.iter().peekable();
        let mut closings = content.closings.iter().peekable();
        for (row, t) in content.transfers.iter().enumerate() {
            let sides = content.sides.get(row);
            while let Some(expiry) = expiries.next_if(|e| e.place as usize <= row) {
                self.release(expiry)?;
            }
            self.name(sides.debit, t.debit_account_id)?;
            self.name(sides.credit, t.credit_account_id)?;
            let closing = closings.next_if(|closing| closing.row as usize == row);
            if let Some(closing) = closing {
                self.end(closing.pending_row)?;
            }
            if t.flags & TransferFlags::PENDING != 0 {
                self.open.insert(first_row + row as u64);
            }
            self.change(sides, |state, side| state.after(t, side, closing))?;
        }
        for expiry in expiries {
            if expiry.place as usize > content.transfers.len() {
                return Err("an expiry lies behind the last row");
            }
            self.release(expiry)?;
        }
        match closings.next() {
            Some(_) => Err("a closing belongs to no row"),
            None => Ok(()),
        }
    }

    fn release(&mut self, expiry: &crate::format::ExpiryRecord) -> Result<(), &'static str> {
        let sides = Sides {
            debit: expiry.debit,
            credit: expiry.credit,
        };
        self.end(expiry.pending_row)?;
        self.change(sides, |state, side| {
            state.after_release(expiry.amount, expiry.pending_flags, side)
        })
    }

    /// Whether an account stands as its transfers left it.
    pub(super) fn is_as(&self, slot: u32, account: &Account) -> bool {
        let state = AccountState {
            balances: Balances::of(account),
            flags: account.flags,
        };
        // One that nothing touched has no balances, and any flags.
        let untouched = AccountState {
            flags: account.flags,
            ..AccountState::default()
        };
        let id = self.ids.get(&slot);
        *self.states.get(&slot).unwrap_or(&untouched) == state
            && id.is_none_or(|id| *id == account.id)
    }

    /// Whether the account in a slot that a transfer touched has this id.
    pub(super) fn has(&self, slot: u32, id: u128) -> bool {
        self.ids.get(&slot) == Some(&id)
    }

    /// Slots behind the last account that a transfer touched.
    pub(super) fn slots_end(&self) -> u32 {
        self.states.keys().max().map_or(0, |slot| slot + 1)
    }

    /// Rows of pending transfers that are open.
    pub(super) fn open(&self) -> &HashSet<u64> {
        &self.open
    }

    fn end(&mut self, pending_row: u64) -> Result<(), &'static str> {
        if self.open.remove(&pending_row) {
            return Ok(());
        }
        Err("a pending transfer ends that is not open")
    }

    /// A slot is one account's for ever.
    fn name(&mut self, slot: u32, id: u128) -> Result<(), &'static str> {
        if *self.ids.entry(slot).or_insert(id) != id {
            return Err("a slot has two accounts");
        }
        Ok(())
    }

    fn change(
        &mut self,
        sides: Sides,
        after: impl Fn(AccountState, Side) -> Option<AccountState>,
    ) -> Result<(), &'static str> {
        for (slot, side) in [(sides.debit, Side::Debit), (sides.credit, Side::Credit)] {
            let state = self
                .states
                .get_mut(&slot)
                .ok_or("an account has no record")?;
            *state = after(*state, side).ok_or("balances do not add up")?;
        }
        Ok(())
    }
}
