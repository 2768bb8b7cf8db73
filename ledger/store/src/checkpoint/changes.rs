//! What a generation changed, worked out from the generation alone.

use giro_base::prefetch::prefetch;
use giro_base::{Account, TransferFlags};
use giro_core::generation::{Closing, Expiry, Generation, Opening};

use super::format::{BranchRecord, ChangeRecord, PendingRecord};
use crate::format::ClosingRecord;
use crate::replay::{AccountState, Side};

/// The difference between the state at a generation's end and that at its beginning.
pub struct Changes {
    /// Accounts made in it, as they stand at its end.
    pub accounts: Vec<Account>,
    /// Older accounts that it changed, by slot.
    pub changes: Vec<ChangeRecord>,
    /// Pending transfers made in it that are open at its end, by row.
    pub opened: Vec<PendingRecord>,
    /// Rows of older pending transfers that ended in it, rising.
    pub closed: Vec<u64>,
    /// Branches tried in it that are open at its end, by row.
    pub branches: Vec<BranchRecord>,
}

impl Changes {
    /// Those of a generation.
    ///
    /// # Panics
    /// When the generation contradicts itself, which is a bug of whoever made it.
    #[must_use]
    pub fn of(generation: &Generation) -> Self {
        let states = Balances::at_end_of(generation);
        let mut accounts = generation.accounts.to_vec();
        let mut changes = Vec::with_capacity(states.states.len());
        for (slot, state) in states.by_slot() {
            match slot.checked_sub(generation.first_slot) {
                Some(place) => set(&mut accounts[place as usize], state),
                None => changes.push(ChangeRecord {
                    balances: state.balances.into(),
                    slot,
                    flags: state.flags,
                    reserved: [0; 10],
                }),
            }
        }
        let (opened, closed) = pendings(generation);
        Self {
            accounts,
            changes,
            branches: branches(generation, &opened),
            opened,
            closed,
        }
    }
}

/// Gives an account this state.
pub(super) fn set(account: &mut Account, state: &AccountState) {
    account.debits_pending = state.balances.debits_pending;
    account.debits_posted = state.balances.debits_posted;
    account.credits_pending = state.balances.credits_pending;
    account.credits_posted = state.balances.credits_posted;
    account.flags = state.flags;
}

/// States of the accounts that a generation changed.
#[derive(Debug, PartialEq)]
struct Balances {
    states: Vec<AccountState>,
    /// Place of each slot among the states, or [`NOT_SEEN`].
    places: Vec<u32>,
}

const NOT_SEEN: u32 = u32::MAX;
/// So many slots, or rows, ahead memory is asked for.
const AHEAD: usize = 16;

impl Balances {
    /// All of them, with their slots, which rise.
    fn by_slot(&self) -> impl Iterator<Item = (u32, &AccountState)> {
        let places = (0..).zip(&self.places);
        places.filter_map(|(slot, place)| {
            if let Some(ahead) = self.places.get(slot as usize + AHEAD) {
                self.prefetch(*ahead);
            }
            let state = self.states.get(*place as usize)?;
            Some((slot, state))
        })
    }

    #[inline(always)]
    fn prefetch(&self, place: u32) {
        if let Some(state) = self.states.get(place as usize) {
            prefetch(state);
        }
    }

    /// As they stand at the generation's end.
    fn at_end_of(generation: &Generation) -> Self {
        let Some(ends) = generation.ends() else {
            return Self::after(generation);
        };
        let balances = Self::of(ends);
        debug_assert_eq!(balances, Self::after(generation));
        balances
    }

    /// The same, worked out from the rows.
    fn after(generation: &Generation) -> Self {
        let mut balances = Self::of(&generation.openings);
        let mut expiries = generation.expiries.iter().peekable();
        let mut closings = generation.closings.iter().peekable();
        let all_links = &generation.links[..];
        let rows = generation.transfers.iter().zip(all_links);
        for (((transfer, links), row), number) in rows.zip(generation.first_row..).zip(0..) {
            // Accounts lie anywhere.
            if let Some(ahead) = all_links.get(number + AHEAD) {
                for slot in [ahead.debit, ahead.credit] {
                    let place = balances.places.get(slot as usize);
                    balances.prefetch(place.copied().unwrap_or(NOT_SEEN));
                }
            }
            while let Some(expiry) = expiries.next_if(|expiry| expiry.before_row <= row) {
                balances.release(expiry);
            }
            let closing = closings.next_if(|closing| closing.row == row);
            let closing = closing.map(closing_record);
            let change = |side| {
                let closing = closing.as_ref();
                move |state: AccountState| state.after(transfer, side, closing)
            };
            balances.change(links.debit, change(Side::Debit));
            balances.change(links.credit, change(Side::Credit));
        }
        expiries.for_each(|expiry| balances.release(expiry));
        balances
    }

    /// As they are here. An account's first occurrence counts.
    fn of(openings: &[Opening]) -> Self {
        let slots_end = openings.iter().map(|opening| opening.slot as usize + 1);
        let mut balances = Self {
            states: Vec::with_capacity(openings.len()),
            places: vec![NOT_SEEN; slots_end.max().unwrap_or(0)],
        };
        for opening in openings {
            let place = &mut balances.places[opening.slot as usize];
            if *place == NOT_SEEN {
                *place = balances.states.len() as u32;
                balances.states.push(AccountState {
                    balances: opening.balances,
                    flags: opening.flags,
                });
            }
        }
        balances
    }

    fn release(&mut self, expiry: &Expiry) {
        let release = |side| {
            move |state: AccountState| {
                state.after_release(expiry.amount, expiry.pending_flags, side)
            }
        };
        self.change(expiry.debit, release(Side::Debit));
        self.change(expiry.credit, release(Side::Credit));
    }

    #[inline]
    fn change(&mut self, slot: u32, change: impl Fn(AccountState) -> Option<AccountState>) {
        let place = self.places.get(slot as usize);
        let place = *place.expect("an account that changed has an opening");
        let state = &mut self.states[place as usize];
        *state = change(*state).expect("balances add up");
    }
}

fn closing_record(closing: &Closing) -> ClosingRecord {
    ClosingRecord {
        pending_amount: closing.pending_amount,
        pending_row: closing.pending_row,
        row: 0,
        pending_flags: closing.pending_flags,
        reserved: 0,
    }
}

/// Pending transfers that are open at the end and were not at the beginning, and the other way
/// round.
fn pendings(generation: &Generation) -> (Vec<PendingRecord>, Vec<u64>) {
    let closings = generation
        .closings
        .iter()
        .map(|closing| closing.pending_row);
    let expiries = generation.expiries.iter().map(|expiry| expiry.pending_row);
    // Without any, none can have ended here either.
    let rows = if generation.may_have_pendings() {
        generation.transfers.len()
    } else {
        0
    };
    let mut own = vec![false; rows];
    let mut closed = Vec::new();
    for row in closings.chain(expiries) {
        match row.checked_sub(generation.first_row) {
            Some(place) => own[place as usize] = true,
            None => closed.push(row),
        }
    }
    closed.sort_unstable();
    let rows = generation.transfers.iter().zip(&generation.links[..]);
    let opened = rows.zip(&own).zip(generation.first_row..).filter_map(
        |(((transfer, links), closed), row)| {
            let pending = transfer.flags & TransferFlags::PENDING != 0;
            (pending && !closed).then_some(PendingRecord {
                transfer: *transfer,
                row,
                debit: links.debit,
                credit: links.credit,
            })
        },
    );
    (opened.collect(), closed)
}

/// The texts of branches whose first leg is among these.
fn branches(generation: &Generation, opened: &[PendingRecord]) -> Vec<BranchRecord> {
    let is_open = |row: &u64| opened.binary_search_by_key(row, |p| p.row).is_ok();
    let branches = generation.branches.iter();
    let open = branches.filter(|branch| is_open(&branch.row));
    let record = |branch| {
        let (gid, branch_id) = generation.texts_of(branch);
        BranchRecord::new(branch.row, gid, branch_id)
    };
    open.map(record).collect()
}
