//! A binary fuse filter: is this hash one of a set? No is certain, yes is wrong once in 65,536.
//!
//! Each hash has three places in a table of 16-bit fingerprints, in three windows that follow
//! each other; the three fingerprints there, combined by exclusive or, give the hash's own. The
//! layout is ours, not a library's: files outlive libraries. (T. M. Graf and D. Lemire, "Binary
//! Fuse Filters", 2022.)

use giro_base::hash::fold;
use giro_base::prefetch::prefetch;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::sort::{clear, nothing};

/// Where a filter's fingerprints are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Makes the places; another one is tried when the hashes don't fit.
    pub seed: u64,
    /// Fingerprints in a window, a power of two.
    pub window: u32,
    /// A first fingerprint lies below this.
    pub starts: u32,
    /// Fingerprints in all.
    pub fingerprints: u32,
}

/// A filter in memory.
pub struct Filter {
    shape: Shape,
    fingerprints: Vec<u16>,
}

/// Largest window: places within it are made of 18 bits of a hash.
const WINDOW_MAX: u32 = 1 << 18;

impl Shape {
    /// Whether places stay below `fingerprints`.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let end = u64::from(self.starts) + 2 * u64::from(self.window);
        self.window.is_power_of_two()
            && self.window <= WINDOW_MAX
            && self.starts > 0
            && self.starts.is_multiple_of(self.window)
            && end == u64::from(self.fingerprints)
    }

    /// Enough for `count` hashes, a little more at each attempt.
    fn for_count(count: usize, seed: u64) -> Self {
        // The constants are the paper's, found by experiment.
        let n = count.max(2) as f64;
        let exponent = (n.ln() / 3.33_f64.ln() + 2.25).floor() as u32;
        let window = (1_u32 << exponent.min(18)).min(WINDOW_MAX);
        let factor = (0.875 + 0.25 * 1e6_f64.ln() / n.ln()).max(1.125);
        let wanted = (n * factor).round() as u32;
        let windows = wanted.div_ceil(window).saturating_sub(2).max(1);
        Self {
            seed,
            window,
            starts: windows * window,
            fingerprints: (windows + 2) * window,
        }
    }

    /// The three places of a hash, and its fingerprint. The first place rises with the hash, so
    /// that sorted hashes fill the table from front to back.
    #[inline(always)]
    fn places(&self, hash: u64) -> ([usize; 3], u16) {
        let mixed = fold(hash ^ self.seed, 0x9fb2_1c65_1e98_df25);
        let first = ((u128::from(hash) * u128::from(self.starts)) >> 64) as u32;
        let mask = self.window - 1;
        let second = (first + self.window) ^ (mixed as u32 & mask);
        let third = (first + 2 * self.window) ^ ((mixed >> 18) as u32 & mask);
        let places = [first as usize, second as usize, third as usize];
        (places, (mixed >> 48) as u16)
    }
}

impl Filter {
    /// The filter of these hashes, which rise without repeats.
    ///
    /// # Panics
    /// When a hundred seeds don't fit, which hashes that differ don't do.
    #[must_use]
    pub fn of(hashes: &[u64]) -> Self {
        debug_assert!(hashes.is_sorted_by(|a, b| a < b));
        for attempt in 0..100 {
            let seed = fold(attempt + 1, 0xd6e8_feb8_6659_fd93);
            if let Some(filter) = Self::attempt(hashes, Shape::for_count(hashes.len(), seed)) {
                return filter;
            }
        }
        panic!("no filter for {} hashes that differ", hashes.len());
    }

    /// A filter whose parts were read from disk; none when they don't fit each other.
    #[must_use]
    pub fn from_parts(shape: Shape, fingerprints: Vec<u16>) -> Option<Self> {
        let fits = shape.is_sound() && fingerprints.len() == shape.fingerprints as usize;
        fits.then_some(Self {
            shape,
            fingerprints,
        })
    }

    /// Where its fingerprints are looked for.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Its fingerprints.
    #[must_use]
    pub fn fingerprints(&self) -> &[u16] {
        &self.fingerprints
    }

    /// Whether `hash` may be one of the set.
    #[inline(always)]
    #[must_use]
    pub fn may_hold(&self, hash: u64) -> bool {
        let ([a, b, c], fingerprint) = self.shape.places(hash);
        let table = &self.fingerprints;
        table[a] ^ table[b] ^ table[c] == fingerprint
    }

    /// Asks for the memory that [`may_hold`](Self::may_hold) will need.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        let (places, _) = self.shape.places(hash);
        for place in places {
            prefetch(&self.fingerprints[place]);
        }
    }

    /// Peels hashes that have a place for themselves, one after the other, then gives out
    /// fingerprints in the opposite order. None if some hashes have no such place.
    fn attempt(hashes: &[u64], shape: Shape) -> Option<Self> {
        let mut cells = nothing::<Cell>();
        clear(&mut cells, shape.fingerprints as usize);
        cells.set_len(shape.fingerprints as usize);
        for hash in hashes {
            for place in shape.places(*hash).0 {
                cells[place].count += 1;
                cells[place].hashes ^= hash;
            }
        }
        let mut alone: Vec<u32> = Vec::with_capacity(cells.len());
        alone.extend((0..shape.fingerprints).filter(|place| cells[*place as usize].count == 1));
        let mut order = nothing();
        clear(&mut order, hashes.len());
        while let Some(place) = alone.pop() {
            if cells[place as usize].count != 1 {
                continue;
            }
            let hash = cells[place as usize].hashes;
            order.push(Peeled {
                hash,
                place: place.into(),
            });
            for other in shape.places(hash).0 {
                let cell = &mut cells[other];
                cell.count -= 1;
                cell.hashes ^= hash;
                if cell.count == 1 {
                    alone.push(other as u32);
                }
            }
        }
        (order.len() == hashes.len()).then(|| Self::assign(shape, &order))
    }

    fn assign(shape: Shape, order: &[Peeled]) -> Self {
        let mut fingerprints = vec![0_u16; shape.fingerprints as usize];
        for peeled in order.iter().rev() {
            let (places, mut value) = shape.places(peeled.hash);
            for other in places {
                // Its own place is still 0.
                value ^= fingerprints[other];
            }
            fingerprints[peeled.place as usize] = value;
        }
        Self {
            shape,
            fingerprints,
        }
    }
}

/// How many hashes have a place, and all of them combined.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Cell {
    hashes: u64,
    count: u64,
}

/// A hash, and the place that is its alone.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Peeled {
    hash: u64,
    place: u64,
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn hashes(count: usize, rng: &mut ChaCha8Rng) -> Vec<u64> {
        let mut hashes: Vec<u64> = (0..count).map(|_| rng.random()).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    #[test]
    fn a_filter_holds_all_it_was_made_of() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for count in (0..70).chain([100, 1000, 5000, 100_000]) {
            let hashes = hashes(count, &mut rng);
            let filter = Filter::of(&hashes);
            assert!(filter.shape().is_sound());
            assert!(hashes.iter().all(|hash| filter.may_hold(*hash)), "{count}");
        }
    }

    #[test]
    fn a_filter_is_wrong_once_in_65536_and_takes_18_bits_a_hash() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let hashes = hashes(400_000, &mut rng);
        let filter = Filter::of(&hashes);
        let bits = filter.fingerprints().len() as f64 * 16.0 / hashes.len() as f64;
        let asked = 4_000_000;
        let wrong = (0..asked).filter(|_| filter.may_hold(rng.random())).count();
        println!("{bits:.2} bits a hash, {wrong} of {asked} wrong");
        assert!(bits < 19.5);
        // 61 are expected.
        assert!((20..140).contains(&wrong));
    }

    #[test]
    fn parts_that_do_not_fit_are_no_filter() {
        let filter = Filter::of(&[1, 2, 3]);
        let shape = filter.shape();
        let parts = filter.fingerprints().to_vec();
        assert!(Filter::from_parts(shape, parts.clone()).is_some());
        assert!(Filter::from_parts(shape, parts[1..].to_vec()).is_none());
        for broken in [
            Shape { window: 0, ..shape },
            Shape { window: 3, ..shape },
            Shape { starts: 0, ..shape },
            Shape {
                starts: shape.starts + 1,
                ..shape
            },
        ] {
            assert!(Filter::from_parts(broken, parts.clone()).is_none());
        }
    }
}
