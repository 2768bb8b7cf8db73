//! Which pending transfer is due next.
//!
//! Transfers with the same timeout are due in the order they were made. So there is a line for
//! each timeout, and which line's first one is due next is a small question.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Lines at most; with more timeouts than that the rest waits in one heap.
const LINES_MAX: usize = 256;
/// Entries of a line for which memory is taken together: growing moves none of them.
const CHUNK: usize = 1 << 12;

/// When a row is due (ns), and the row.
type Due = (u64, u64);

/// Pending transfers with a timeout, by the time they are due and then by creation. Entries of
/// transfers that were posted or voided meanwhile stay until they come up, and are then skipped.
#[derive(Default)]
pub struct ExpiryQueue {
    /// By timeout.
    lines: Vec<(u32, Line)>,
    /// The first of each line that has any, with the line's timeout.
    firsts: BinaryHeap<Reverse<(Due, u32)>>,
    /// What was made out of order, as imported transfers may be, or has no line.
    others: BinaryHeap<Reverse<Due>>,
}

/// Rows in the order they are due.
#[derive(Default)]
struct Line {
    chunks: VecDeque<Vec<Due>>,
    /// So many of the first chunk are gone.
    gone: usize,
}

impl Line {
    fn first(&self) -> Option<Due> {
        self.chunks.front()?.get(self.gone).copied()
    }

    fn last(&self) -> Option<Due> {
        self.first()?;
        self.chunks.back()?.last().copied()
    }

    fn push(&mut self, due: Due) {
        if self.chunks.back().is_none_or(|last| last.len() == CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK));
        }
        if let Some(last) = self.chunks.back_mut() {
            last.push(due);
        }
    }

    /// Removes the first one.
    fn pop(&mut self) {
        self.gone += 1;
        let used = self.chunks.front().map_or(0, Vec::len);
        if self.gone < used {
            return;
        }
        self.gone = 0;
        if self.chunks.len() > 1 {
            self.chunks.pop_front();
        } else {
            self.chunks.iter_mut().for_each(Vec::clear);
        }
    }
}

impl ExpiryQueue {
    /// Adds a row with this timeout (s), which is due at `expires_at` (ns).
    pub fn push(&mut self, expires_at: u64, timeout: u32, row: u64) {
        let due = (expires_at, row);
        let Some(place) = self.line(timeout) else {
            return self.others.push(Reverse(due));
        };
        let line = &mut self.lines[place].1;
        match line.last() {
            Some(last) if last > due => self.others.push(Reverse(due)),
            Some(_) => line.push(due),
            None => {
                line.push(due);
                self.firsts.push(Reverse((due, timeout)));
            }
        }
    }

    /// The place of this timeout's line, if it can have one.
    fn line(&mut self, timeout: u32) -> Option<usize> {
        let by_timeout = |(other, _): &(u32, Line)| other.cmp(&timeout);
        match self.lines.binary_search_by(by_timeout) {
            Ok(place) => Some(place),
            Err(place) if self.lines.len() < LINES_MAX => {
                self.lines.insert(place, (timeout, Line::default()));
                Some(place)
            }
            Err(_) => {
                self.lines.retain(|(_, line)| line.first().is_some());
                let place = self.lines.partition_point(|(other, _)| *other < timeout);
                (self.lines.len() < LINES_MAX).then(|| {
                    self.lines.insert(place, (timeout, Line::default()));
                    place
                })
            }
        }
    }

    /// When the next one is due (ns).
    #[must_use]
    pub fn next_at(&self) -> Option<u64> {
        let first = self.firsts.peek().map(|Reverse((due, _))| *due);
        let other = self.others.peek().map(|Reverse(due)| *due);
        let next = first.into_iter().chain(other).min();
        next.map(|(expires_at, _)| expires_at)
    }

    /// Takes the next row that is due at `now` or before.
    pub fn pop_due(&mut self, now: u64) -> Option<u64> {
        let first = self.firsts.peek().map(|Reverse(first)| *first);
        let other = self.others.peek().map(|Reverse(due)| *due);
        if let Some(due) = other
            && first.is_none_or(|(first, _)| due < first)
        {
            return (due.0 <= now).then(|| {
                self.others.pop();
                due.1
            });
        }
        let ((expires_at, row), timeout) = first?;
        (expires_at <= now).then(|| {
            self.pop_first(timeout);
            row
        })
    }

    /// Removes the first of all lines' firsts, which is of this timeout's.
    fn pop_first(&mut self, timeout: u32) {
        let by_timeout = |(other, _): &(u32, Line)| other.cmp(&timeout);
        let place = self.lines.binary_search_by(by_timeout);
        let line = &mut self.lines[place.expect("a line with a first one is there")].1;
        line.pop();
        match (line.first(), self.firsts.peek_mut()) {
            (Some(next), Some(mut top)) => *top = Reverse((next, timeout)),
            (None, Some(top)) => {
                std::collections::binary_heap::PeekMut::pop(top);
            }
            (_, None) => unreachable!("it was the first of all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Against a heap of everything: few timeouts and many, in order and not.
    #[test]
    fn rows_come_by_the_time_they_are_due_and_then_by_creation() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for (timeouts, disorder) in [(1, 0), (7, 0), (7, 50), (5_000, 0), (5_000, 300)] {
            let mut queue = ExpiryQueue::default();
            let mut all = BinaryHeap::new();
            let mut now = 0;
            let mut row = 0;
            for _ in 0..60 {
                for _ in 0..rng.random_range(0..900) {
                    row += 1;
                    now += rng.random_range(0..2);
                    let made = now + rng.random_range(0..=disorder);
                    let timeout = rng.random_range(1..=timeouts);
                    let expires_at = made + u64::from(timeout) * 3;
                    queue.push(expires_at, timeout, row);
                    all.push(Reverse((expires_at, row)));
                }
                now += rng.random_range(0..20);
                let due_by = now;
                loop {
                    let next = all.peek().map(|Reverse(due)| *due);
                    assert_eq!(queue.next_at(), next.map(|(at, _)| at));
                    let next = next.filter(|(at, _)| *at <= due_by);
                    assert_eq!(queue.pop_due(due_by), next.map(|(_, row)| row));
                    if next.is_none() {
                        break;
                    }
                    all.pop();
                }
            }
            assert!(row > 10_000 && queue.lines.len() <= LINES_MAX);
        }
    }
}
