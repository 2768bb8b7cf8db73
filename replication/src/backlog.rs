//! What is committed and handed out, and not executed yet: it stays in memory, so it has a bound.

use std::collections::VecDeque;

/// Memory of an entry beside its payload, about.
const ENTRY_BYTES: usize = 256;

/// Entries that wait for execution.
///
/// It counts only what execution alone makes shorter. Entries that are not committed do not count:
/// a group whose members all refused more because of these could never commit them.
pub(crate) struct Backlog {
    /// Index and bytes, oldest first.
    queue: VecDeque<(u64, usize)>,
    bytes: usize,
    bytes_max: usize,
    is_full: bool,
}

impl Backlog {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            bytes_max,
            is_full: false,
        }
    }

    /// An entry with a payload of so many bytes was handed out.
    pub(crate) fn push(&mut self, index: u64, payload_bytes: usize) {
        let bytes = payload_bytes + ENTRY_BYTES;
        self.queue.push_back((index, bytes));
        self.bytes += bytes;
        self.is_full |= self.bytes >= self.bytes_max;
    }

    /// Entries up to `index` are executed.
    pub(crate) fn executed(&mut self, index: u64) {
        while self.queue.front().is_some_and(|(front, _)| *front <= index) {
            let (_, bytes) = self.queue.pop_front().expect("looked at it above");
            self.bytes -= bytes;
        }
        // Not at the first byte of room: entries that come after a gap are asked for again.
        self.is_full &= self.bytes > self.bytes_max / 2;
    }

    /// Whether no more entries are taken for now.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_at_its_bound_until_half_is_executed() {
        let mut backlog = Backlog::new(4 * ENTRY_BYTES);
        (1..=3).for_each(|index| backlog.push(index, 0));
        assert!(!backlog.is_full());
        backlog.push(4, 0);
        assert!(backlog.is_full());
        backlog.executed(1);
        assert!(backlog.is_full());
        backlog.executed(2);
        assert!(!backlog.is_full());
        backlog.executed(4);
        assert_eq!(backlog.bytes(), 0);
    }
}
