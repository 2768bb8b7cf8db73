//! Which pending transfer is due next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Pending transfers with a timeout, by the time they are due and then by creation. Entries of
/// transfers that were posted or voided meanwhile stay until they come up, and are then skipped.
#[derive(Default)]
pub struct ExpiryQueue {
    heap: BinaryHeap<Reverse<(u64, u64)>>,
}

impl ExpiryQueue {
    /// Adds a row that is due at `expires_at` (ns).
    pub fn push(&mut self, expires_at: u64, row: u64) {
        self.heap.push(Reverse((expires_at, row)));
    }

    /// When the next one is due (ns).
    #[must_use]
    pub fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((expires_at, _))| *expires_at)
    }

    /// Takes the next row that is due at `now` or before.
    pub fn pop_due(&mut self, now: u64) -> Option<u64> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, row))| row)
    }
}
