//! From the records of a log to what a node starts with.

use std::collections::VecDeque;

use crate::entry::{Entry, Hard};
use crate::error::StartError;
use crate::group::{Checkpoint, Start};
use crate::members::Members;

/// What a record of the log has beside the hard state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<E = Entry> {
    /// Nothing: it is there for a vote.
    State,
    /// An entry. If it is not behind the last one, that and all above it are void.
    Entry(E),
    /// A checkpoint that was installed: all entries before this record are void.
    Installed {
        /// The checkpoint's.
        index: u64,
        /// The checkpoint's.
        term: u64,
    },
}

/// Takes a log's records in order, and works out what counts.
#[derive(Debug)]
pub struct Replay {
    hard: Hard,
    /// The entry before the first, with its term where that is known.
    before: (u64, Option<u64>),
    entries: VecDeque<Entry>,
    last: u64,
    is_empty: bool,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            hard: Hard::default(),
            before: (0, Some(0)),
            entries: VecDeque::new(),
            last: 0,
            is_empty: true,
        }
    }
}

impl Replay {
    /// Takes the next record.
    ///
    /// # Errors
    /// When it does not fit those before it: the log is damaged, or was written by something else.
    pub fn record(&mut self, hard: Hard, content: Content) -> Result<(), StartError> {
        let wrong = |what| Err(StartError::Inconsistent(what));
        if hard.term < self.hard.term {
            return wrong("a record's term is lower than one before it");
        }
        if hard.term == self.hard.term && self.hard.vote != 0 && hard.vote != self.hard.vote {
            return wrong("the vote changed within a term");
        }
        let commit = self.hard.commit.max(hard.commit);
        let commit_before = self.hard.commit;
        self.hard = Hard { commit, ..hard };
        match content {
            Content::State => Ok(()),
            Content::Installed { index, term } => {
                self.entries.clear();
                self.before = (index, Some(term));
                self.last = index;
                self.is_empty = false;
                Ok(())
            }
            Content::Entry(entry) => {
                if self.is_empty {
                    // Records before it may have been released.
                    let before = entry.index.saturating_sub(1);
                    self.before = (before, (before == 0).then_some(0));
                    self.last = before;
                    self.is_empty = false;
                }
                if entry.index == 0 || entry.index > self.last + 1 {
                    return wrong("an entry is missing");
                }
                if entry.index <= self.before.0 {
                    return wrong("an entry before the first one is overwritten");
                }
                if entry.index <= self.last && entry.index <= commit_before {
                    return wrong("a committed entry is overwritten");
                }
                if entry.term > hard.term {
                    return wrong("an entry is of a later term than its record");
                }
                self.overwrite(entry);
                Ok(())
            }
        }
    }

    fn overwrite(&mut self, entry: Entry) {
        while self.last >= entry.index {
            self.entries.pop_back();
            self.last -= 1;
        }
        self.last = entry.index;
        self.entries.push_back(entry);
    }

    /// The newest hard state.
    #[must_use]
    pub fn hard(&self) -> Hard {
        self.hard
    }

    /// The entry before the first one: the least that a checkpoint must have.
    #[must_use]
    pub fn before(&self) -> u64 {
        self.before.0
    }

    /// The last entry.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// What a node with these records starts with, whose state is that of `checkpoint`; without
    /// one, an empty state and the group's first `members`.
    ///
    /// # Errors
    /// When the checkpoint is not the one that the log goes on from.
    pub fn start(
        mut self,
        members: Members,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Start, StartError> {
        let wrong = |what| Err(StartError::Inconsistent(what));
        let (index, term) = checkpoint.as_ref().map_or((0, 0), |c| (c.index, c.term));
        if self.is_empty {
            (self.before, self.last) = ((index, Some(term)), index);
        }
        if index < self.before.0 {
            return wrong("the checkpoint that the log goes on from is missing");
        }
        if index > self.last {
            return wrong("the log ends before the checkpoint");
        }
        let mut known = self.before.1.filter(|_| self.before.0 == index);
        while self.entries.front().is_some_and(|e| e.index <= index) {
            known = self.entries.pop_front().map(|entry| entry.term);
        }
        if known.is_some_and(|known| known != term) {
            return wrong("the checkpoint is of another history than the log");
        }
        if self.hard.commit > self.last {
            let (commit, last) = (self.hard.commit, self.last);
            return Err(StartError::CommitAboveLog { commit, last });
        }
        let mut terms = vec![(index, term)];
        for entry in &self.entries {
            if terms.last().is_some_and(|(_, term)| *term != entry.term) {
                terms.push((entry.index, entry.term));
            }
        }
        Ok(Start {
            hard: self.hard,
            applied: index,
            members: checkpoint.as_ref().map_or(members, |c| c.members.clone()),
            first: index + 1,
            terms,
            last: self.last,
            entries: self.entries.into(),
            checkpoint,
        })
    }
}
