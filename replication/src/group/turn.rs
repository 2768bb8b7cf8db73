//! The turn: from what the library has ready to what is to be done.

use raft::StateRole;
use raft::eraftpb::{self, Message, MessageType};

use super::Group;
use super::types::{Commit, CommitContent, Fetch, Outgoing, Output, Write};
use crate::codec::decode_description;
use crate::entry::{Entry, EntryKind, Hard, is_lent};
use crate::error::Stop;
use crate::flights::Purpose;

impl Group {
    /// Works until nothing is ready, and adds what is to be done to `out`.
    ///
    /// # Errors
    /// When this node must end.
    pub fn poll(&mut self, out: &mut Output) -> Result<(), Stop> {
        self.poll_roll(out);
        self.land();
        out.commits.append(&mut self.untold_commits);
        if self.has_begun() {
            self.poll_library(out);
        }
        out.wants_checkpoint |= self.raw.store().take_wants_checkpoint();
        for message in std::mem::take(&mut self.released) {
            self.send(&message, out);
        }
        self.reads.release(self.executed, &mut out.reads);
        out.refused_reads.append(&mut self.refused_reads);
        out.unknown.append(&mut self.unknown);
        out.roles.append(&mut self.roles);
        out.installs.append(&mut self.installs);
        let stop = self.stop.take();
        self.is_touched = !self.has_nothing();
        stop.map_or(Ok(()), Err)
    }

    fn poll_library(&mut self, out: &mut Output) {
        self.ask_reads();
        loop {
            self.land();
            self.take_fetches(out);
            if !self.raw.has_ready() {
                break;
            }
            self.turn(out);
            self.after_call();
        }
    }

    /// Whether [`poll`](Self::poll) would find nothing to do: most turns of a driver have nothing
    /// for the group.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let waits_for_time = || self.roll.is_some() && !self.has_nothing();
        !self.is_touched && self.untold_commits.is_empty() && !waits_for_time()
    }

    fn has_nothing(&self) -> bool {
        self.reads.is_empty()
            && self.untold_commits.is_empty()
            && !self.flights.has_landed()
            && self.released.is_empty()
            && self.refused_reads.is_empty()
            && self.unknown.is_empty()
            && self.roles.is_empty()
            && self.installs.is_empty()
            && self.stop.is_none()
            && self.raw.store().is_content()
            && self.words.is_empty()
            && !self.has_ready()
    }

    fn has_ready(&self) -> bool {
        match &self.roll {
            Some(roll) => roll.can_agree(self.now),
            None => self.raw.has_ready(),
        }
    }

    fn ask_reads(&mut self) {
        if let Some(name) = self.reads.ask(self.now) {
            self.raw.read_index(name.to_le_bytes().to_vec());
            self.after_call();
        }
    }

    /// One ready of the library. Nothing may be fed to it before it is advanced.
    fn turn(&mut self, out: &mut Output) {
        let mut ready = self.raw.ready();
        let number = ready.number();
        for state in ready.take_read_states() {
            if let Ok(name) = state.request_ctx[..].try_into() {
                self.reads.answer(u64::from_le_bytes(name), state.index);
            }
        }
        let install = (!ready.snapshot().is_empty()).then(|| {
            let description = &ready.snapshot().data;
            decode_description(description).expect("validated where it came in")
        });
        let entries = ready.take_entries();
        let fresh = self.not_written(&entries);
        // A new commit alone may wait for the next record.
        let hard = Hard::from_raft(&self.raw.raft.hard_state());
        let promises = (hard.term, hard.vote) != self.promised;
        let needs_write = promises || !fresh.is_empty() || install.is_some();
        let term = hard.term;
        let at_once = ready.take_messages();
        let when_durable = ready.take_persisted_messages();
        let commits = ready.take_committed_entries();

        self.promised = (hard.term, hard.vote);
        let number = self
            .flights
            .push(Purpose::Ready(number), needs_write, self.now, term);
        self.flights.hold(when_durable);
        if self.durable_term == term {
            for message in at_once {
                self.send(&message, out);
            }
        } else {
            // A voter alone leads before its vote is durable. Its learners must not hear of a term
            // that a crash could make it lead again, with other entries.
            self.flights.hold(at_once);
        }
        if let Some(checkpoint) = &install {
            self.raw.mut_store().install(checkpoint.clone());
        }
        if needs_write {
            out.writes.push(Write {
                number,
                hard,
                entries: fresh.iter().map(Entry::from_raft).collect(),
                install: install.clone(),
                roll: None,
            });
        }
        self.raw.mut_store().append(entries);
        self.lend_told();
        self.raw.advance_append_async(ready);
        if let Some(checkpoint) = install {
            (self.handed, self.library_handed) = (checkpoint.index, checkpoint.index);
            self.members = checkpoint.members;
            self.forget_strangers();
            self.digests.restart();
            self.backlog.executed(self.handed);
        }
        for entry in &commits {
            self.hand_out(entry, out);
        }
        self.note_executed();
        self.give_up_compacted();
    }

    fn hand_out(&mut self, entry: &eraftpb::Entry, out: &mut Output) {
        self.library_handed = entry.index;
        if entry.index <= self.handed {
            // It was handed out before the library was told of it.
            assert_eq!(entry.term, self.untold_term, "it is the same entry");
            return;
        }
        assert_eq!(
            entry.index,
            self.handed + 1,
            "entries are handed out in order"
        );
        self.handed = entry.index;
        let ticket = self.proposals.commit(entry.index, entry.term);
        let is_lent = is_lent(entry);
        let entry = Entry::from_raft(entry);
        let content = match entry.kind {
            EntryKind::Ops => {
                assert!(
                    !is_lent || !entry.payload.bytes.is_empty(),
                    "what is durable was lent before"
                );
                CommitContent::Ops(entry.payload)
            }
            EntryKind::Empty => CommitContent::Empty,
            EntryKind::Change => {
                self.apply_change(&entry);
                CommitContent::Members(self.members.clone())
            }
        };
        let payload_bytes = match &content {
            CommitContent::Ops(payload) => payload.bytes.len(),
            CommitContent::Empty | CommitContent::Members(_) => 0,
        };
        self.backlog.push(entry.index, payload_bytes);
        out.commits.push(Commit {
            index: entry.index,
            term: entry.term,
            content,
            ticket,
        });
    }

    fn apply_change(&mut self, entry: &Entry) {
        let change = entry.change();
        match self.raw.apply_conf_change(&change.to_raft()) {
            Ok(conf) => {
                let expected = self.members.after(&change);
                self.members.apply(&change, &conf);
                // Whoever only reads the log comes to the same members.
                debug_assert_eq!(expected.as_ref(), Some(&self.members), "{change:?}");
                self.forget_strangers();
                self.step_down_if_removed();
            }
            Err(error) => {
                self.stop = Some(Stop::Change(format!("entry {}: {error}", entry.index)));
            }
        }
        self.after_call();
    }

    /// A leader may execute its own removal, when the one that proposed it was lost. The library
    /// would let it lead on, and looks in vain for its place among the members.
    fn step_down_if_removed(&mut self) {
        let raft = &mut self.raw.raft;
        if raft.state == StateRole::Leader && !raft.promotable() {
            let term = raft.term;
            raft.become_follower(term, 0);
        }
    }

    /// Counts what became durable, in order.
    pub(super) fn land(&mut self) {
        while let Some(landed) = self.flights.pop() {
            self.durable_term = landed.term.unwrap_or(self.durable_term);
            match landed.purpose {
                Purpose::Untold(index) => self.land_untold(index),
                Purpose::Ready(number) => {
                    self.raw.on_persist_ready(number);
                    self.after_call();
                    self.released.extend(landed.messages);
                }
            }
        }
    }

    fn send(&mut self, message: &Message, out: &mut Output) {
        if self.is_too_much(message) {
            return;
        }
        let Some(frame) = self.frame(message) else {
            return;
        };
        if message.get_msg_type() == MessageType::MsgSnapshot {
            let index = message.get_snapshot().get_metadata().index;
            out.offers.push((message.to, index));
        }
        out.frames.push(Outgoing {
            to: message.to,
            frame,
        });
    }

    fn take_fetches(&mut self, out: &mut Output) {
        for wanted in self.raw.mut_store().take_wanted() {
            let (low, high, bytes_max) = (wanted.low, wanted.high, wanted.bytes_max);
            // The peer asks again with every heartbeat.
            if self.fetches.iter().any(|fetch| fetch.1 == low) {
                continue;
            }
            self.fetch_count += 1;
            let number = self.fetch_count;
            self.fetches.push_back((number, low, wanted.context));
            out.fetches.push(Fetch {
                number,
                low,
                high,
                bytes_max,
            });
        }
    }
}
