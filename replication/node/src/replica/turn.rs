//! The turn: proposals in, writes and frames out.

use std::io;

use giro_log::Disk;
use giro_replication::{Commit, CommitContent, Outgoing, Payload, ProposeError};

use super::Replica;
use crate::error::NodeError;
use crate::journal::Event;
use crate::wal::Proposed;

impl Replica {
    /// Proposes what was submitted, starts writes, and leaves in [`frames`](Self::frames) what is
    /// to be sent. Nothing waits: a leader's write and its followers' overlap.
    ///
    /// # Errors
    /// When this node must end.
    pub fn flush(&mut self, disk: &mut impl Disk) -> Result<(), NodeError> {
        if self.is_superseded {
            return Ok(());
        }
        self.engine.begin_turn()?;
        self.take_durable_checkpoint();
        self.poll()?;
        loop {
            let has_proposed = self.propose(disk)?;
            self.wal.start(disk, &mut self.journal)?;
            if !has_proposed {
                return Ok(());
            }
        }
    }

    /// What is to be sent, in order. To be taken and sent at once.
    pub fn frames(&mut self) -> &mut Vec<Outgoing> {
        &mut self.frames
    }

    /// Takes the end of a write, in any order.
    ///
    /// # Errors
    /// When the write failed: the process must end, nobody knows what is on disk.
    pub fn on_write(&mut self, record: u64, result: io::Result<usize>) -> Result<(), NodeError> {
        let landed = self.wal.on_write(record, result, &mut self.journal)?;
        if landed.is_installed {
            // What the group still has in mind is void with the state it began with.
            self.is_superseded = true;
            return Ok(());
        }
        if let Some(number) = landed.number {
            self.group.persisted(number);
            for commit in self.group.landed() {
                self.undecided = self.undecided.saturating_sub(1);
                self.committed.push_back(commit);
            }
        }
        Ok(())
    }

    /// Proposes the next group, if there is one and it can be written at once.
    fn propose(&mut self, disk: &mut impl Disk) -> Result<bool, NodeError> {
        let can_lend = self.group.can_lend();
        let can = self.was_serving && self.wal.can_take();
        if !can || !(can_lend || self.group.next_place().is_some()) {
            return Ok(false);
        }
        if !can_lend && self.group.is_sole() {
            // It can in a moment.
            return Ok(false);
        }
        let gathers = self.undecided >= self.options.gather_from;
        let Some(group) = self.engine.take_group(!gathers) else {
            return Ok(false);
        };
        let ticket = self.ticket();
        if can_lend {
            let write = self.group.propose_lent(ticket);
            let own = Proposed::new(write.place, group);
            let payload = self.wal.write_own(own, write, disk, &mut self.journal)?;
            self.undecided += 1;
            self.own.push_back((write.place, payload.clone()));
            self.group.lend(write.place, payload);
            return Ok(true);
        }
        let payload = self.copies.of(group.payload());
        match self.group.propose(Payload::new(payload.clone()), ticket) {
            Ok(place) => {
                self.undecided += 1;
                self.own.push_back((place, payload));
                self.wal.expect(Proposed::new(place, group));
                self.poll()?;
                Ok(true)
            }
            Err(ProposeError::Busy(_)) => {
                self.engine.give_back(group);
                Ok(false)
            }
            Err(ProposeError::NotLeader { .. }) => {
                // The next poll forgets all of it.
                self.engine.give_back(group);
                self.poll()?;
                Ok(false)
            }
        }
    }

    /// Takes what the group has to say.
    pub(super) fn poll(&mut self) -> Result<(), NodeError> {
        if self.is_superseded {
            return Ok(());
        }
        if self.group.is_quiet() {
            self.cover();
            return Ok(());
        }
        self.is_stirred = true;
        let mut out = self.out.take().expect("it is put back below");
        let polled = self.group.poll(&mut out);
        for role in out.roles.drain(..) {
            self.journal.note(|| Event::Role(role));
            if role.serving != self.was_serving {
                // Sequencing begins, or what was sequenced is void.
                self.was_serving = role.serving;
                self.undecided = 0;
                self.own.clear();
                self.engine.abandon();
                self.turn_gate();
            }
        }
        for write in out.writes.drain(..) {
            if let Some(checkpoint) = &write.install {
                let index = checkpoint.index;
                self.committed.retain(|commit| commit.index > index);
            }
            self.wal.submit(&write, &mut self.journal);
        }
        self.frames.append(&mut out.frames);
        let is_own = |commit: &&Commit| {
            commit.ticket.is_some() && matches!(commit.content, CommitContent::Ops(_))
        };
        let own = out.commits.iter().filter(is_own);
        self.undecided = self.undecided.saturating_sub(own.count());
        self.committed.extend(out.commits.drain(..));
        self.answers
            .extend(out.reads.drain(..).map(|ticket| (ticket, true)));
        let refused = out.refused_reads.drain(..);
        self.answers.extend(refused.map(|ticket| (ticket, false)));
        out.unknown.clear();
        self.fetches.append(&mut out.fetches);
        self.installs.append(&mut out.installs);
        self.offers.append(&mut out.offers);
        self.wants_checkpoint |= std::mem::take(&mut out.wants_checkpoint);
        self.out = Some(out);
        self.cover();
        Ok(polled?)
    }
}
