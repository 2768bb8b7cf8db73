//! From a hash to a slot, in a table that never pauses to grow: it is many small ones, which grow
//! at different times, each within microseconds.

use giro_base::hash::fold;
use hashbrown::HashTable;

/// How many tables, as a power of two.
const PARTS_BITS: u32 = 10;

/// Slots by hash. Keys lie in the slots; callers compare them there.
pub(super) struct Slots {
    parts: Box<[HashTable<Entry>]>,
    len: usize,
}

/// Growing must not have to look at the slots, which lie far apart in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    hash: u32,
    slot: u32,
}

impl Entry {
    fn new(hash: u64, slot: u32) -> Self {
        let hash = (hash >> 32) as u32;
        Self { hash, slot }
    }

    /// Which table it is in.
    fn part(&self) -> usize {
        (self.hash >> (u32::BITS - PARTS_BITS)) as usize
    }

    /// Its hash in that table. What tells the tables apart is the same in all of it.
    fn spread(&self) -> u64 {
        fold(self.hash.into(), 0x9e37_79b9_7f4a_7c15)
    }
}

impl Slots {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            parts: (0..1 << PARTS_BITS).map(|_| HashTable::new()).collect(),
            len: 0,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a slot that is not there.
    pub(super) fn insert(&mut self, hash: u64, slot: u32) {
        let entry = Entry::new(hash, slot);
        let part = &mut self.parts[entry.part()];
        part.insert_unique(entry.spread(), entry, Entry::spread);
        self.len += 1;
    }

    /// The slot with this hash that `is_it` confirms.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let sought = Entry::new(hash, 0);
        let same = |entry: &Entry| entry.hash == sought.hash && is_it(entry.slot);
        let found = self.parts[sought.part()].find(sought.spread(), same);
        found.map(|entry| entry.slot)
    }

    /// Removes a slot. Says whether it was there.
    pub(super) fn remove(&mut self, hash: u64, slot: u32) -> bool {
        let sought = Entry::new(hash, slot);
        let part = &mut self.parts[sought.part()];
        let found = part.find_entry(sought.spread(), |entry| *entry == sought);
        let was_there = found.map(|entry| entry.remove()).is_ok();
        self.len -= usize::from(was_there);
        was_there
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let entries = self.parts.iter().flatten();
        entries.map(|entry| entry.slot)
    }
}
