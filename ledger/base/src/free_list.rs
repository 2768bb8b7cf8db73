//! Which buffers are free: the one given back last is taken first, because its memory is still in
//! the processor's caches, and so that no more of them become resident than are used at a time.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// A stack of numbers from 0 on, each in it once at most. Lock-free.
pub(crate) struct FreeList {
    /// The top in the low half, or [`NONE`]; above it a count of changes, so that a top that came
    /// back is not taken for one that stayed.
    head: AtomicU64,
    /// What lies below each number.
    below: Box<[AtomicU32]>,
    len: AtomicUsize,
}

const NONE: u32 = u32::MAX;

impl FreeList {
    /// All numbers below `count`, the lowest on top.
    pub(crate) fn full(count: u32) -> Self {
        let below = (1..=count).map(|next| AtomicU32::new(if next == count { NONE } else { next }));
        Self {
            head: AtomicU64::new(u64::from(if count == 0 { NONE } else { 0 })),
            below: below.collect(),
            len: AtomicUsize::new(count as usize),
        }
    }

    /// Takes the top.
    pub(crate) fn pop(&self) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let top = head as u32;
            // What lies below may change when somebody else takes the top; then the exchange
            // fails.
            let below = self.below.get(top as usize)?.load(Ordering::Relaxed);
            match self.exchange(head, below) {
                Ok(()) => {
                    self.len.fetch_sub(1, Ordering::Relaxed);
                    return Some(top);
                }
                Err(now) => head = now,
            }
        }
    }

    /// Puts a number on top that was taken.
    pub(crate) fn push(&self, number: u32) {
        self.len.fetch_add(1, Ordering::Relaxed);
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            self.below[number as usize].store(head as u32, Ordering::Relaxed);
            match self.exchange(head, number) {
                Ok(()) => return,
                Err(now) => head = now,
            }
        }
    }

    fn exchange(&self, head: u64, top: u32) -> Result<(), u64> {
        let changes = (head >> 32).wrapping_add(1) << 32;
        let next = changes | u64::from(top);
        // Release: whoever takes this top sees what lies below it, and what its buffer holds.
        self.head
            .compare_exchange_weak(head, next, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// How many there can be.
    pub(crate) fn capacity(&self) -> usize {
        self.below.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn the_last_one_given_back_is_taken_first() {
        let list = FreeList::full(3);
        assert_eq!([list.pop(), list.pop()], [Some(0), Some(1)]);
        list.push(0);
        assert_eq!((list.len(), list.capacity()), (2, 3));
        assert_eq!(
            [list.pop(), list.pop(), list.pop()],
            [Some(0), Some(2), None]
        );
        assert_eq!(list.len(), 0);
        assert_eq!(FreeList::full(0).pop(), None);
    }

    #[test]
    fn threads_never_have_the_same_number() {
        const COUNT: u32 = 5;
        let list = Arc::new(FreeList::full(COUNT));
        let taken: Arc<Vec<AtomicBool>> =
            Arc::new((0..COUNT).map(|_| AtomicBool::new(false)).collect());
        let threads = (0..4).map(|_| {
            let (list, taken) = (Arc::clone(&list), Arc::clone(&taken));
            std::thread::spawn(move || {
                for round in 0..50_000_u32 {
                    let held: Vec<u32> = (0..=round % 3).filter_map(|_| list.pop()).collect();
                    for number in &held {
                        assert!(!taken[*number as usize].swap(true, Ordering::SeqCst));
                    }
                    for number in held {
                        taken[number as usize].store(false, Ordering::SeqCst);
                        list.push(number);
                    }
                }
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
        assert_eq!(list.len(), COUNT as usize);
        let mut all: Vec<u32> = std::iter::from_fn(|| list.pop()).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
    }
}
