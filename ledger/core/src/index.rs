//! From a key's hash to its place: the index each shard keeps for the ids it owns.
//!
//! Buckets are cache lines of eight entries, filled by linear probing over buckets; an entry is
//! 32 bits of the hash and a 32-bit place. Growth doubles the buckets and moves the old ones a few
//! at each insert, so that no single insert pays for it.
//!
//! Looking up ends at a bucket with an empty lane. So what is removed from a full one leaves a mark
//! there, which the next entry that comes by takes.

use giro_base::Region;
use giro_base::lanes;
use giro_base::prefetch::prefetch;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A map from hashes to places (row or slot numbers). Keys themselves lie at the places; callers
/// compare them there.
pub struct IdIndex {
    table: Table,
    /// The table being emptied into `table`, and the first bucket not yet moved.
    old: Option<(Table, usize)>,
    len: usize,
    /// Lanes of `table` with a mark of what was removed.
    marks: usize,
    /// Entries until the table grows. Marks count as entries, so that there always are empty lanes.
    room: usize,
}

struct Table {
    buckets: Region<Bucket>,
    mask: usize,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u32; LANES],
    /// Place + 1; 0 is an empty lane, [`REMOVED`] one that had an entry. Lanes fill from 0 up.
    places: [u32; LANES],
}

const LANES: usize = 8;
const ALL_LANES: u32 = (1 << LANES) - 1;
/// Mean entries a bucket at which the table grows: three quarters full.
const LOAD_MAX: usize = 6;
const BUCKETS_MIN: usize = 64;
/// Old buckets moved at each insert while growing: the move ends long before the next is due.
const MOVES_PER_INSERT: usize = 4;

/// Largest place an entry can hold.
pub const PLACE_MAX: u32 = REMOVED - 2;
const REMOVED: u32 = u32::MAX;

impl IdIndex {
    /// An empty index that takes `expected` entries before it grows, in memory made resident
    /// now.
    ///
    /// # Errors
    /// The system's when it has no address space.
    pub fn new(expected: usize) -> std::io::Result<Self> {
        let buckets = expected
            .div_ceil(LOAD_MAX)
            .next_power_of_two()
            .max(BUCKETS_MIN);
        let table = Table::new(buckets)?;
        table.buckets.prefault(buckets);
        Ok(Self {
            table,
            old: None,
            len: 0,
            marks: 0,
            room: buckets * LOAD_MAX,
        })
    }

    /// Forgets all entries, and keeps the memory.
    pub fn clear(&mut self) {
        self.old = None;
        self.table.buckets.fill(Bucket::EMPTY);
        (self.len, self.marks) = (0, 0);
        self.room = self.table.buckets.len() * LOAD_MAX;
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Hints that `hash` will be looked up or inserted soon.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        let tag = hash as u32;
        prefetch(&self.table.buckets[self.table.home(tag)]);
        if let Some((old, _)) = &self.old {
            prefetch(&old.buckets[old.home(tag)]);
        }
    }

    /// A place whose entry may be `hash`'s, to prefetch what lies there.
    #[inline(always)]
    #[must_use]
    pub fn guess(&self, hash: u64) -> Option<u32> {
        let tag = hash as u32;
        let bucket = &self.table.buckets[self.table.home(tag)];
        let lane = (bucket.matches(tag) & bucket.occupied()).trailing_zeros() as usize;
        (lane < LANES).then(|| bucket.places[lane] - 1)
    }

    /// The place with this hash at which `is_key` finds the key, if any.
    #[inline(always)]
    pub fn find(&self, hash: u64, is_key: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = hash as u32;
        if let Some(place) = self.table.find(tag, &is_key) {
            return Some(place);
        }
        // Buckets already moved keep their entries, so this may look once too often, never wrong.
        self.old
            .as_ref()
            .and_then(|(old, _)| old.find(tag, &is_key))
    }

    /// Adds an entry. The key must not be present.
    ///
    /// # Panics
    /// When the system has no memory for growth.
    #[inline]
    pub fn insert(&mut self, hash: u64, place: u32) {
        debug_assert!(place <= PLACE_MAX);
        if self.old.is_some() {
            self.move_some();
        } else if self.room == 0 {
            self.grow();
        }
        if self.marks > 0 && self.table.insert_at_mark(hash as u32, place) {
            self.marks -= 1;
        } else {
            self.table.insert(hash as u32, place);
            self.room = self.room.saturating_sub(1);
        }
        self.len += 1;
    }

    /// Removes an entry. Says whether it was there.
    pub fn remove(&mut self, hash: u64, place: u32) -> bool {
        let tag = hash as u32;
        let removed = self.table.remove(tag, place);
        match removed {
            Some(Removal::Marked) => self.marks += 1,
            Some(Removal::Cleared) => self.room += 1,
            None => {}
        }
        // One that was moved is in both tables.
        let old = self.old.as_mut();
        let in_old = old.and_then(|(old, _)| old.remove(tag, place));
        let was_there = removed.is_some() || in_old.is_some();
        self.len -= usize::from(was_there);
        was_there
    }

    /// All places, in no order.
    pub fn places(&self) -> impl Iterator<Item = u32> + '_ {
        let old = self
            .old
            .iter()
            .flat_map(|(old, moved)| &old.buckets[*moved..]);
        let buckets = self.table.buckets.iter().chain(old);
        buckets.flat_map(|bucket| bucket.entries().map(|(_, place)| place))
    }

    /// Goes on in a table of twice the size; of the same size if half of this one is marks.
    #[cold]
    fn grow(&mut self) {
        let mut buckets = self.table.buckets.len();
        if self.len >= buckets * LOAD_MAX / 2 {
            buckets *= 2;
        }
        let next = Table::new(buckets).expect("address space for an index");
        self.old = Some((std::mem::replace(&mut self.table, next), 0));
        self.marks = 0;
        self.room = buckets * LOAD_MAX - self.len;
    }

    fn move_some(&mut self) {
        let Some((old, moved)) = &mut self.old else {
            return;
        };
        for _ in 0..MOVES_PER_INSERT {
            let Some(bucket) = old.buckets.get(*moved) else {
                self.old = None;
                return;
            };
            for (tag, place) in bucket.entries() {
                self.table.insert(tag, place);
            }
            *moved += 1;
        }
    }
}

impl Table {
    fn new(buckets: usize) -> std::io::Result<Self> {
        debug_assert!(buckets.is_power_of_two());
        let mut region = Region::new(buckets)?;
        region.set_len(buckets);
        Ok(Self {
            buckets: region,
            mask: buckets - 1,
        })
    }

    #[inline(always)]
    fn home(&self, tag: u32) -> usize {
        tag as usize & self.mask
    }

    #[inline(always)]
    fn find(&self, tag: u32, is_key: &impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(tag);
        loop {
            let bucket = &self.buckets[at];
            let occupied = bucket.occupied();
            let mut candidates = bucket.matches(tag) & occupied;
            while candidates != 0 {
                let place = bucket.places[candidates.trailing_zeros() as usize] - 1;
                if place <= PLACE_MAX && is_key(place) {
                    return Some(place);
                }
                candidates &= candidates - 1;
            }
            if occupied != ALL_LANES {
                return None;
            }
            at = (at + 1) & self.mask;
        }
    }

    #[inline(always)]
    fn insert(&mut self, tag: u32, place: u32) {
        let mut at = self.home(tag);
        loop {
            let bucket = &mut self.buckets[at];
            let lane = bucket.occupied().trailing_ones() as usize;
            if lane < LANES {
                bucket.tags[lane] = tag;
                bucket.places[lane] = place + 1;
                return;
            }
            at = (at + 1) & self.mask;
        }
    }
}

/// How an entry was removed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removal {
    /// Its lane is empty.
    Cleared,
    /// Its lane has a mark.
    Marked,
}

impl Table {
    /// Puts an entry where one was removed, if there is such a place before the first empty one.
    fn insert_at_mark(&mut self, tag: u32, place: u32) -> bool {
        let mut at = self.home(tag);
        loop {
            let bucket = &mut self.buckets[at];
            let marks = lanes::equal(&bucket.places, REMOVED);
            if marks != 0 {
                let lane = marks.trailing_zeros() as usize;
                bucket.tags[lane] = tag;
                bucket.places[lane] = place + 1;
                return true;
            }
            if bucket.occupied() != ALL_LANES {
                return false;
            }
            at = (at + 1) & self.mask;
        }
    }

    fn remove(&mut self, tag: u32, place: u32) -> Option<Removal> {
        let mut at = self.home(tag);
        loop {
            let bucket = &mut self.buckets[at];
            let occupied = bucket.occupied();
            let places = lanes::equal(&bucket.places, place + 1);
            let found = bucket.matches(tag) & places;
            if found != 0 {
                return Some(bucket.remove(found.trailing_zeros() as usize));
            }
            if occupied != ALL_LANES {
                return None;
            }
            at = (at + 1) & self.mask;
        }
    }
}

impl Bucket {
    fn remove(&mut self, lane: usize) -> Removal {
        let count = self.occupied().trailing_ones() as usize;
        if count == LANES {
            self.places[lane] = REMOVED;
            return Removal::Marked;
        }
        // Lanes stay filled from 0 up.
        self.tags[lane] = self.tags[count - 1];
        self.places[lane] = self.places[count - 1];
        self.places[count - 1] = 0;
        Removal::Cleared
    }

    const EMPTY: Self = Self {
        tags: [0; LANES],
        places: [0; LANES],
    };

    /// Lanes whose tag is `tag`, as bits. Unused lanes may be among them.
    #[inline(always)]
    fn matches(&self, tag: u32) -> u32 {
        lanes::equal(&self.tags, tag)
    }

    /// Lanes in use, as bits.
    #[inline(always)]
    fn occupied(&self) -> u32 {
        lanes::equal(&self.places, 0) ^ ALL_LANES
    }

    fn entries(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let entries = self.tags.iter().zip(&self.places);
        entries
            .filter(|(_, place)| !matches!(**place, 0 | REMOVED))
            .map(|(tag, place)| (*tag, place - 1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use giro_base::hash::IdHasher;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn every_key_is_found_while_the_table_grows() {
        let hasher = IdHasher::new([1, 2]);
        let mut index = IdIndex::new(0).unwrap();
        for key in 0..40_000_u32 {
            index.insert(hasher.hash(u128::from(key)), key);
            for probe in [key, key / 2, key / 3] {
                let found = index.find(hasher.hash(u128::from(probe)), |place| place == probe);
                assert_eq!(found, Some(probe), "after {key} inserts");
            }
        }
        assert_eq!(index.len(), 40_000);
        assert_eq!(index.find(hasher.hash(1 << 100), |_| false), None);
        index.clear();
        assert!(index.is_empty());
        assert_eq!(index.find(hasher.hash(7), |place| place == 7), None);
        index.insert(hasher.hash(7), 3);
        assert_eq!(index.find(hasher.hash(7), |_| true), Some(3));
    }

    /// Against a map, while tables grow: what is removed is gone, and nothing else is.
    #[test]
    fn what_is_removed_is_gone_and_its_room_is_used_again() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        // Half of the hashes are spread, half meet in a few buckets.
        let hash = |place: u32| match place % 2 {
            0 => u64::from(place).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20,
            _ => u64::from(place % 37),
        };
        let mut index = IdIndex::new(0).unwrap();
        let mut model = BTreeSet::new();
        for (live_max, rounds) in [(600_u32, 20_000), (3_000, 60_000), (100, 20_000)] {
            for _ in 0..rounds {
                let place = rng.random_range(0..2 * live_max);
                if model.remove(&place) {
                    assert!(index.remove(hash(place), place));
                    assert!(!index.remove(hash(place), place));
                } else if (model.len() as u32) < live_max {
                    model.insert(place);
                    index.insert(hash(place), place);
                }
                let probe = rng.random_range(0..2 * live_max);
                let found = index.find(hash(probe), |place| place == probe);
                assert_eq!(found.is_some(), model.contains(&probe));
                assert_eq!(index.len(), model.len());
            }
            let places: BTreeSet<u32> = index.places().collect();
            assert_eq!(places, model);
            assert_eq!(index.places().count(), model.len(), "each is there once");
            assert!(
                index.table.buckets.len() <= 2048,
                "marks do not make it grow"
            );
        }
    }

    #[test]
    fn keys_of_one_hash_are_told_apart_by_the_caller() {
        let mut index = IdIndex::new(0).unwrap();
        for place in 0..30 {
            index.insert(7, place);
        }
        for place in 0..30 {
            assert_eq!(index.find(7, |p| p == place), Some(place));
        }
        assert_eq!(index.find(7, |_| false), None);
    }
}
