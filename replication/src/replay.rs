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
    /// The incarnations of the group's first voters, in the order of their ids: what a first voter
    /// has before all else.
    Roll(Vec<u64>),
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
    /// What was before the first record is gone: it may be followed by a lower entry.
    is_cut: bool,
    /// Entries above `applied`.
    entries: VecDeque<Entry>,
    /// Terms of all entries, each with the index it begins at.
    terms: Vec<(u64, u64)>,
    last: u64,
    applied: u64,
    is_empty: bool,
    roll: Option<Vec<u64>>,
    /// There is no other record than the roll.
    is_new: bool,
}

impl Default for Replay {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Replay {
    /// For a node whose state has the entries up to `applied`: of these, only terms are kept.
    #[must_use]
    pub fn new(applied: u64) -> Self {
        Self {
            hard: Hard::default(),
            before: (0, Some(0)),
            is_cut: false,
            entries: VecDeque::new(),
            terms: Vec::new(),
            last: 0,
            applied,
            is_empty: true,
            roll: None,
            is_new: true,
        }
    }

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
        let is_first = self.is_new && self.roll.is_none();
        self.is_new &= matches!(content, Content::Roll(_));
        match content {
            Content::State => Ok(()),
            Content::Roll(roll) => {
                if !is_first || hard.vote != 0 || hard.commit != 0 {
                    return wrong("the roll of the first replicas is not the first record");
                }
                self.roll = Some(roll);
                Ok(())
            }
            Content::Installed { index, term } => {
                self.begin_behind(index, Some(term));
                self.is_cut = false;
                Ok(())
            }
            Content::Entry(entry) => {
                if self.is_empty {
                    self.begin_behind(entry.index.saturating_sub(1), None);
                    self.is_cut = entry.index > 1;
                }
                if entry.index == 0 || entry.index > self.last + 1 {
                    return wrong("an entry is missing");
                }
                if entry.index <= self.last && entry.index <= commit_before {
                    return wrong("a committed entry is overwritten");
                }
                if entry.index <= self.before.0 {
                    // The entries between were released, and are void now.
                    if !self.is_cut {
                        return wrong("an entry before the first one is overwritten");
                    }
                    self.begin_behind(entry.index - 1, None);
                }
                if entry.term > hard.term {
                    return wrong("an entry is of a later term than its record");
                }
                self.overwrite(entry);
                Ok(())
            }
        }
    }

    /// The log has nothing but what follows this entry.
    fn begin_behind(&mut self, index: u64, term: Option<u64>) {
        let term = term.or((index == 0).then_some(0));
        self.entries.clear();
        self.terms.clear();
        self.terms.extend(term.map(|term| (index, term)));
        self.before = (index, term);
        self.last = index;
        self.is_empty = false;
    }

    fn overwrite(&mut self, entry: Entry) {
        let index = entry.index;
        while self.entries.back().is_some_and(|last| last.index >= index) {
            self.entries.pop_back();
        }
        while self.terms.last().is_some_and(|(from, _)| *from >= index) {
            self.terms.pop();
        }
        if self
            .terms
            .last()
            .is_none_or(|(_, term)| *term != entry.term)
        {
            self.terms.push((index, entry.term));
        }
        self.last = index;
        if index > self.applied {
            self.entries.push_back(entry);
        }
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

    /// The term of an entry that the log has, or of the one before its first.
    #[must_use]
    pub fn term_of(&self, index: u64) -> Option<u64> {
        let is_known = (self.before.0..=self.last).contains(&index);
        let behind = self.terms.partition_point(|(from, _)| *from <= index);
        let place = behind.checked_sub(1).filter(|_| is_known)?;
        Some(self.terms[place].1)
    }

    /// Holds what was read against the checkpoint that the state is of: its entry and term, or
    /// zeros without one.
    ///
    /// # Errors
    /// When it is not the one that the log goes on from.
    pub fn go_on_from(&mut self, index: u64, term: u64) -> Result<(), StartError> {
        let wrong = |what| Err(StartError::Inconsistent(what));
        if self.is_empty {
            self.begin_behind(index, Some(term));
        }
        if index < self.before.0 {
            return wrong("the checkpoint that the log goes on from is missing");
        }
        if index > self.last {
            return wrong("the log ends before the checkpoint");
        }
        if self.term_of(index).is_some_and(|known| known != term) {
            return wrong("the checkpoint is of another history than the log");
        }
        if self.hard.commit > self.last {
            let (commit, last) = (self.hard.commit, self.last);
            return Err(StartError::CommitAboveLog { commit, last });
        }
        Ok(())
    }

    /// What a node with these records starts with, whose state is that of `checkpoint`; without
    /// one, an empty state and the group's first `members`.
    ///
    /// # Errors
    /// When the checkpoint is not the one that the log goes on from.
    ///
    /// # Panics
    /// When the checkpoint is older than what this was [made for](Self::new).
    pub fn start(
        mut self,
        members: Members,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Start, StartError> {
        let (index, term) = checkpoint.as_ref().map_or((0, 0), |c| (c.index, c.term));
        assert!(index >= self.applied, "entries were passed over");
        self.go_on_from(index, term)?;
        // Peers may be given the entries below the checkpoint, too, where the term before them is
        // known.
        let mut first = self.before.0 + 1;
        if self.before.1.is_none() {
            if index == self.before.0 {
                self.terms.insert(0, (index, term));
            } else {
                first += 1;
            }
        }
        while self.entries.front().is_some_and(|e| e.index <= index) {
            self.entries.pop_front();
        }
        Ok(Start {
            roll: self.roll,
            is_new: self.is_new && checkpoint.is_none(),
            hard: self.hard,
            applied: index,
            members: checkpoint.as_ref().map_or(members, |c| c.members.clone()),
            first,
            terms: self.terms,
            last: self.last,
            entries: self.entries.into(),
            checkpoint,
        })
    }
}
