//! Back-pressure: a node whose execution does not keep up takes no more entries, and says so with
//! every frame. The others go on without it; it gets what it missed when it has room again, from
//! the log or as a checkpoint.

use raft::eraftpb::{Message, MessageType};

use super::Group;
use crate::NodeId;

impl Group {
    /// A peer says whether it takes entries.
    pub(super) fn hear_of_room(&mut self, from: NodeId, holds_back: bool) {
        self.holding.retain(|id| *id != from);
        // Others get no entries anyway, and there is no end to their numbers.
        if holds_back && self.members.get(from).is_some() {
            self.holding.push(from);
        }
    }

    /// A leader's message without its entries, when there is no room for them: what it says of the
    /// log before them, and of what is committed, still counts. To the leader they are lost.
    pub(super) fn without_what_is_too_much(&self, mut message: Message) -> Message {
        if self.backlog.is_full() && message.get_msg_type() == MessageType::MsgAppend {
            message.mut_entries().clear();
        }
        message
    }

    /// Whether it is of no use to send this: the peer would drop it.
    pub(super) fn is_too_much(&self, message: &Message) -> bool {
        message.get_msg_type() == MessageType::MsgAppend
            && !message.get_entries().is_empty()
            && self.holding.contains(&message.to)
    }

    /// Takes the answer to a heartbeat of a follower that has no room as a sign of life and no
    /// more: the library would have entries read for it, each time.
    pub(super) fn is_only_life_sign(&mut self, message: &Message) -> bool {
        let is_plain = message.get_msg_type() == MessageType::MsgHeartbeatResponse
            && message.context.is_empty()
            && message.term == self.raw.raft.term;
        if !is_plain || !self.is_leader() || !self.holding.contains(&message.from) {
            return false;
        }
        if let Some(progress) = self.raw.raft.mut_prs().get_mut(message.from) {
            progress.recent_active = true;
        }
        true
    }
}
