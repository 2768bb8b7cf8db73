//! Executing what is committed and durable here.

use giro::{EntryOps, Reply};
use giro_replication::{Commit, CommitContent};

use super::Replica;
use super::gated::gate_has;
use crate::error::NodeError;
use crate::gate::Gate;
use crate::journal::Event;
use crate::mark::GroupMark;

impl Replica {
    /// Whether a committed entry waits to be executed, or a reply to leave that was held. Entries
    /// wait longer while the history has to keep up.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.can_execute() || self.has_due_replies()
    }

    fn can_execute(&self) -> bool {
        let waits = || !self.was_serving && self.engine.is_behind();
        !self.committed.is_empty() && !self.is_superseded && !waits()
    }

    /// Hands out replies that need not wait any longer; executes the oldest committed entry, hands
    /// out its replies if it was proposed here, in the term it was committed in, and the gate has
    /// it; and says whether there is more to do.
    ///
    /// # Errors
    /// When this node must end.
    pub fn execute(&mut self, reply: &mut dyn FnMut(Reply<'_>)) -> Result<bool, NodeError> {
        self.hand_out_due(reply);
        if !self.can_execute() {
            return Ok(false);
        }
        let commit = self.committed.pop_front().expect("looked at it above");
        self.journal.note(|| Event::Commit(commit.clone()));
        self.execute_commit(&commit, reply)?;
        let index = commit.index;
        self.executed_term = commit.term;
        self.wal.set_executed(index);
        while self.own.front().is_some_and(|own| own.0.index <= index) {
            self.own.pop_front();
        }
        let digest = self.engine.digest().value() ^ self.digest_mask;
        self.journal.note(|| Event::Executed(index, digest));
        self.group.executed(index, digest)?;
        self.cover();
        Ok(self.is_ready())
    }

    fn execute_commit(
        &mut self,
        commit: &Commit,
        reply: &mut dyn FnMut(Reply<'_>),
    ) -> Result<(), NodeError> {
        match &commit.content {
            CommitContent::Empty => {}
            CommitContent::Members(members) => self.members = members.clone(),
            CommitContent::Ops(payload) => {
                let record = self.wal.places.get(commit.index);
                let record = record.map_or(0, |place| place.record);
                let (index, term) = (commit.index - 1, self.executed_term);
                let (members, marks) = (&self.members, &mut self.marks);
                let incarnation = self.options.incarnation;
                let mut mark = || {
                    let mark = GroupMark {
                        incarnation,
                        index,
                        term,
                        members: members.clone(),
                    };
                    let bytes = mark.encode();
                    marks.push_back((record, mark));
                    bytes
                };
                let entry = EntryOps {
                    record,
                    payload: &payload.bytes,
                    known_op: self.known_op,
                    group: &mut mark,
                };
                let (gate, group) = (&mut self.gate, &self.group);
                let is_there = gate
                    .as_ref()
                    .is_some_and(|gate| gate_has(gate, group) >= commit.index);
                let mut gated = |executed: Reply<'_>| {
                    let (op, client) = (executed.op, executed.client);
                    let holds = |gate: &mut Gate| gate.holds(op, client, is_there);
                    if !gate.as_mut().is_some_and(holds) {
                        reply(executed);
                    }
                };
                let gated: &mut dyn FnMut(Reply<'_>) = &mut gated;
                let reply = commit.ticket.is_some().then_some(gated);
                self.engine.execute_entry(entry, reply)?;
            }
        }
        Ok(())
    }

    /// Whether [`resolve_ahead`](Self::resolve_ahead) has something to do that is worth handing
    /// the writes to the kernel for.
    #[must_use]
    pub fn can_resolve_ahead(&self) -> bool {
        self.committed.is_empty() && !self.own.is_empty() && self.was_serving
    }

    /// Looks up what the next entry names that was proposed here, while the disks work. Where this
    /// node alone decides what is committed it is decided, too, as in a ledger alone: nobody is
    /// shown the state meanwhile ([`Engine::is_ahead`](giro::Engine::is_ahead)).
    ///
    /// # Errors
    /// When this node must end.
    pub fn resolve_ahead(&mut self) -> Result<(), NodeError> {
        if !self.can_resolve_ahead() {
            return Ok(());
        }
        let Some((place, payload)) = self.own.front() else {
            return Ok(());
        };
        // Something else may come before it.
        if place.index != self.group.executed_index() + 1 {
            return Ok(());
        }
        if self.decides_alone() {
            self.engine.decide_entry_ahead(payload)?;
        } else {
            self.engine.resolve_entry_ahead(payload)?;
        }
        Ok(())
    }

    /// Whether the next entry that is durable here is committed by that, and will be executed
    /// whatever comes: no other node can be elected, and this one never gives up what it wrote. A
    /// change of that lies behind the entry and counts only when it is executed itself.
    fn decides_alone(&self) -> bool {
        self.members.voters == [self.options.node] && !self.members.is_joint()
    }
}
