//! The field indexes: for each value that rows have in a field, which rows. A value is filed under
//! a key of 32 bits; two values that share one are told apart on the rows.

use giro_base::hash::fold;
use giro_base::{Region, Transfer};

use crate::format::{DENSE_SHARE, Part, ROW_DENSE};
use crate::sort::{clear, nothing, sort};

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

/// The index of one field, in memory that is used again for the next segment.
pub struct FieldIndex {
    /// Its entries, rising once it is complete.
    pub entries: Region<u64>,
    /// The first row's value. Where most rows have it, as with a ledger, nothing has to be sorted.
    common: u128,
    /// Rows that have it, until they are too many.
    common_rows: Vec<u32>,
    /// A key that more rows have than this is not listed.
    dense: usize,
}

impl Default for FieldIndex {
    fn default() -> Self {
        Self {
            entries: nothing(),
            common: 0,
            common_rows: Vec::new(),
            dense: 0,
        }
    }
}

impl FieldIndex {
    /// Begins the index of these rows.
    pub(super) fn begin(&mut self, field: Field, transfers: &[Transfer]) {
        clear(&mut self.entries, transfers.len() + 1);
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
            self.entries.push(entry(key_of(value), row));
        }
    }

    /// Completes it, once all rows were taken.
    pub(super) fn finish(&mut self, spare: &mut Region<u64>) {
        let key = key_of(self.common);
        if self.common == 0 {
            // 0 asks for any value, so nobody asks for it.
        } else if self.common_rows.len() > self.dense {
            self.entries.push(entry(key, ROW_DENSE));
        } else {
            for row in &self.common_rows {
                self.entries.push(entry(key, *row));
            }
        }
        spare.set_len(self.entries.len());
        if sort(&mut self.entries, spare, |entry| *entry, 0..64) {
            self.entries.copy_from_slice(spare);
        }
        self.thin_out();
    }

    /// Puts a mark in the place of entries of which there are too many with one key.
    fn thin_out(&mut self) {
        let dense = self.dense;
        let step = (dense / 2).max(1);
        // So many have two of these places.
        let places = (0..self.entries.len()).step_by(step);
        let places = places.zip((step..self.entries.len()).step_by(step));
        let key = |place: usize| entry_key(self.entries[place]);
        let suspects = places.filter(|(a, b)| key(*a) == key(*b));
        let mut keys: Vec<u32> = suspects.map(|(place, _)| key(place)).collect();
        keys.dedup();
        for key in keys.into_iter().rev() {
            let start = self.entries.partition_point(|e| entry_key(*e) < key);
            let end = self.entries.partition_point(|e| entry_key(*e) <= key);
            if end - start > dense {
                self.entries[start] = entry(key, ROW_DENSE);
                self.entries.copy_within(end.., start + 1);
                let len = self.entries.len();
                self.entries.set_len(len - (end - start - 1));
            }
        }
    }
}
