//! The newest entries in memory, and what the library asks of a storage.
//!
//! Entries below the window are on disk; a peer that needs them waits until they were read
//! ([`Fetch`](crate::Fetch)). What is not executed yet is always in the window.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use bytes::Bytes;
use raft::eraftpb::{Entry, Snapshot};
use raft::storage::GetEntriesContext;
use raft::{Error, RaftState, Storage, StorageError};

use crate::codec::{encode_description, snapshot};
use crate::entry::{Hard, is_lent};
use crate::group::Checkpoint;

pub(crate) struct Window {
    /// Only read when the library starts.
    initial: RaftState,
    /// Terms by the index they begin at, ascending; the first one is that of `first - 1`.
    terms: VecDeque<(u64, u64)>,
    /// Oldest index that the log still has.
    first: u64,
    last: u64,
    /// The entries up to `last`.
    entries: VecDeque<Entry>,
    /// The last one whose bytes are lent: memory that is wanted back.
    lent: u64,
    bytes: usize,
    bytes_max: usize,
    /// What a peer that is too far behind gets.
    checkpoint: Option<Checkpoint>,
    /// Entries read from disk for the call that is under way.
    fetched: Vec<Entry>,
    /// What was asked for and is not in memory.
    wanted: RefCell<Vec<Wanted>>,
    /// A peer needs a checkpoint that knows it.
    wants_checkpoint: Cell<bool>,
}

/// Entries that the library waits for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) low: u64,
    pub(crate) high: u64,
    pub(crate) bytes_max: u64,
    pub(crate) context: GetEntriesContext,
}

pub(crate) struct WindowStart {
    pub(crate) hard: Hard,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) conf: raft::eraftpb::ConfState,
    /// As [`Window::terms`].
    pub(crate) terms: Vec<(u64, u64)>,
    pub(crate) first: u64,
    /// The newest ones; empty when the log is.
    pub(crate) entries: Vec<Entry>,
    pub(crate) last: u64,
    pub(crate) bytes_max: usize,
}

impl Window {
    pub(crate) fn new(start: WindowStart) -> Self {
        let bytes = start.entries.iter().map(size_of_entry).sum();
        Self {
            initial: RaftState::new(start.hard.to_raft(), start.conf),
            terms: start.terms.into(),
            first: start.first,
            last: start.last,
            entries: start.entries.into(),
            lent: 0,
            bytes,
            bytes_max: start.bytes_max,
            checkpoint: start.checkpoint,
            fetched: Vec::new(),
            wanted: RefCell::default(),
            wants_checkpoint: Cell::new(false),
        }
    }

    /// Adds entries; those at or above the first one are void.
    ///
    /// # Panics
    /// When there is a gap.
    pub(crate) fn append(&mut self, entries: Vec<Entry>) {
        let Some(first) = entries.first() else {
            return;
        };
        assert!(first.index > self.first - 1, "what is compacted is decided");
        assert!(first.index <= self.last + 1, "entries have no gap");
        self.truncate(first.index);
        for entry in entries {
            assert_eq!(entry.index, self.last + 1, "entries have no gap");
            self.last = entry.index;
            if self
                .terms
                .back()
                .is_none_or(|(_, term)| *term != entry.term)
            {
                self.terms.push_back((entry.index, entry.term));
            }
            self.bytes += size_of_entry(&entry);
            self.entries.push_back(entry);
        }
    }

    /// Makes entries from `from` on void.
    fn truncate(&mut self, from: u64) {
        while self.last >= from {
            if let Some(void) = self.entries.pop_back() {
                self.bytes -= size_of_entry(&void);
            }
            self.last -= 1;
        }
        while self.terms.back().is_some_and(|(index, _)| *index >= from) {
            self.terms.pop_back();
        }
    }

    /// The bytes of an entry that was proposed without them. Nothing, when another one has its
    /// place.
    pub(crate) fn lend(&mut self, index: u64, term: u64, bytes: Bytes) {
        let at = index.checked_sub(self.resident());
        let at = at.and_then(|at| usize::try_from(at).ok());
        let entry = at.and_then(|at| self.entries.get_mut(at));
        if let Some(entry) = entry.filter(|entry| entry.term == term && is_lent(entry)) {
            self.bytes += bytes.len();
            entry.data = bytes;
            self.lent = index;
        }
    }

    /// Lets go of the oldest entries when there are more bytes than wanted, and of those that are
    /// lent with all before them; never of any from `kept_from` on.
    pub(crate) fn trim(&mut self, kept_from: u64) {
        while self.entries.front().is_some_and(|oldest| {
            let is_wanted = self.bytes <= self.bytes_max && oldest.index > self.lent;
            oldest.index < kept_from && !is_wanted
        }) {
            let oldest = self.entries.pop_front().expect("looked at it above");
            self.bytes -= size_of_entry(&oldest);
        }
    }

    /// The log gave up what lies below `first`.
    pub(crate) fn compact(&mut self, first: u64) {
        assert!(first <= self.last + 1, "only what was there");
        if first <= self.first {
            return;
        }
        while self.entries.front().is_some_and(|e| e.index < first) {
            let oldest = self.entries.pop_front().expect("looked at it above");
            self.bytes -= size_of_entry(&oldest);
        }
        // The term of the entry before the first one is still asked for.
        while self.terms.get(1).is_some_and(|(index, _)| *index < first) {
            self.terms.pop_front();
        }
        self.first = first;
    }

    pub(crate) fn set_checkpoint(&mut self, checkpoint: Checkpoint) {
        self.checkpoint = Some(checkpoint);
    }

    pub(crate) fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// The log is empty, behind this checkpoint.
    pub(crate) fn install(&mut self, checkpoint: Checkpoint) {
        self.entries.clear();
        self.bytes = 0;
        (self.first, self.last) = (checkpoint.index + 1, checkpoint.index);
        self.terms = VecDeque::from([(checkpoint.index, checkpoint.term)]);
        self.checkpoint = Some(checkpoint);
    }

    pub(crate) fn set_fetched(&mut self, entries: Vec<Entry>) {
        self.fetched = entries;
    }

    pub(crate) fn take_wanted(&mut self) -> Vec<Wanted> {
        self.wanted.take()
    }

    /// Whether no peer waits for entries or a checkpoint that it has not.
    pub(crate) fn is_content(&self) -> bool {
        self.wanted.borrow().is_empty() && !self.wants_checkpoint.get()
    }

    /// Oldest index that the log still has.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Whether a peer needs a newer checkpoint than there is.
    pub(crate) fn take_wants_checkpoint(&self) -> bool {
        self.wants_checkpoint.take()
    }

    /// Oldest index in memory.
    fn resident(&self) -> u64 {
        self.last + 1 - self.entries.len() as u64
    }

    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        if index + 1 < self.first || index > self.last {
            return None;
        }
        let after = self.terms.partition_point(|(from, _)| *from <= index);
        let place = after.checked_sub(1)?;
        self.terms.get(place).map(|(_, term)| *term)
    }
}

impl Storage for Window {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.initial.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        if low < self.first {
            return Err(Error::Store(StorageError::Compacted));
        }
        assert!(high <= self.last + 1, "entries that are not there");
        if low >= self.resident() {
            let from = (low - self.resident()) as usize;
            let count = (high - low) as usize;
            let entries = self.entries.iter().skip(from).take(count);
            return Ok(within(entries, bytes_max));
        }
        let fetched = self.fetched.iter().position(|entry| entry.index == low);
        if let Some(from) = fetched {
            let entries = self.fetched.iter().skip(from);
            let entries = entries.take_while(|entry| entry.index < high);
            return Ok(within(entries, bytes_max));
        }
        assert!(context.can_async(), "what is not executed stays in memory");
        self.wanted.borrow_mut().push(Wanted {
            low,
            high: high.min(self.resident()),
            bytes_max,
            context,
        });
        Err(Error::Store(StorageError::LogTemporarilyUnavailable))
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index + 1 < self.first {
            return Err(Error::Store(StorageError::Compacted));
        }
        self.term_of(index)
            .ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last)
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        match &self.checkpoint {
            // A node that joined behind the checkpoint would refuse it: by its members it is none.
            Some(checkpoint)
                if checkpoint.index >= request_index.max(1)
                    && checkpoint.members.get(to).is_some() =>
            {
                let description = encode_description(checkpoint);
                Ok(snapshot(description.into(), checkpoint))
            }
            _ => {
                self.wants_checkpoint.set(true);
                Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
            }
        }
    }
}

/// At least one entry, and no more than fit.
fn within<'a>(entries: impl Iterator<Item = &'a Entry>, bytes_max: u64) -> Vec<Entry> {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        let is_first = bytes == 0;
        bytes += size_of_entry(entry) as u64;
        is_first || bytes <= bytes_max
    };
    entries.take_while(fits).cloned().collect()
}

fn size_of_entry(entry: &Entry) -> usize {
    size_of::<Entry>() + entry.data.len() + entry.context.len()
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
