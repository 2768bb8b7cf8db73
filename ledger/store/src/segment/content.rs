//! What a segment is made of, before its indexes: from a generation in memory, or read back.

use std::collections::HashMap;

use giro_base::Transfer;
use giro_core::generation::Generation;

use crate::format::{ClosingRecord, ExpiryRecord, Sides};
use crate::replay::AccountState;

/// Rows and what happened between them, with the accounts as they were before.
pub struct Content<'a> {
    /// The transfers.
    pub transfers: &'a [Transfer],
    /// Their accounts.
    pub sides: Vec<Sides>,
    /// What posts and voids among them closed, by row.
    pub closings: Vec<ClosingRecord>,
    /// Expiries in the order they took effect.
    pub expiries: Vec<ExpiryRecord>,
    /// Accounts by slot, as they were before the first row.
    pub openings: HashMap<u32, AccountState>,
}

impl<'a> Content<'a> {
    /// That of a generation.
    ///
    /// # Panics
    /// When the generation contradicts itself, which is a bug of whoever made it.
    #[must_use]
    pub fn of(generation: &'a Generation) -> Self {
        let offset = |row: u64| {
            let offset = row.checked_sub(generation.first_row);
            let offset = offset.filter(|offset| *offset < generation.transfers.len() as u64);
            offset.expect("a closing's row is one of the generation's") as u32
        };
        let closings = generation.closings.iter().map(|closing| ClosingRecord {
            pending_amount: closing.pending_amount,
            pending_row: closing.pending_row,
            row: offset(closing.row),
            pending_flags: closing.pending_flags,
            reserved: 0,
        });
        let transfers = &generation.transfers[..];
        let place = |row: u64| {
            let place = row.checked_sub(generation.first_row);
            let place = place.filter(|place| *place <= transfers.len() as u64);
            place.expect("an expiry lies between the generation's rows") as u32
        };
        let expiries = generation.expiries.iter().map(|expiry| ExpiryRecord {
            pending_id: expiry.pending_id,
            amount: expiry.amount,
            timestamp: expiry.timestamp,
            pending_row: expiry.pending_row,
            debit: expiry.debit,
            credit: expiry.credit,
            place: place(expiry.before_row),
            pending_flags: expiry.pending_flags,
            reserved: 0,
        });
        let mut openings = HashMap::with_capacity(generation.openings.len());
        for opening in &generation.openings {
            // The first occurrence counts.
            openings.entry(opening.slot).or_insert(AccountState {
                balances: opening.balances,
                flags: opening.flags,
            });
        }
        let sides = generation.links.iter().map(|links| Sides {
            debit: links.debit,
            credit: links.credit,
        });
        let content = Self {
            transfers,
            sides: sides.collect(),
            closings: closings.collect(),
            expiries: expiries.collect(),
            openings,
        };
        assert!(
            content.is_sound(),
            "rows, closings and expiries are in order"
        );
        content
    }

    /// Whether rows, closings and expiries are in order, and each row has its accounts.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let rising =
            |a: &ExpiryRecord, b: &ExpiryRecord| a.timestamp < b.timestamp && a.place <= b.place;
        self.transfers.len() == self.sides.len()
            && self
                .transfers
                .is_sorted_by(|a, b| a.timestamp < b.timestamp)
            && self.closings.is_sorted_by(|a, b| a.row < b.row)
            && self.expiries.is_sorted_by(rising)
            && self.sides.iter().all(|sides| sides.debit != sides.credit)
    }

    /// What the post or void in `row` closed.
    #[must_use]
    pub fn closing(&self, row: u32) -> Option<&ClosingRecord> {
        let place = self.closings.binary_search_by_key(&row, |c| c.row).ok()?;
        Some(&self.closings[place])
    }
}
