//! What a segment is made of, before its indexes: from a generation in memory, or read back.

use giro_base::Transfer;
use giro_base::prefetch::prefetch;
use giro_core::generation::{Generation, Links, Opening};

use crate::format::{AccountRecord, ClosingRecord, ExpiryRecord, Sides};
use crate::replay::AccountState;
use crate::sort::{bits, sort};

/// Rows and what happened between them, with the accounts as they were before.
pub struct Content<'a> {
    /// The transfers.
    pub transfers: &'a [Transfer],
    /// Their accounts.
    pub sides: SidesOf<'a>,
    /// What posts and voids among them closed, by row.
    pub closings: Vec<ClosingRecord>,
    /// Expiries in the order they took effect.
    pub expiries: Vec<ExpiryRecord>,
    /// Accounts as they were before the first row.
    pub openings: Openings<'a>,
}

/// The accounts of rows.
pub enum SidesOf<'a> {
    /// Of a generation's rows.
    Links(&'a [Links]),
    /// As they were read.
    Read(Vec<Sides>),
}

impl SidesOf<'_> {
    /// How many rows there are.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Links(links) => links.len(),
            Self::Read(sides) => sides.len(),
        }
    }

    /// Those of a row, from the first.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, row: usize) -> Sides {
        match self {
            Self::Links(links) => Sides {
                debit: links[row].debit,
                credit: links[row].credit,
            },
            Self::Read(sides) => sides[row],
        }
    }

    #[inline(always)]
    fn prefetch(&self, row: usize) {
        match self {
            Self::Links(links) => prefetch(&links[row]),
            Self::Read(sides) => prefetch(&sides[row]),
        }
    }
}

/// So many accounts ahead memory is asked for.
const AHEAD: usize = 16;

/// Accounts as they were before the first row.
pub enum Openings<'a> {
    /// A generation's, of which an account's first counts. Slots and places among them, sorted.
    Generation(&'a [Opening], Vec<u64>),
    /// As they were read, by slot.
    Read(&'a [AccountRecord]),
}

impl<'a> Openings<'a> {
    pub(super) fn of(openings: &'a [Opening]) -> Self {
        let keys = openings.iter().zip(0_u64..);
        let mut order: Vec<u64> = keys
            .map(|(opening, place)| u64::from(opening.slot) << 32 | place)
            .collect();
        let slot_max = openings.iter().map(|opening| opening.slot).max();
        let mut spare = vec![0; order.len()];
        let used = 32..32 + bits(slot_max.unwrap_or(0).into());
        if sort(&mut order, &mut spare, |key| *key, used) {
            order = spare;
        }
        order.dedup_by_key(|key| *key >> 32);
        Self::Generation(openings, order)
    }

    /// The last account's slot.
    #[must_use]
    pub fn slot_max(&self) -> Option<u32> {
        match self {
            Self::Generation(_, order) => order.last().map(|key| (*key >> 32) as u32),
            Self::Read(records) => records.last().map(|record| record.slot),
        }
    }

    /// Slots, rising, and the accounts.
    pub fn iter(&self) -> impl Iterator<Item = (u32, AccountState)> {
        let count = match self {
            Self::Generation(_, order) => order.len(),
            Self::Read(records) => records.len(),
        };
        (0..count).map(|place| match self {
            Self::Generation(openings, order) => {
                // They lie as they came.
                if let Some(ahead) = order.get(place + AHEAD) {
                    prefetch(&openings[*ahead as u32 as usize]);
                }
                let opening = &openings[order[place] as u32 as usize];
                let state = AccountState {
                    balances: opening.balances,
                    flags: opening.flags,
                };
                (opening.slot, state)
            }
            Self::Read(records) => {
                let record = &records[place];
                let state = AccountState {
                    balances: record.balances.into(),
                    flags: record.flags,
                };
                (record.slot, state)
            }
        })
    }
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
        let content = Self {
            transfers,
            sides: SidesOf::Links(&generation.links),
            closings: closings.collect(),
            expiries: expiries.collect(),
            openings: Openings::of(&generation.openings),
        };
        assert!(
            content.lists_are_sound(),
            "closings and expiries are in order, and each row has its accounts"
        );
        content
    }

    /// Whether closings and expiries are in order, and each row has its accounts.
    #[must_use]
    pub fn lists_are_sound(&self) -> bool {
        let rising =
            |a: &ExpiryRecord, b: &ExpiryRecord| a.timestamp < b.timestamp && a.place <= b.place;
        self.transfers.len() == self.sides.count()
            && self.closings.is_sorted_by(|a, b| a.row < b.row)
            && self.expiries.is_sorted_by(rising)
    }

    /// Asks for the memory of a row, if there is one.
    #[inline(always)]
    pub(super) fn prefetch(&self, row: u32) {
        if let Some(transfer) = self.transfers.get(row as usize) {
            prefetch(transfer);
            prefetch(&transfer.flags);
            self.sides.prefetch(row as usize);
        }
    }
}
