//! What an id run says of a generation.

use giro_base::TransferFlags;
use giro_base::hash::IdHasher;
use giro_base::prefetch::prefetch;
use giro_core::generation::Generation;

use crate::buckets::Buckets;
use crate::format::{Entry, EntryKind};
use crate::pace::{Pace, TURN_ROWS};

/// What is known of a generation's entries.
pub struct GenerationIds {
    /// How many entries.
    pub entries: u64,
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

impl GenerationIds {
    /// Puts the entries of a generation into buckets.
    #[must_use]
    pub(crate) fn collect(
        generation: &Generation,
        hasher: IdHasher,
        buckets: &mut Buckets<Entry>,
        pace: &Pace,
    ) -> Self {
        let count = generation.transfers.len()
            + generation.closings.len()
            + generation.expiries.len()
            + generation.burned.len();
        buckets.begin(count);
        let mut push = |id, kind, number| {
            let entry = Entry::new(hasher.hash(id), kind, number);
            buckets.push(entry.hash, entry);
        };
        let mut order = Order::default();
        let part = generation.transfers.len().div_ceil(PARTS).max(1);
        let mut row = generation.first_row;
        for transfers in generation.transfers.chunks(part) {
            let mut range = IdRange::NONE;
            for (place, transfer) in transfers.iter().enumerate() {
                if let Some(ahead) = transfers.get(place + AHEAD) {
                    prefetch(ahead);
                }
                pace.turn_at(place, TURN_ROWS);
                range.add(transfer.id);
                push(transfer.id, EntryKind::Transfer, row);
                row += 1;
            }
            order.add(range);
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
        let mut ids = order.all();
        let in_order = order.is_kept() && ids.is_near(burned);
        ids.extend(burned);
        Self {
            entries: count as u64,
            ids,
            fates,
            in_order,
        }
    }
}

/// Into so many parts rows are cut to see whether their ids follow time.
const PARTS: usize = 8;
/// So many rows ahead memory is asked for.
const AHEAD: usize = 24;

/// Ranges of ids, in the order of time.
#[derive(Default)]
pub(crate) struct Order(Vec<IdRange>);

impl Order {
    /// The next range.
    pub(crate) fn add(&mut self, range: IdRange) {
        self.0.push(range);
    }

    /// Whether ids follow time: ranges that are not neighbours lie one above the other.
    pub(crate) fn is_kept(&self) -> bool {
        let mut two = self.0.iter().zip(self.0.iter().skip(2));
        let rising = two.clone().all(|(a, b)| a.max < b.min);
        rising || two.all(|(a, b)| a.min > b.max)
    }

    /// The range of all.
    fn all(&self) -> IdRange {
        let mut all = IdRange::NONE;
        self.0.iter().for_each(|range| all.extend(*range));
        all
    }
}
