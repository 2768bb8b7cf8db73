//! Changes of membership and of leadership.

use raft::eraftpb::{Entry as RaftEntry, EntryType};

use super::Group;
use super::types::Place;
use crate::NodeId;
use crate::change::Change;
use crate::error::{ChangeRefused, ProposeError};
use crate::limits::{HEARD_TICKS_MAX, MEMBERS_MAX, NAME_BYTES_MAX, PROMOTE_LAG_MAX};

impl Group {
    /// Proposes a change of membership. Its ticket comes back as that of other proposals.
    ///
    /// # Errors
    /// When it was not taken; nothing happened.
    pub fn change(&mut self, change: &Change, ticket: u64) -> Result<Place, ChangeRefused> {
        self.can_propose().map_err(ChangeRefused::Propose)?;
        if self.raw.raft.has_pending_conf() || self.members.is_joint() {
            return Err(ChangeRefused::UnderWay);
        }
        self.check_change(change)?;
        let place = self.place_of_next();
        self.propose_entry(entry_of(change), Some(ticket))?;
        Ok(place)
    }

    fn check_change(&self, change: &Change) -> Result<(), ChangeRefused> {
        match change {
            // The group proposes them itself.
            Change::Leave | Change::Bind { .. } => Err(ChangeRefused::UnderWay),
            Change::AddLearner(member) => {
                let next = self.members.id_max + 1;
                if member.id < next {
                    let id = member.id;
                    return Err(ChangeRefused::IdTaken { id, next });
                }
                if self.members.known.len() >= MEMBERS_MAX {
                    return Err(ChangeRefused::TooMany);
                }
                if member.name.len() > NAME_BYTES_MAX {
                    return Err(ChangeRefused::NameTooLong);
                }
                Ok(())
            }
            Change::Promote(id) => {
                self.check_promotion(*id)?;
                self.check_quorum(&[], &[*id])
            }
            Change::Replace { promote, remove } => {
                self.check_promotion(*promote)?;
                self.check_removal(*remove)?;
                self.check_quorum(&[*remove], &[*promote])
            }
            Change::Remove(id) => {
                self.check_removal(*id)?;
                if self.members.is_learner(*id) {
                    return Ok(());
                }
                self.check_quorum(&[*id], &[])
            }
        }
    }

    fn check_promotion(&self, id: NodeId) -> Result<(), ChangeRefused> {
        if !self.members.is_learner(id) {
            return Err(ChangeRefused::NoLearner(id));
        }
        if !self.is_healthy(id) {
            return Err(ChangeRefused::Silent(id));
        }
        let raft = &self.raw.raft;
        let progress = raft.prs().get(id);
        let has = progress.map_or(0, |progress| progress.matched);
        let lag = raft.raft_log.last_index().saturating_sub(has);
        // One that lacks what the log gave up waits for a checkpoint, however short the log is.
        let follows = has + 1 >= raft.raft_log.first_index()
            && progress.is_some_and(|p| p.state != raft::ProgressState::Snapshot);
        if lag > PROMOTE_LAG_MAX || !follows {
            return Err(ChangeRefused::Lagging { id, lag });
        }
        Ok(())
    }

    fn check_removal(&self, id: NodeId) -> Result<(), ChangeRefused> {
        if self.members.get(id).is_none() {
            return Err(ChangeRefused::NoMember(id));
        }
        if id == self.options.node {
            return Err(ChangeRefused::IsLeader(id));
        }
        Ok(())
    }

    /// Those who would be left must have a majority that is there.
    fn check_quorum(&self, without: &[NodeId], with: &[NodeId]) -> Result<(), ChangeRefused> {
        let left = self.members.voters.iter().chain(with);
        let left: Vec<_> = left.filter(|id| !without.contains(id)).collect();
        let healthy = left.iter().filter(|id| self.is_healthy(***id)).count();
        let voters = left.len();
        if healthy < voters / 2 + 1 {
            return Err(ChangeRefused::QuorumLost { voters, healthy });
        }
        Ok(())
    }

    /// Whether a node was heard of lately.
    pub(super) fn is_healthy(&self, id: NodeId) -> bool {
        let heard = self.heard.iter().find(|(node, _)| *node == id);
        id == self.options.node || heard.is_some_and(|(_, at)| at + HEARD_TICKS_MAX >= self.now)
    }

    /// Hands leadership over to a voter. While it is under way, proposals are refused.
    ///
    /// # Errors
    /// When it was not begun; nothing happened.
    pub fn transfer(&mut self, to: NodeId) -> Result<(), ChangeRefused> {
        self.can_propose().map_err(ChangeRefused::Propose)?;
        if !self.members.voters.contains(&to) {
            return Err(ChangeRefused::NoMember(to));
        }
        if to == self.options.node {
            return Err(ChangeRefused::IsLeader(to));
        }
        if !self.is_healthy(to) {
            return Err(ChangeRefused::Silent(to));
        }
        self.raw.transfer_leader(to);
        self.after_call();
        Ok(())
    }

    /// Hands leadership over because this node cannot go on: to a voter that was heard of lately,
    /// takes entries, is known to have some above `above`, and has most of them; to another one
    /// than the last time, if there are two. Says to whom, when it was begun.
    pub fn give_way(&mut self, above: u64) -> Option<NodeId> {
        if !self.is_leader() || self.raw.raft.lead_transferee.is_some() {
            return None;
        }
        let own = self.options.node;
        let can = |id: &NodeId| {
            *id != own
                && self.is_healthy(*id)
                && self.has(*id) > above
                && !self.holding.contains(id)
        };
        let mut voters: Vec<NodeId> = self.members.voters.iter().copied().filter(can).collect();
        if voters.len() > 1 {
            voters.retain(|id| self.gave_way_to != Some(*id));
        }
        let to = voters.into_iter().max_by_key(|id| self.has(*id))?;
        self.gave_way_to = Some(to);
        self.raw.transfer_leader(to);
        self.after_call();
        Some(to)
    }

    /// The members changed: what was heard of nodes that left, and by what incarnation others were
    /// met whose own is known now, is of no use.
    pub(super) fn forget_strangers(&mut self) {
        let members = &self.members;
        self.met.retain(|(id, _)| members.is_unbound(*id));
        self.heard.retain(|(id, _)| members.get(*id).is_some());
        self.holding.retain(|id| members.get(*id).is_some());
    }

    /// Makes known for good under which incarnation a member was first heard of.
    pub(super) fn bind(&mut self) {
        // Before it serves: it may have to bind the first voters to serve.
        let leads = self.is_leader() && self.raw.raft.lead_transferee.is_none();
        let can = leads && self.knows_its_log() && !self.raw.raft.has_pending_conf();
        if !can || self.members.is_joint() {
            return;
        }
        let unbound = self.members.known.iter().filter(|m| m.incarnation == 0);
        let mut found = unbound.filter_map(|member| {
            let met = self.met.iter().find(|(id, _)| *id == member.id);
            let own = (member.id == self.options.node).then_some(self.options.incarnation);
            Some((member.id, own.or(met.map(|(_, incarnation)| *incarnation))?))
        });
        let Some((id, incarnation)) = found.find(|(_, incarnation)| *incarnation != 0) else {
            return;
        };
        let change = Change::Bind {
            id,
            incarnation,
            is_learner: self.members.is_learner(id),
        };
        match self.propose_entry(entry_of(&change), None) {
            Ok(()) | Err(ProposeError::Busy(_)) => {}
            Err(error) => unreachable!("this node leads: {error}"),
        }
    }

    /// Ends a joint change whose leader was lost before it could.
    pub(super) fn leave_joint(&mut self) {
        let can = self.can_propose().is_ok() && !self.raw.raft.has_pending_conf();
        if !can || !self.members.is_joint() {
            return;
        }
        match self.propose_entry(entry_of(&Change::Leave), None) {
            Ok(()) | Err(ProposeError::Busy(_)) => {}
            Err(error) => unreachable!("this node leads: {error}"),
        }
    }
}

/// The library parses the data when it is proposed, and never again; what goes to disk and to
/// peers is the context.
fn entry_of(change: &Change) -> RaftEntry {
    let mut entry = RaftEntry::default();
    entry.set_entry_type(EntryType::EntryConfChangeV2);
    let data = protobuf::Message::write_to_bytes(&change.to_raft());
    entry.data = data.expect("a change is small").into();
    entry.context = change.encode().into();
    entry
}
