//! The field indexes: for each value that rows have in a field, which rows. A value is filed under
//! a key of 32 bits; two values that share one are told apart on the rows.

use std::convert::Infallible;

use giro_base::hash::fold;
use giro_base::{Region, Transfer};

use crate::buckets::Buckets;
use crate::format::{DENSE_SHARE, Part, ROW_DENSE};
use crate::pace::Pace;

/// A field of a transfer that can be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `user_data_128`
    UserData128,
    /// `user_data_64`
    UserData64,
    /// `user_data_32`
    UserData32,
    /// `code`
    Code,
    /// `ledger`
    Ledger,
}

/// All of them.
pub const FIELDS: [Field; 5] = [
    Field::UserData128,
    Field::UserData64,
    Field::UserData32,
    Field::Code,
    Field::Ledger,
];

impl Field {
    /// The section that holds its entries.
    #[must_use]
    pub fn part(self) -> Part {
        match self {
            Self::UserData128 => Part::UserData128,
            Self::UserData64 => Part::UserData64,
            Self::UserData32 => Part::UserData32,
            Self::Code => Part::Code,
            Self::Ledger => Part::Ledger,
        }
    }

    /// A transfer's value.
    #[inline(always)]
    #[must_use]
    pub fn value(self, t: &Transfer) -> u128 {
        match self {
            Self::UserData128 => t.user_data_128,
            Self::UserData64 => t.user_data_64.into(),
            Self::UserData32 => t.user_data_32.into(),
            Self::Code => t.code.into(),
            Self::Ledger => t.ledger.into(),
        }
    }
}

/// The key a value is filed under. Whoever makes values share one makes their own queries slower,
/// as with transfers of equal values.
#[inline(always)]
#[must_use]
pub fn key_of(value: u128) -> u32 {
    let low = value as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let high = (value >> 64) as u64 ^ 0xa076_1d64_78bd_642f;
    (fold(low, high) >> 32) as u32
}

/// An entry of a field's index: its order is the section's.
#[inline(always)]
#[must_use]
pub fn entry(key: u32, row: u32) -> u64 {
    u64::from(key) << 32 | u64::from(row)
}

/// The key of an entry.
#[inline(always)]
#[must_use]
pub fn entry_key(entry: u64) -> u32 {
    (entry >> 32) as u32
}

/// The row of an entry.
#[inline(always)]
#[must_use]
pub fn entry_row(entry: u64) -> u32 {
    entry as u32
}

/// What the index of one field is made of, in memory that is used again for the next segment.
#[derive(Default)]
pub(super) struct FieldRows {
    buckets: Buckets<u64>,
    /// The first row's value. Where most rows have it, as with a ledger, nothing has to be sorted.
    common: u128,
    /// Rows that have it, until they are too many.
    common_rows: Vec<u32>,
    /// A key that more rows have than this is not listed.
    dense: usize,
}

impl FieldRows {
    /// Begins the index of these rows.
    pub(super) fn begin(&mut self, field: Field, transfers: &[Transfer]) {
        self.buckets.begin(transfers.len());
        self.common = transfers.first().map_or(0, |first| field.value(first));
        self.common_rows.clear();
        self.dense = transfers.len() / DENSE_SHARE;
    }

    /// Takes the next row.
    #[inline(always)]
    pub(super) fn add(&mut self, value: u128, row: u32) {
        if value == self.common {
            if self.common_rows.len() <= self.dense {
                self.common_rows.push(row);
            }
        } else if value != 0 {
            let entry = entry(key_of(value), row);
            self.buckets.push(entry, entry);
        }
    }

    /// Puts the entries of the index in the place of `entries`, once all rows were taken.
    pub(super) fn finish(&mut self, entries: &mut Region<u64>, pace: &Pace) {
        let key = key_of(self.common);
        let listed = self.common_rows.len() <= self.dense;
        let mark = (!listed).then_some(ROW_DENSE);
        // 0 asks for any value, so nobody asks for it.
        let common = (self.common != 0).then_some(&self.common_rows);
        let rows = common.into_iter().flatten().filter(|_| listed);
        for row in rows.copied().chain(mark.filter(|_| common.is_some())) {
            let entry = entry(key, row);
            self.buckets.push(entry, entry);
        }
        let Ok(()) = self.buckets.drain::<Infallible>(
            |entry| *entry,
            |some| {
                let len = entries.len();
                entries.set_len(len + some.len());
                entries[len..].copy_from_slice(some);
                pace.turn();
                Ok(())
            },
        );
        thin_out(entries, self.dense);
    }
}

/// Puts a mark in the place of entries of which there are more than `dense` with one key.
fn thin_out(entries: &mut Region<u64>, dense: usize) {
    let step = (dense / 2).max(1);
    // So many have two of these places.
    let places = (0..entries.len()).step_by(step);
    let places = places.zip((step..entries.len()).step_by(step));
    let key = |place: usize| entry_key(entries[place]);
    let suspects = places.filter(|(a, b)| key(*a) == key(*b));
    let mut keys: Vec<u32> = suspects.map(|(place, _)| key(place)).collect();
    keys.dedup();
    for key in keys.into_iter().rev() {
        let start = entries.partition_point(|e| entry_key(*e) < key);
        let end = entries.partition_point(|e| entry_key(*e) <= key);
        if end - start > dense {
            entries[start] = entry(key, ROW_DENSE);
            entries.copy_within(end.., start + 1);
            let len = entries.len();
            entries.set_len(len - (end - start - 1));
        }
    }
}
