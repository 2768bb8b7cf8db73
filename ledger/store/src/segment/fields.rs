//! The field indexes: for each value that rows have in a field, which rows.

use giro_base::Transfer;

use crate::format::{DENSE_SHARE, Part, WORD_DENSE, WORD_SINGLE};
use crate::sort::{Pair, collect, sort_spread};

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
    /// The section that holds its values.
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

    /// Bytes of a value.
    #[must_use]
    pub const fn value_bytes(self) -> usize {
        match self {
            Self::UserData128 => 16,
            Self::UserData64 => 8,
            Self::UserData32 | Self::Code | Self::Ledger => 4,
        }
    }

    /// A transfer's value.
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

/// A field's directory as it lies on disk: for each value that rows have, in the field's width,
/// its word. Values rise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// One entry after the other.
    pub bytes: Vec<u8>,
}

/// The value and the word of an entry.
#[must_use]
pub fn parse_entry(field: Field, entry: &[u8]) -> (u128, u32) {
    let width = field.value_bytes();
    let mut value = [0; 16];
    value[..width].copy_from_slice(&entry[..width]);
    let mut word = [0; 4];
    word.copy_from_slice(&entry[width..width + 4]);
    (u128::from_le_bytes(value), u32::from_le_bytes(word))
}

/// The directory of one field, values rising. Lists of rows go behind those in `lists`.
#[must_use]
pub fn directory(field: Field, transfers: &[Transfer], lists: &mut Vec<u32>) -> Directory {
    let width = field.value_bytes();
    let size = (width, transfers.len());
    match field {
        Field::UserData128 => {
            let pairs = transfers.iter().zip(0..).map(|(t, row)| Pair {
                value: t.user_data_128,
                row,
            });
            let pairs = pairs.filter(|pair| pair.value != 0);
            let mut pairs = collect(transfers.len(), pairs);
            // The first 64 bits that are used at all.
            let all = pairs.iter().fold(0, |all, pair| all | pair.value);
            let unused = all.leading_zeros().min(64);
            sort_spread(&mut pairs, |pair| (pair.value << unused >> 64) as u64);
            let parts = |pair: &Pair<u128>| (pair.value, pair.row as u32);
            group(&pairs, parts, size, lists)
        }
        Field::UserData64 => {
            let pairs = transfers.iter().zip(0..).map(|(t, row)| Pair {
                value: t.user_data_64,
                row,
            });
            let pairs = pairs.filter(|pair| pair.value != 0);
            let mut pairs = collect(transfers.len(), pairs);
            sort_spread(&mut pairs, |pair| pair.value);
            let parts = |pair: &Pair<u64>| (pair.value.into(), pair.row as u32);
            group(&pairs, parts, size, lists)
        }
        Field::UserData32 | Field::Code | Field::Ledger => {
            // Value and row fit one word, which sorts twice as fast.
            let bits = usize::BITS - transfers.len().leading_zeros();
            let keys = transfers.iter().zip(0_u64..);
            let keys = keys.map(|(t, row)| (field.value(t) as u64) << bits | row);
            let mut keys = collect(transfers.len(), keys.filter(|key| key >> bits != 0));
            sort_spread(&mut keys, |key| *key);
            let mask = (1 << bits) - 1;
            let parts = |key: &u64| ((key >> bits).into(), (key & mask) as u32);
            group(&keys, parts, size, lists)
        }
    }
}

fn group<T>(
    sorted: &[T],
    parts: impl Fn(&T) -> (u128, u32),
    (width, rows): (usize, usize),
    lists: &mut Vec<u32>,
) -> Directory {
    let mut bytes = Vec::with_capacity(sorted.len() * (width + 4));
    let mut rest = sorted;
    while let Some(first) = rest.first() {
        let (value, row) = parts(first);
        let same = rest
            .iter()
            .take_while(|item| parts(item).0 == value)
            .count();
        let (own, behind) = rest.split_at(same);
        rest = behind;
        let word = if own.len() == 1 {
            WORD_SINGLE | row
        } else if own.len() > rows / DENSE_SHARE {
            WORD_DENSE
        } else {
            let start = lists.len() as u32;
            lists.push(own.len() as u32);
            lists.extend(own.iter().map(|item| parts(item).1));
            start
        };
        bytes.extend_from_slice(&value.to_le_bytes()[..width]);
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    Directory { bytes }
}
