//! Sorting what indexes are made of: by counting, nine bits a pass at most, over as many of a key's
//! top bits as tell most items apart. What lies below is put right afterwards.

use std::ops::Range;

use giro_base::Region;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Bits of one pass at most: the places that are written to, a cache line for each value, should
/// stay in the first cache. With 11 bits a pass takes three times as long.
const WIDTH_MAX: u32 = 9;
/// With so many bits more than tell as many items apart as there are, few are left to put right.
const BITS_MORE: u32 = 3;
/// Below this the plain sort is as fast.
const SMALL: usize = 512;

/// Memory for up to `len_max` items, empty: the same as before if that is enough. It lies in huge
/// pages where there are any, and fresh memory costs more than sorting what it holds.
///
/// # Panics
/// When the system has no address space, as any allocation does.
pub(crate) fn clear<T>(region: &mut Region<T>, len_max: usize)
where
    T: FromBytes + IntoBytes + Immutable + Copy,
{
    if region.len_max() < len_max {
        *region = Region::new(len_max).expect("there is address space for an index");
    }
    region.set_len(0);
}

/// An empty region, until it is needed.
pub(crate) fn nothing<T: FromBytes + IntoBytes + Immutable + Copy>() -> Region<T> {
    Region::new(0).expect("there is address space for an index")
}

/// How many bits numbers up to `max` have.
pub(crate) fn bits(max: u64) -> u32 {
    u64::BITS - max.leading_zeros()
}

/// Sorts `items`, for which `spare` is as long. `key` must rise with their order, and differ in
/// `bits` only, if at all there. Says whether they are in `spare` now.
pub(crate) fn sort<T: Copy + Ord>(
    items: &mut [T],
    spare: &mut [T],
    key: impl Fn(&T) -> u64,
    bits: Range<u32>,
) -> bool {
    assert_eq!(items.len(), spare.len());
    if items.len() < SMALL {
        items.sort_unstable();
        return false;
    }
    let total = (items.len().ilog2() + BITS_MORE).min(bits.end - bits.start);
    let low = bits.end - total;
    let passes = total.div_ceil(WIDTH_MAX);
    let width = total
        .checked_div(passes)
        .map_or(0, |_| total.div_ceil(passes));
    // Passes are equally wide; the last ones overlap where that is more than there is.
    let shifts = |pass: u32| low + (pass * width).min(total - width);
    let mut counts = vec![0_u32; (passes as usize) << width];
    match passes {
        0 => {}
        1 => count(items, &key, [0].map(shifts), &mut counts),
        2 => count(items, &key, [0, 1].map(shifts), &mut counts),
        3 => count(items, &key, [0, 1, 2].map(shifts), &mut counts),
        _ => {
            assert!(
                passes == 4,
                "a key has 64 bits, and there are fewer than 2^33 items"
            );
            count(items, &key, [0, 1, 2, 3].map(shifts), &mut counts);
        }
    }
    let (mut from, mut to, mut swapped) = (&mut *items, &mut *spare, false);
    for (pass, places) in (0..passes).zip(counts.chunks_mut(1 << width)) {
        // Where all are alike there is nothing to do.
        if places.contains(&(from.len() as u32)) {
            continue;
        }
        let mut sum = 0;
        for place in &mut *places {
            sum += std::mem::replace(place, sum);
        }
        scatter(from, to, &key, shifts(pass), places);
        std::mem::swap(&mut from, &mut to);
        swapped = !swapped;
    }
    put_right(from, key, low);
    swapped
}

/// How often each value of the digits at `shifts` occurs.
#[inline(always)]
fn count<T, const PASSES: usize>(
    items: &[T],
    key: impl Fn(&T) -> u64,
    shifts: [u32; PASSES],
    counts: &mut [u32],
) {
    let size = counts.len() / PASSES;
    let mask = size - 1;
    for item in items {
        let key = key(item);
        for (pass, shift) in shifts.into_iter().enumerate() {
            let count = &mut counts[pass * size + ((key >> shift) as usize & mask)];
            *count = count.wrapping_add(1);
        }
    }
}

#[inline(always)]
fn scatter<T: Copy>(
    from: &[T],
    to: &mut [T],
    key: impl Fn(&T) -> u64,
    shift: u32,
    places: &mut [u32],
) {
    let mask = places.len() - 1;
    for item in from {
        let place = &mut places[(key(item) >> shift) as usize & mask];
        to[*place as usize] = *item;
        *place = place.wrapping_add(1);
    }
}

/// Sorts items that are in the order of their keys' bits from `low` on.
fn put_right<T: Copy + Ord>(items: &mut [T], key: impl Fn(&T) -> u64, low: u32) {
    // All bits lie below if there are none to sort by.
    let top = |item: &T| key(item).checked_shr(low).unwrap_or(0);
    let mut next = 1;
    while next < items.len() {
        if items[next - 1] <= items[next] {
            next += 1;
            continue;
        }
        let same = top(&items[next]);
        let before = items[..next].iter().rev();
        let start = next - before.take_while(|item| top(item) == same).count();
        let behind = items[next..].iter();
        let end = next + behind.take_while(|item| top(item) == same).count();
        items[start..end].sort_unstable();
        next = end.max(next + 1);
    }
}

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
                let mut items: Vec<(u64, u32)> = Vec::new();
                let mut used = 0;
                for row in 0..count {
                    let key = match shape {
                        0 => rng.random(),
                        1 => rng.random_range(0..3),
                        2 => u64::MAX - rng.random_range(0..1000),
                        3 => 7,
                        4 => u64::MAX >> rng.random_range(0..64),
                        _ => rng.random_range(1 << 40..1 << 41),
                    };
                    used |= key;
                    items.push((key, row ^ 5));
                }
                let mut expected = items.clone();
                expected.sort_unstable();
                for bits in [0..64, 0..bits(used)] {
                    let mut items = items.clone();
                    let mut spare = vec![(0, 0); items.len()];
                    let moved = sort(&mut items, &mut spare, |item| item.0, bits.clone());
                    let sorted = if moved { &spare } else { &items };
                    assert_eq!(*sorted, expected, "{count} of shape {shape} by {bits:?}");
                }
            }
        }
    }

    #[test]
    fn items_in_order_below_the_bits_stay_in_order() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let keys = (0..50_000_u64).map(|row| rng.random_range(0..1000) << 20 | row);
        let mut items: Vec<u64> = keys.collect();
        let mut expected = items.clone();
        expected.sort_unstable();
        let mut spare = vec![0; items.len()];
        let moved = sort(&mut items, &mut spare, |key| *key, 20..30);
        assert_eq!(if moved { spare } else { items }, expected);
    }
}
