//! What clients ask.

use giro_replication::{Change, ChangeRefused, NodeId, ProposeError};

use super::Replica;
use crate::gate::Gate;

impl Replica {
    /// Asks a majority whether this node still leads: before a read is answered, or an eviction is
    /// sent. The ticket comes back from [`answers`](Self::answers), in any case.
    ///
    /// # Errors
    /// When this node does not serve: nothing happened.
    pub fn ask(&mut self, ticket: u64) -> Result<(), ProposeError> {
        self.group.read(ticket)
    }

    /// Tickets whose question was answered: with true, the state is new enough to be read from;
    /// with false, another node has to be asked.
    pub fn answers(&mut self, out: &mut Vec<(u64, bool)>) {
        out.append(&mut self.answers);
    }

    /// Whether the recorded reply to a client's last write may be sent again now: with a gate, not
    /// before that has the write. Then it will be handed out as others are.
    pub fn may_resend(&mut self, client: u128) -> bool {
        let Some(gate) = &mut self.gate else {
            return true;
        };
        let last = self.engine.last_reply(client);
        last.is_none_or(|last| gate.lets_again(last.op, client))
    }

    /// Whether nothing that was submitted or committed waits to be executed, nor a reply to leave.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.engine.has_groups()
            && self.undecided == 0
            && self.committed.is_empty()
            && !self.wal.is_busy()
            && !self.gate.as_ref().is_some_and(Gate::is_holding)
    }

    /// Whether something waits that no completion and no frame will tell of: for a segment, or for
    /// the history to keep up. Look again soon.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        let waits = self.was_serving && self.engine.has_groups() && !self.wal.is_busy();
        waits || self.wal.is_stalled() || self.engine.is_behind()
    }

    /// Proposes a change of membership. It counts once [`members`](Self::members) say so.
    ///
    /// # Errors
    /// When it was not taken; nothing happened.
    pub fn change(&mut self, change: &Change) -> Result<(), ChangeRefused> {
        let ticket = self.ticket();
        self.group.change(change, ticket).map(drop)
    }

    /// Hands leadership over to a voter. Until that is done or given up, requests wait.
    ///
    /// # Errors
    /// When it was not begun; nothing happened.
    pub fn hand_over(&mut self, to: NodeId) -> Result<(), ChangeRefused> {
        self.group.transfer(to)
    }

    /// Hands leadership over to whoever is fit for it. Says to whom, when it was begun.
    pub fn give_way(&mut self) -> Option<NodeId> {
        self.group.give_way(0)
    }
}
