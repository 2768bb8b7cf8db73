//! What an id run says of a generation.

use giro_base::hash::IdHasher;
use giro_base::{Transfer, TransferFlags};
use giro_core::generation::Generation;

use crate::format::{Entry, EntryKind};
use crate::scratch::EntryMemory;
use crate::sort::sort;

/// The entries of a generation, sorted, with the ranges of their ids.
pub struct GenerationEntries<'m> {
    /// Sorted.
    pub entries: &'m [Entry],
    /// Ids of transfers and burned ones.
    pub ids: IdRange,
    /// Ids of pending transfers that ended.
    pub fates: IdRange,
    /// Ids follow time, up or down: nearly all new ones lie outside the range, and no filter is
    /// needed to tell them from these.
    pub in_order: bool,
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

    /// Whether `other` lies within it, or not further away than it is wide.
    fn is_near(self, other: Self) -> bool {
        let wide = self.max.saturating_sub(self.min);
        let (min, max) = (self.min.saturating_sub(wide), self.max.saturating_add(wide));
        other.min > other.max || (min <= other.min && other.max <= max)
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

impl<'m> GenerationEntries<'m> {
    /// Those of a generation.
    #[must_use]
    pub(crate) fn of(
        generation: &Generation,
        hasher: IdHasher,
        memory: &'m mut EntryMemory,
    ) -> Self {
        let count = generation.transfers.len()
            + generation.closings.len()
            + generation.expiries.len()
            + generation.burned.len();
        let (entries, spare) = memory.room(count);
        let mut places = entries.iter_mut();
        let mut push = |id, kind, number| {
            let place = places.next().expect("they were counted");
            *place = Entry::new(hasher.hash(id), kind, number);
        };
        for (transfer, row) in generation.transfers.iter().zip(generation.first_row..) {
            push(transfer.id, EntryKind::Transfer, row);
        }
        let mut burned = IdRange::NONE;
        for (id, number) in generation.burned.iter().zip(0..) {
            burned.add(*id);
            push(*id, EntryKind::Burned, number);
        }
        let mut fates = IdRange::NONE;
        for closing in &generation.closings {
            let transfer = generation.transfer(closing.row);
            fates.add(transfer.pending_id);
            push(
                transfer.pending_id,
                fate_of(transfer.flags),
                closing.pending_row,
            );
        }
        for expiry in &generation.expiries {
            fates.add(expiry.pending_id);
            push(expiry.pending_id, EntryKind::Expired, expiry.pending_row);
        }
        let (mut ids, in_order) = order(&generation.transfers);
        let in_order = in_order && ids.is_near(burned);
        ids.extend(burned);
        let moved = sort(entries, spare, |entry| entry.hash, 0..u64::BITS);
        Self {
            entries: if moved { spare } else { entries },
            ids,
            fates,
            in_order,
        }
    }
}

/// Into so many parts rows are cut to see whether their ids are in order.
const PARTS: usize = 8;

/// The range of the rows' ids, and whether they follow time: parts of the rows that are not
/// neighbours have ranges one above the other.
fn order(transfers: &[Transfer]) -> (IdRange, bool) {
    let mut all = IdRange::NONE;
    let parts = transfers.chunks(transfers.len().div_ceil(PARTS).max(1));
    let ranges: Vec<IdRange> = parts
        .map(|part| {
            let mut range = IdRange::NONE;
            part.iter().for_each(|transfer| range.add(transfer.id));
            all.extend(range);
            range
        })
        .collect();
    let mut two = ranges.iter().zip(ranges.iter().skip(2));
    let rising = two.clone().all(|(a, b)| a.max < b.min);
    (all, rising || two.all(|(a, b)| a.min > b.max))
}
