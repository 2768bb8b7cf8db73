//! Making one sieve of two.

use std::sync::Arc;

use super::make::Maker;
use super::{HASHES_MAX, KEY_BITS, Sieve};

/// A sieve is merged with the next younger one that is at least so much of it. More sieves cost
/// more looks for each id; larger steps cost more merging.
const RATIO: usize = 4;
/// Members that a byte can tell apart.
const MEMBERS: u64 = 1 << u8::BITS;

/// The two sieves to merge next, if any, of those that are there, oldest first: the second of
/// them.
#[must_use]
pub fn mergeable(sieves: &[Arc<Sieve>]) -> Option<usize> {
    (1..sieves.len()).rev().find(|younger| {
        let (older, younger) = (sieves[younger - 1].len(), sieves[*younger].len());
        older <= RATIO * younger && older + younger <= HASHES_MAX
    })
}

/// Keys and members of one sieve, some buckets at a time, in one number each.
struct Source<'a> {
    sieve: &'a Sieve,
    /// What its members are in the merged one.
    members: [u8; MEMBERS as usize],
    items: Vec<u64>,
    next: usize,
}

impl<'a> Source<'a> {
    fn new(sieve: &'a Sieve, first: u64, shift: u32) -> Self {
        let member = |old| {
            let generation = sieve.group(old as u64) << sieve.shift;
            // Those that stand for nothing may lie behind the end.
            ((generation >> shift).wrapping_sub(first >> shift)) as u8
        };
        Self {
            sieve,
            members: std::array::from_fn(member),
            items: Vec::new(),
            next: 0,
        }
    }

    /// Takes what lies in the buckets of group `group`, of 2^`bits` groups.
    fn fill(&mut self, group: usize, bits: u32) {
        let sieve = self.sieve;
        let each = sieve.bucket_bits - bits;
        let rest = KEY_BITS - sieve.bucket_bits;
        self.items.clear();
        self.next = 0;
        for bucket in group << each..(group + 1) << each {
            let top = (bucket as u64) << rest;
            let (start, end) = sieve.range(bucket);
            self.items.extend((start..end).map(|place| {
                let member = self.members[usize::from(sieve.members[place])];
                (top | u64::from(sieve.kept(place))) << u8::BITS | u64::from(member)
            }));
        }
    }
}

/// The sieve of what two others have.
///
/// # Panics
/// When that is more than a sieve can have, which [`mergeable`] prevents.
#[must_use]
pub fn merge(older: &Sieve, younger: &Sieve) -> Sieve {
    let covered = union(&older.covered, &younger.covered);
    let first = covered.first().map_or(0, |range| range.0);
    let last = covered.last().map_or(0, |range| range.1);
    let mut shift = older.shift.max(younger.shift);
    while (last >> shift) - (first >> shift) >= MEMBERS {
        shift += 1;
    }
    let mut maker = Maker::new(covered, shift, older.len() + younger.len());
    let bits = older.bucket_bits.min(younger.bucket_bits);
    let mut a = Source::new(older, first, shift);
    let mut b = Source::new(younger, first, shift);
    let mut push = |item: u64| maker.push(item >> u8::BITS, item as u8);
    for group in 0..1 << bits {
        a.fill(group, bits);
        b.fill(group, bits);
        while let (Some(x), Some(y)) = (a.items.get(a.next), b.items.get(b.next)) {
            // Without a branch: which is smaller cannot be foreseen.
            let is_first = x <= y;
            push(if is_first { *x } else { *y });
            a.next += usize::from(is_first);
            b.next += usize::from(!is_first);
        }
        for rest in [&a, &b] {
            rest.items[rest.next..].iter().for_each(|item| push(*item));
        }
    }
    maker.finish()
}

/// All generations of both.
fn union(a: &[(u64, u64)], b: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = a.iter().chain(b).copied().collect();
    ranges.sort_unstable();
    let mut union: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match union.last_mut() {
            Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
            _ => union.push((first, last)),
        }
    }
    union
}
