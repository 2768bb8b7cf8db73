//! A sieve: may the ids of these generations have this hash, and which generation's?
//!
//! Each generation that has ids out of order gets one in memory, and they are merged to few, so
//! that an id that is nowhere costs two or three looks however long the history is. Of a hash the
//! top 48 bits are kept: its bucket's number, and up to 32 bits in the bucket. Merging loses
//! none of them.

mod make;
mod merge;

use giro_base::Region;
use giro_base::prefetch::prefetch;

pub use merge::{merge, mergeable};

/// Bits of a hash that are kept.
const KEY_BITS: u32 = 48;
/// Fewest buckets, as a power of two: what is kept in a bucket has 32 bits then.
const BUCKET_BITS_MIN: u32 = 16;
/// Most buckets, as a power of two.
const BUCKET_BITS_MAX: u32 = 28;
/// Words compared at once: more than three quarters of the fullest buckets have.
const WINDOW: usize = 16;
/// Most hashes: places have 32 bits.
const HASHES_MAX: usize = u32::MAX as usize - WINDOW;

/// Hashes of ids, and the generations they are from.
pub struct Sieve {
    /// Generations whose ids are all in it: ranges, apart from each other, rising.
    covered: Vec<(u64, u64)>,
    /// So many lower bits of a generation's number a member does not tell.
    shift: u32,
    /// So many top bits of a hash are its bucket.
    bucket_bits: u32,
    hashes: usize,
    /// Where each bucket starts, and the last one ends.
    starts: Region<u32>,
    /// The lower 16 bits of what is kept of each hash; zeros, so that a window has room.
    low: Region<u16>,
    /// The upper 16 bits.
    high: Region<u16>,
    /// Which group of generations has it, counted from that of the first.
    members: Region<u8>,
}

impl Sieve {
    /// How many hashes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes == 0
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        4 * self.starts.len() + 2 * self.low.len() + 3 * self.hashes
    }

    /// First generation of which it has ids.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.covered.first().map_or(0, |range| range.0)
    }

    /// Last generation of which it has ids.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.covered.last().map_or(0, |range| range.1)
    }

    /// Whether it has all ids of these generations.
    #[must_use]
    pub fn covers(&self, first: u64, last: u64) -> bool {
        let place = self.covered.partition_point(|range| range.1 < first);
        let range = self.covered.get(place);
        range.is_some_and(|range| range.0 <= first && last <= range.1)
    }

    /// Whether it has all that another has.
    #[must_use]
    pub fn covers_all_of(&self, other: &Self) -> bool {
        let mut ranges = other.covered.iter();
        ranges.all(|(first, last)| self.covers(*first, *last))
    }

    /// Whether an id may have this hash. False is certain.
    #[inline(always)]
    #[must_use]
    pub fn may_hold(&self, hash: u64) -> bool {
        let (bucket, kept) = self.place(hash);
        let (start, end) = self.range(bucket);
        if end - start <= WINDOW {
            let window = &self.low[start..start + WINDOW];
            // Without branches, so that many are compared with one instruction.
            let found = window
                .iter()
                .fold(false, |found, word| found | (*word == kept as u16));
            if !found {
                return false;
            }
        }
        (start..end).any(|place| self.kept(place) == kept)
    }

    /// The generations whose ids may have this hash, as ranges.
    pub fn suspects(&self, hash: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let (bucket, kept) = self.place(hash);
        let (start, end) = self.range(bucket);
        let found = (start..end).filter(move |place| self.kept(*place) == kept);
        found.map(|place| {
            let first = self.group(self.members[place].into()) << self.shift;
            (first, first + (1 << self.shift) - 1)
        })
    }

    /// Asks for the memory that [`may_hold`](Self::may_hold) will need first.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        prefetch(&self.starts[self.place(hash).0]);
    }

    /// Asks for the rest, once the first is there.
    #[inline(always)]
    pub fn prefetch_again(&self, hash: u64) {
        let start = self.starts[self.place(hash).0] as usize;
        prefetch(&self.low[start]);
        prefetch(&self.low[start + WINDOW - 1]);
    }

    /// The number of a member's group of generations.
    fn group(&self, member: u64) -> u64 {
        (self.first() >> self.shift) + member
    }

    /// Bucket of a hash, and what is kept of it there.
    #[inline(always)]
    fn place(&self, hash: u64) -> (usize, u32) {
        place(key(hash), self.bucket_bits)
    }

    #[inline(always)]
    fn range(&self, bucket: usize) -> (usize, usize) {
        let bounds = &self.starts[bucket..bucket + 2];
        (bounds[0] as usize, bounds[1] as usize)
    }

    #[inline(always)]
    fn kept(&self, place: usize) -> u32 {
        u32::from(self.high[place]) << 16 | u32::from(self.low[place])
    }
}

/// The bits of a hash that are kept.
#[inline(always)]
fn key(hash: u64) -> u64 {
    hash >> (u64::BITS - KEY_BITS)
}

#[inline(always)]
fn place(key: u64, bucket_bits: u32) -> (usize, u32) {
    let rest = KEY_BITS - bucket_bits;
    ((key >> rest) as usize, (key & ((1 << rest) - 1)) as u32)
}

#[cfg(test)]
mod tests;
