//! The ids of one operation, to find the same id twice in it.

/// Finds the nearest earlier event with the same id. Cleared for each operation.
#[derive(Default)]
pub(super) struct RecentIds {
    /// Upper half: 16 bits of the hash; lower half: event + 1. 0 is empty.
    slots: Vec<u32>,
    mask: usize,
}

impl RecentIds {
    /// Forgets everything and makes room for these many events.
    pub(super) fn clear(&mut self, events: usize) {
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
