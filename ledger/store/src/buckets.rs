//! Items on their way into order: first into buckets, by the top bits of keys that are spread
//! evenly, as hashes are, while they are collected; then each bucket is sorted, which fits the
//! first caches. Sorting all of them together goes through memory six times more.

use giro_base::Region;
use giro_base::prefetch::prefetch;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::sort::{clear, nothing, sort};

/// Collects items and gives them back sorted, in memory that is used again.
pub(crate) struct Buckets<T> {
    /// Bucket after bucket, each with room for `room` items.
    items: Region<T>,
    lens: Vec<u32>,
    room: usize,
    /// So many top bits of a key are its bucket.
    bits: u32,
    /// What had no room any more, as with many equal keys, in the order it came.
    over: Vec<T>,
    /// A bucket with what had no room.
    whole: Vec<T>,
    spare: Vec<T>,
}

/// Items a bucket has, about, as a power of two.
const BUCKET: u32 = 12;
/// Addresses so far apart share the lines of a cache they can lie in.
const CACHE_PAGE_BYTES: usize = 4096;
/// Of a cache.
const LINE_BYTES: usize = 64;
/// More buckets than this, each with a cache line that is written to, are slow to fill.
const BITS_MAX: u32 = 8;

impl<T: FromBytes + IntoBytes + Immutable + Copy> Default for Buckets<T> {
    fn default() -> Self {
        Self {
            items: nothing(),
            lens: Vec::new(),
            room: 0,
            bits: 0,
            over: Vec::new(),
            whole: Vec::new(),
            spare: Vec::new(),
        }
    }
}

impl<T: FromBytes + IntoBytes + Immutable + Copy + Ord> Buckets<T> {
    /// Empties all, for about `count` items.
    pub(crate) fn begin(&mut self, count: usize) {
        self.bits = count.max(1).ilog2().saturating_sub(BUCKET).min(BITS_MAX);
        let mean = count >> self.bits;
        // Evenly spread keys stay within a few roots of the mean.
        let room = mean + mean / 16 + 64;
        // Buckets fill at one speed: were they a multiple of a page apart, all would write to the
        // same few lines of the first cache.
        let per_page = (CACHE_PAGE_BYTES / size_of::<T>()).max(1);
        self.room = room.next_multiple_of(per_page) + (LINE_BYTES / size_of::<T>()).max(1);
        let rooms = self.room << self.bits;
        clear(&mut self.items, rooms);
        self.items.set_len(rooms);
        self.lens.clear();
        self.lens.resize(1 << self.bits, 0);
        self.over.clear();
    }

    /// Takes an item. Its key must rise with the order of items.
    #[inline(always)]
    pub(crate) fn push(&mut self, key: u64, item: T) {
        let bucket = self.bucket(key);
        let len = &mut self.lens[bucket];
        if (*len as usize) < self.room {
            let place = bucket * self.room + *len as usize;
            self.items[place] = item;
            *len += 1;
            // The next line's memory is far away, and its turn comes only after other buckets'.
            if let Some(ahead) = self.items.get(place + LINE_BYTES / size_of::<T>()) {
                prefetch(ahead);
            }
        } else {
            self.over.push(item);
        }
    }

    #[inline(always)]
    fn bucket(&self, key: u64) -> usize {
        key.checked_shr(u64::BITS - self.bits).unwrap_or(0) as usize
    }

    /// Gives all items, sorted, some at a time.
    ///
    /// # Errors
    /// The first of `each`.
    pub(crate) fn drain<E>(
        &mut self,
        key: impl Fn(&T) -> u64,
        mut each: impl FnMut(&[T]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut over = std::mem::take(&mut self.over);
        // Keeps the order of items in a bucket, which may be half of the work.
        over.sort_by_key(|item| self.bucket(key(item)));
        let mut rest = &over[..];
        for bucket in 0..self.lens.len() {
            let own = rest.partition_point(|item| self.bucket(key(item)) <= bucket);
            let (more, behind) = rest.split_at(own);
            rest = behind;
            let len = self.lens[bucket] as usize;
            let mut items = &mut self.items[bucket * self.room..][..len];
            if !more.is_empty() {
                self.whole.clear();
                self.whole.extend_from_slice(items);
                self.whole.extend_from_slice(more);
                items = &mut self.whole;
            }
            if self.spare.len() < items.len() {
                self.spare.resize(items.len(), T::new_zeroed());
            }
            let spare = &mut self.spare[..items.len()];
            let moved = sort(items, spare, &key, 0..u64::BITS - self.bits);
            each(if moved { spare } else { items })?;
        }
        over.clear();
        self.over = over;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn items_come_back_sorted_however_keys_are_spread() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut buckets = Buckets::default();
        for count in [0_usize, 1, 700, 40_000, 100_000] {
            for shape in 0..4 {
                let mut expected = Vec::new();
                buckets.begin(count);
                for row in 0..count as u64 {
                    let key: u64 = match shape {
                        0 => rng.random(),
                        1 => 5 << 60,
                        2 => rng.random_range(0..9) << 59,
                        _ => rng.random::<u64>() >> 9,
                    };
                    let item = key & !0xFFFF_FFFF | row;
                    expected.push(item);
                    buckets.push(item, item);
                }
                expected.sort_unstable();
                let mut sorted = Vec::new();
                let drained: Result<(), Infallible> = buckets.drain(
                    |item| *item,
                    |some| {
                        sorted.extend_from_slice(some);
                        Ok(())
                    },
                );
                drained.unwrap();
                assert_eq!(sorted, expected, "{count} of shape {shape}");
            }
        }
    }
}
