//! Proposals of a leader that is the only member: committed by becoming durable, and the library is
//! told of them later, many at a time. Whatever else it is told comes behind them.

use bytes::Bytes;
use raft::eraftpb;

use super::Group;
use super::types::{Commit, CommitContent, LentWrite, Place};
use crate::entry::{Entry, EntryKind, Hard, Payload};
use crate::flights::Purpose;
use crate::untold::Told;

/// How an entry gets its place without the library.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lending {
    term: u64,
    vote: u64,
}

impl Group {
    /// Takes note of whether entries can be lent now without asking the library: it is asked a lot,
    /// and the answer is all over the library's memory.
    pub(super) fn note_lending(&mut self) {
        let can = self.is_sole() && self.can_propose().is_ok() && !self.awaits_library();
        let raft = &self.raw.raft;
        let (term, vote) = (raft.term, raft.vote);
        self.lending = can.then_some(Lending { term, vote });
    }

    /// Whether [`propose_lent`](Self::propose_lent) takes an entry. One that is
    /// [sole](Self::is_sole) and cannot lend is better waited for: what the library was told of is
    /// still under way, and as long as that never ends it has to be told of every single entry.
    #[must_use]
    pub fn can_lend(&self) -> bool {
        self.lending.is_some()
    }

    pub(super) fn place_of_lent(&self, lending: &Lending) -> Place {
        Place {
            term: lending.term,
            // All that the library knows is handed out.
            index: self.untold.end().unwrap_or(self.handed + 1),
        }
    }

    /// Whether nobody but this node needs its entries: it leads, it is the only member, and no
    /// change of that is proposed. Its proposals can be [lent](Self::propose_lent) then.
    #[must_use]
    pub fn is_sole(&self) -> bool {
        // What is proposed and not executed counts as under way; so does all that the leader found
        // in its log, until it serves.
        self.is_leader()
            && self.members.is_only(self.options.node)
            && !self.raw.raft.has_pending_conf()
    }

    /// Entries are handed out in order, and the library hands out those it was told of.
    fn awaits_library(&self) -> bool {
        self.untold.is_empty() && self.raw.raft.raft_log.last_index() != self.handed
    }

    /// As [`propose`](Self::propose), for a group of ops that is to be written now, and whose bytes
    /// follow with [`lend`](Self::lend), before they are durable: they stay where the record is
    /// written from, and nothing is worked out for peers.
    ///
    /// # Panics
    /// When it [cannot be lent](Self::can_lend).
    pub fn propose_lent(&mut self, ticket: u64) -> LentWrite {
        let lending = self.lending.expect("what is lent cannot be sent yet");
        let place = self.place_of_lent(&lending);
        let hard = Hard {
            term: lending.term,
            vote: lending.vote,
            commit: self.handed,
        };
        self.untold_term = place.term;
        self.untold.push(place.index, ticket);
        let purpose = Purpose::Untold(place.index);
        let number = self.flights.push(purpose, true, self.now, place.term);
        LentWrite {
            place,
            number,
            hard,
        }
    }

    /// The bytes of what was [proposed](Self::propose_lent) without them. They are let go of once
    /// the entry is executed: a node that joins gets it from the log.
    pub fn lend(&mut self, place: Place, bytes: Bytes) {
        let Place { term, index } = place;
        let Some(bytes) = self.untold.lend(index, bytes) else {
            return;
        };
        let told = self.told.iter_mut().find(|told| told.index == index);
        match told.filter(|told| told.term == term) {
            Some(told) => told.bytes = bytes,
            None => self.raw.mut_store().lend(index, term, bytes),
        }
    }

    /// Hands out an entry that is durable, if it is committed by that.
    pub(super) fn land_untold(&mut self, index: u64) {
        let Some((bytes, ticket)) = self.untold.land(index) else {
            // The library was told of it, and says when.
            return;
        };
        assert_eq!(index, self.handed + 1, "entries are handed out in order");
        self.handed = index;
        self.untold_commits.push(Commit {
            index,
            term: self.raw.raft.term,
            content: CommitContent::Ops(Payload::lent(bytes)),
            ticket: Some(ticket),
        });
    }

    /// Entries that became committed with the last [`persisted`](Self::persisted), for drivers that
    /// do not want to wait for the next poll.
    pub fn landed(&mut self) -> std::vec::Drain<'_, Commit> {
        self.untold_commits.drain(..)
    }

    /// Tells the library of what is durable.
    pub(super) fn tell_durable(&mut self) {
        if self.untold.durable().is_some() {
            let told = self.untold.take_durable(self.raw.raft.term);
            self.tell(told);
        }
    }

    /// Tells the library of everything. To be called before it is told anything else that counts
    /// entries, or could end this node's part as their leader.
    pub(super) fn tell_all(&mut self) {
        if !self.untold.is_empty() {
            let told = self.untold.take_all(self.raw.raft.term);
            self.tell(told);
        }
    }

    fn tell(&mut self, told: Vec<Told>) {
        let first = told.first().map(|told| told.index);
        assert_eq!(first, Some(self.raw.raft.raft_log.last_index() + 1));
        let taken = self.step_proposal(told.iter().map(|_| lent_entry()).collect());
        // They have no bytes yet, and nothing else is a reason to refuse them.
        taken.expect("the only member takes what it proposes");
        // What was handed out is committed. Nobody may talk the library out of it, not even before
        // its next turn.
        self.raw.raft.raft_log.commit_to(self.handed);
        for told in &told {
            if let Some(ticket) = told.ticket {
                self.proposals.push(told.index, told.term, ticket);
            }
        }
        self.told.extend(told);
        self.after_call();
    }

    /// Those of a ready's entries that are not written yet: what was told was written before.
    pub(super) fn not_written<'a>(&self, entries: &'a [eraftpb::Entry]) -> &'a [eraftpb::Entry] {
        let written = self.told.iter().zip(entries);
        let is_same = |(told, entry): &(&Told, &eraftpb::Entry)| {
            (told.index, told.term) == (entry.index, entry.term)
        };
        &entries[written.take_while(is_same).count()..]
    }

    /// The library's entries of what was told are in the window: their bytes go there, too.
    pub(super) fn lend_told(&mut self) {
        for told in self.told.drain(..) {
            let store = self.raw.mut_store();
            store.lend(told.index, told.term, told.bytes);
        }
    }
}

/// What the library gets of an entry that is lent.
fn lent_entry() -> eraftpb::Entry {
    let entry = Entry {
        index: 0,
        term: 0,
        kind: EntryKind::Ops,
        payload: Payload::lent(Bytes::new()),
    };
    entry.to_raft()
}
