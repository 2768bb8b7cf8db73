//! A filter: is this hash one of a set? No is certain, yes is wrong once in a million.
//!
//! Hashes lie in buckets by their top bits, about sixteen to one, and of each 24 more bits are
//! kept: 26 to 27 bits a hash. From hashes that are sorted, as a run's are, it is made by writing
//! them down; and to look one up takes two places in memory, whatever the size. The better known
//! filters of this kind take 18 bits, and fifty times as long to make.

use giro_base::Region;
use giro_base::prefetch::prefetch;

use crate::sort::{clear, nothing};

/// How a filter's words are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Hashes in it.
    pub hashes: u64,
    /// So many top bits of a hash are its bucket.
    pub bucket_bits: u32,
}

/// A filter in memory.
pub struct Filter {
    shape: Shape,
    /// Where each bucket starts, and the last one ends (two words each, the lower half first);
    /// the lower 16 bits of what is kept of each hash; the upper 8, two to a word; zeros.
    words: Region<u16>,
}

/// Hashes of a bucket, about, as a power of two.
const BUCKET: u32 = 4;
/// Most buckets: more would need more than 2^36 hashes in memory to make one.
const BUCKET_BITS_MAX: u32 = 28;
/// Words compared at once, nearly always all of a bucket; so many zeros end a filter.
const WINDOW: usize = 32;

/// Huge pages are so large. Without them, each look at a filter costs a walk through page tables.
const HUGE_BYTES: usize = 2 << 20;

/// Zeros, in huge pages unless they are few.
pub(crate) fn room(words: usize) -> Region<u16> {
    let bytes = 2 * words;
    let bytes = if bytes < HUGE_BYTES / 2 {
        bytes
    } else {
        bytes.next_multiple_of(HUGE_BYTES)
    };
    let mut room = nothing();
    clear(&mut room, bytes / 2);
    room.set_len(words);
    room
}

impl Shape {
    fn for_count(count: usize) -> Self {
        // Eleven to twenty-one hashes a bucket.
        let bits = (count + count / 2).max(1).ilog2().saturating_sub(BUCKET);
        Self {
            hashes: count as u64,
            bucket_bits: bits.min(BUCKET_BITS_MAX),
        }
    }

    /// Words of such a filter; none when there can be none.
    #[must_use]
    pub fn words(&self) -> Option<usize> {
        if self.bucket_bits > BUCKET_BITS_MAX || self.hashes > u32::MAX.into() {
            return None;
        }
        let hashes = self.hashes as usize;
        Some(self.low() + hashes + hashes.div_ceil(2) + WINDOW)
    }

    /// First word of the lower parts.
    #[inline(always)]
    fn low(&self) -> usize {
        2 * ((1 << self.bucket_bits) + 1)
    }

    #[inline(always)]
    fn bucket(&self, hash: u64) -> usize {
        hash.checked_shr(u64::BITS - self.bucket_bits).unwrap_or(0) as usize
    }

    /// What is kept of a hash, beside its bucket.
    #[inline(always)]
    fn kept(&self, hash: u64) -> (u16, u8) {
        let kept = (hash << self.bucket_bits) >> 40;
        (kept as u16, (kept >> 16) as u8)
    }
}

impl Filter {
    /// The filter of these hashes, which rise.
    ///
    /// # Panics
    /// When there are 2^32 or more.
    #[must_use]
    pub fn of(hashes: &[u64]) -> Self {
        debug_assert!(hashes.is_sorted());
        let shape = Shape::for_count(hashes.len());
        let words = shape.words().expect("a partition has fewer hashes");
        let mut filter = Self {
            shape,
            words: room(words),
        };
        let (low, high) = (shape.low(), shape.low() + hashes.len());
        let mut next = 0;
        for (place, hash) in hashes.iter().enumerate() {
            let bucket = shape.bucket(*hash);
            while next <= bucket {
                filter.set_start(next, place);
                next += 1;
            }
            let kept = shape.kept(*hash);
            filter.words[low + place] = kept.0;
            filter.words[high + place / 2] |= u16::from(kept.1) << (8 * (place % 2));
        }
        while next <= 1 << shape.bucket_bits {
            filter.set_start(next, hashes.len());
            next += 1;
        }
        filter
    }

    /// A filter whose parts were read from disk; none when they don't fit each other.
    #[must_use]
    pub fn from_parts(shape: Shape, words: Region<u16>) -> Option<Self> {
        if shape.words() != Some(words.len()) {
            return None;
        }
        let filter = Self { shape, words };
        let mut starts = (0..=1 << shape.bucket_bits).map(|bucket| filter.start(bucket));
        let sound = starts.clone().is_sorted()
            && filter.start(0) == 0
            && starts.next_back() == Some(shape.hashes as usize);
        sound.then_some(filter)
    }

    /// How its words are to be read.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Its words.
    #[must_use]
    pub fn words(&self) -> &[u16] {
        &self.words
    }

    /// Whether `hash` may be one of the set.
    #[inline(always)]
    #[must_use]
    pub fn may_hold(&self, hash: u64) -> bool {
        let bucket = self.shape.bucket(hash);
        let (start, end) = (self.start(bucket), self.start(bucket + 1));
        let kept = self.shape.kept(hash);
        let low = &self.words[self.shape.low()..];
        if end - start <= WINDOW {
            let window = &low[start..start + WINDOW];
            // Without branches, so that many are compared with one instruction.
            let found = window
                .iter()
                .fold(false, |found, word| found | (*word == kept.0));
            if !found {
                return false;
            }
        }
        (start..end).any(|place| low[place] == kept.0 && self.high(place) == kept.1)
    }

    /// Asks for the memory that [`may_hold`](Self::may_hold) will need first.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        prefetch(&self.words[2 * self.shape.bucket(hash)]);
    }

    /// Asks for the rest, once the first is there.
    #[inline(always)]
    pub fn prefetch_again(&self, hash: u64) {
        let start = self.shape.low() + self.start(self.shape.bucket(hash));
        prefetch(&self.words[start]);
        prefetch(&self.words[start + WINDOW - 1]);
    }

    #[inline(always)]
    fn start(&self, bucket: usize) -> usize {
        let (low, high) = (self.words[2 * bucket], self.words[2 * bucket + 1]);
        (u32::from(high) << 16 | u32::from(low)) as usize
    }

    fn set_start(&mut self, bucket: usize, place: usize) {
        self.words[2 * bucket] = place as u16;
        self.words[2 * bucket + 1] = (place >> 16) as u16;
    }

    fn high(&self, place: usize) -> u8 {
        let first = self.shape.low() + self.shape.hashes as usize;
        (self.words[first + place / 2] >> (8 * (place % 2))) as u8
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn copy(words: &[u16]) -> Region<u16> {
        let mut copy = room(words.len());
        copy.copy_from_slice(words);
        copy
    }

    fn hashes(count: usize, rng: &mut ChaCha8Rng) -> Vec<u64> {
        let mut hashes: Vec<u64> = (0..count).map(|_| rng.random()).collect();
        hashes.sort_unstable();
        hashes
    }

    #[test]
    fn a_filter_holds_all_it_was_made_of() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for count in (0..70).chain([100, 1000, 5000, 100_000]) {
            let hashes = hashes(count, &mut rng);
            let filter = Filter::of(&hashes);
            assert!(hashes.iter().all(|hash| filter.may_hold(*hash)), "{count}");
            let again = Filter::from_parts(filter.shape(), copy(filter.words())).unwrap();
            assert!(hashes.iter().all(|hash| again.may_hold(*hash)), "{count}");
        }
    }

    #[test]
    fn hashes_that_are_not_spread_are_held_too() {
        let hashes: Vec<u64> = (0..1000).map(|n| 7 << 40 | n << 20).collect();
        let filter = Filter::of(&hashes);
        assert!(hashes.iter().all(|hash| filter.may_hold(*hash)));
        assert!(!filter.may_hold(u64::MAX));
    }

    #[test]
    fn a_filter_is_wrong_once_in_a_million_and_takes_27_bits_a_hash() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let hashes = hashes(400_000, &mut rng);
        let filter = Filter::of(&hashes);
        let bits = filter.words().len() as f64 * 16.0 / hashes.len() as f64;
        let asked = 20_000_000;
        let wrong = (0..asked).filter(|_| filter.may_hold(rng.random())).count();
        println!("{bits:.2} bits a hash, {wrong} of {asked} wrong");
        assert!(bits < 27.0);
        // 15 are expected: a bucket has 12 hashes, of 16 million possible.
        assert!((3..45).contains(&wrong), "{wrong}");
    }

    #[test]
    fn parts_that_do_not_fit_are_no_filter() {
        let hashes = hashes(1000, &mut ChaCha8Rng::seed_from_u64(3));
        let filter = Filter::of(&hashes);
        let (shape, words) = (filter.shape(), filter.words());
        assert!(Filter::from_parts(shape, copy(words)).is_some());
        assert!(Filter::from_parts(shape, copy(&words[1..])).is_none());
        for broken in [
            Shape {
                bucket_bits: 63,
                ..shape
            },
            Shape {
                hashes: u64::MAX,
                ..shape
            },
            Shape {
                hashes: 999,
                ..shape
            },
        ] {
            assert!(Filter::from_parts(broken, copy(words)).is_none());
        }
        let mut broken = copy(words);
        broken[5] = u16::MAX;
        assert!(Filter::from_parts(shape, broken).is_none());
    }
}
