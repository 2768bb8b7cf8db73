//! The ids of one operation, to find the same id twice in it.

/// Finds the nearest earlier event with the same id. Begun anew for each operation.
///
/// Ids mostly rise: each is larger than all there were. As long as they do, no id can be there
/// twice, and the table stays empty. The first one that does not has it filled.
#[derive(Default)]
pub(super) struct RecentIds {
    /// Upper half: 16 bits of the hash; lower half: event + 1. 0 is empty.
    slots: Vec<u32>,
    mask: usize,
    /// Events of the operation.
    events: usize,
    /// Events are in the table.
    is_filled: bool,
    /// Smallest id of the operation so far. Neither this nor the next while it is filled.
    lowest: u128,
    /// Largest id there is, of the operation or known before it.
    highest: u128,
}

impl RecentIds {
    /// Begins an operation of these many events. No id above `known_max` is known from before.
    pub(super) fn begin(&mut self, events: usize, known_max: u128) {
        self.events = events;
        self.is_filled = false;
        (self.lowest, self.highest) = (u128::MAX, known_max);
    }

    /// The same, where each event will be [replaced](Self::replace).
    pub(super) fn begin_filled(&mut self, events: usize) {
        self.clear(events);
        self.is_filled = true;
    }

    /// Takes the next event's id if it is larger than all there were: then it is new.
    #[inline(always)]
    pub(super) fn rises(&mut self, id: u128) -> bool {
        let rises = !self.is_filled && id > self.highest;
        if rises {
            self.highest = id;
            self.lowest = self.lowest.min(id);
        }
        rises
    }

    /// Whether an earlier event may have this id. False is certain.
    #[inline(always)]
    pub(super) fn may_hold(&self, id: u128) -> bool {
        self.is_filled || (self.lowest..=self.highest).contains(&id)
    }

    /// Fills the table with the earlier events, unless that was done; `hash` gives the hash of
    /// those that belong here.
    pub(super) fn fill(&mut self, events: usize, hash: impl Fn(usize) -> Option<u64>) {
        if self.is_filled {
            return;
        }
        self.begin_filled(self.events);
        for event in 0..events {
            if let Some(hash) = hash(event) {
                // They were rising: no two are the same.
                self.replace(hash, event, |_| false);
            }
        }
    }

    /// Forgets everything and makes room for these many events.
    fn clear(&mut self, events: usize) {
        let slots = (2 * events).next_power_of_two();
        if self.slots.len() < slots {
            self.slots.resize(slots, 0);
        }
        self.slots[..slots].fill(0);
        self.mask = slots - 1;
    }

    /// The latest event with this hash whose id `is_id` confirms.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, is_id: impl Fn(usize) -> bool) -> Option<usize> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let event = event(slot);
            if slot >> 16 == tag(hash) && is_id(event) {
                return Some(event);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Remembers event `i` as the latest with its id, and returns the one before.
    #[inline(always)]
    pub(super) fn replace(
        &mut self,
        hash: u64,
        i: usize,
        is_id: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let entry = tag(hash) << 16 | (i as u32 + 1);
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                self.slots[at] = entry;
                return None;
            }
            let earlier = event(slot);
            if slot >> 16 == tag(hash) && is_id(earlier) {
                self.slots[at] = entry;
                return Some(earlier);
            }
            at = (at + 1) & self.mask;
        }
    }

    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        (hash >> 8) as usize & self.mask
    }
}

#[inline(always)]
fn tag(hash: u64) -> u32 {
    (hash >> 40) as u32 & 0xFFFF
}

#[inline(always)]
fn event(slot: u32) -> usize {
    (slot & 0xFFFF) as usize - 1
}

// Event + 1 must fit the lower half.
const _: () = assert!(giro_base::limits::EVENTS_MAX_UNBATCHED < 0xFFFF);
