//! Sorting what indexes are made of. Most of it is spread evenly (hashes, random user data, slots
//! and rows), so that one pass over the top bits of a key puts nearly everything in its place.

use giro_base::Region;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What is sorted: lies in memory of its own, in huge pages where there are any, which costs a
/// fraction of what fresh small pages do.
pub(crate) trait Item: FromBytes + IntoBytes + Immutable + Copy + Ord {}
impl<T: FromBytes + IntoBytes + Immutable + Copy + Ord> Item for T {}

/// A value and the row that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Pair<V> {
    pub(crate) value: V,
    /// As wide as the value, so that nothing is left free.
    pub(crate) row: V,
}

/// Room for `count` items.
///
/// # Panics
/// When the system has no address space, as any allocation does.
pub(crate) fn room<T: FromBytes + IntoBytes + Immutable + Copy>(count: usize) -> Region<T> {
    Region::new(count).expect("there is address space for an index")
}

/// Those of `items`, at most `count`, in memory of their own.
pub(crate) fn collect<T: Item>(count: usize, items: impl Iterator<Item = T>) -> Region<T> {
    let mut all = room(count);
    for item in items {
        all.push(item);
    }
    all
}

/// Sorts `items`. `key` must rise with their order.
pub(crate) fn sort_spread<T: Item>(items: &mut Region<T>, key: impl Fn(&T) -> u64) {
    if items.len() < SMALL {
        items.sort_unstable();
        return;
    }
    if items.is_sorted() {
        return;
    }
    let (mut min, mut max) = (u64::MAX, 0);
    for item in &**items {
        let key = key(item);
        min = min.min(key);
        max = max.max(key);
    }
    let bucket_bits = (items.len() / PER_BUCKET).ilog2();
    let bits = u64::BITS - (max - min).leading_zeros();
    let shift = bits.saturating_sub(bucket_bits);
    let bucket = |item: &T| ((key(item) - min) >> shift) as usize;
    // Where each bucket's next item goes; one more, so that starts become ends on the way.
    let mut ends = vec![0_u32; (((max - min) >> shift) + 2) as usize];
    for item in &**items {
        ends[bucket(item) + 1] += 1;
    }
    let mut sum = 0;
    for end in &mut ends {
        sum += *end;
        *end = sum;
    }
    let mut sorted = room::<T>(items.len());
    sorted.set_len(items.len());
    for item in &**items {
        let next = &mut ends[bucket(item)];
        sorted[*next as usize] = *item;
        *next += 1;
    }
    let mut start = 0;
    for end in ends {
        let end = end as usize;
        if end - start > 1 {
            sorted[start..end].sort_unstable();
        }
        start = end;
    }
    *items = sorted;
}

/// Below this the plain sort is as fast.
const SMALL: usize = 512;
/// Items a bucket has, about.
const PER_BUCKET: usize = 8;

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn it_sorts_as_the_plain_sort_does() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for count in [0, 1, 511, 512, 513, 4000, 30_000] {
            for shape in 0..6 {
                let made = (0..count).map(|_| {
                    let key = match shape {
                        0 => rng.random(),
                        1 => rng.random_range(0..3),
                        2 => u64::MAX - rng.random_range(0..1000),
                        3 => 7,
                        4 => u64::MAX >> rng.random_range(0..64),
                        _ => rng.random_range(1 << 40..1 << 41),
                    };
                    let row = rng.random();
                    Pair { value: key, row }
                });
                let mut items = collect(count, made);
                let mut expected = items.to_vec();
                expected.sort_unstable();
                sort_spread(&mut items, |item| item.value);
                assert_eq!(items[..], expected[..], "{count} items of shape {shape}");
            }
        }
    }
}
