//! What an id run says of a generation.

use giro_base::hash::IdHasher;
use giro_base::{Region, TransferFlags};
use giro_core::generation::Generation;

use crate::format::{Entry, EntryKind};
use crate::sort::{room, sort_spread};

/// The entries of a generation, sorted, with the ranges of their ids.
pub struct GenerationEntries {
    /// Sorted.
    pub entries: Region<Entry>,
    /// Ids of transfers and burned ones.
    pub ids: IdRange,
    /// Ids of pending transfers that ended.
    pub fates: IdRange,
}

/// Smallest and largest of some ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// Smallest, or `u128::MAX`.
    pub min: u128,
    /// Largest, or 0.
    pub max: u128,
}

impl IdRange {
    /// That of no ids.
    pub const NONE: Self = Self {
        min: u128::MAX,
        max: 0,
    };

    /// With one more id.
    pub fn add(&mut self, id: u128) {
        self.min = self.min.min(id);
        self.max = self.max.max(id);
    }

    /// Whether `id` lies in it.
    #[inline(always)]
    #[must_use]
    pub fn contains(&self, id: u128) -> bool {
        (self.min..=self.max).contains(&id)
    }

    /// With another range's.
    pub fn extend(&mut self, other: Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// What a post or void makes of the pending transfer, by its flags.
#[must_use]
pub fn fate_of(closing_flags: u16) -> EntryKind {
    if closing_flags & TransferFlags::VOID_PENDING_TRANSFER != 0 {
        EntryKind::Voided
    } else {
        EntryKind::Posted
    }
}

impl GenerationEntries {
    /// Those of a generation.
    #[must_use]
    pub fn of(generation: &Generation, hasher: IdHasher) -> Self {
        let count = generation.transfers.len()
            + generation.closings.len()
            + generation.expiries.len()
            + generation.burned.len();
        let mut entries = room(count);
        let (mut ids, mut fates) = (IdRange::NONE, IdRange::NONE);
        for (transfer, row) in generation.transfers.iter().zip(generation.first_row..) {
            ids.add(transfer.id);
            entries.push(Entry::new(
                hasher.hash(transfer.id),
                EntryKind::Transfer,
                row,
            ));
        }
        for (id, number) in generation.burned.iter().zip(0..) {
            ids.add(*id);
            entries.push(Entry::new(hasher.hash(*id), EntryKind::Burned, number));
        }
        for closing in &generation.closings {
            let transfer = generation.transfer(closing.row);
            fates.add(transfer.pending_id);
            let hash = hasher.hash(transfer.pending_id);
            entries.push(Entry::new(
                hash,
                fate_of(transfer.flags),
                closing.pending_row,
            ));
        }
        for expiry in &generation.expiries {
            fates.add(expiry.pending_id);
            let hash = hasher.hash(expiry.pending_id);
            entries.push(Entry::new(hash, EntryKind::Expired, expiry.pending_row));
        }
        sort_spread(&mut entries, |entry| entry.hash);
        Self {
            entries,
            ids,
            fates,
        }
    }
}
