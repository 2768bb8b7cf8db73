//! What an operator wants to know.

use super::Group;
use super::types::RoleChange;
use crate::NodeId;
use crate::roll::RollStatus;

/// How a node sees its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub node: NodeId,
    /// Its role, and who leads.
    pub role: RoleChange,
    /// Its last entry.
    pub last: u64,
    /// The last one durable here.
    pub durable: u64,
    /// The last one known committed.
    pub committed: u64,
    /// The last one executed.
    pub executed: u64,
    /// Bytes of committed entries that wait for execution.
    pub backlog_bytes: usize,
    /// So many that no more entries are taken for now.
    pub holds_back: bool,
    /// Proposals that wait to be committed.
    pub in_flight: usize,
    /// Ticks since the oldest write under way was started. Above a third of the shortest election
    /// time-out it is time to look at the disk.
    pub stalled_ticks: u64,
    /// Why the group has not begun; none when it has.
    pub roll: Option<RollStatus>,
    /// The others, as the leader sees them; empty elsewhere.
    pub peers: Vec<PeerStatus>,
}

/// How a leader sees a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who.
    pub node: NodeId,
    /// Its storage counts.
    pub is_voter: bool,
    /// It was heard of lately.
    pub is_healthy: bool,
    /// Entries it is known to have.
    pub has: u64,
    /// Entries it lacks.
    pub lag: u64,
    /// It takes no entries for now: its execution has to keep up first.
    pub holds_back: bool,
}

impl Group {
    /// The last entry that is durable here. What a leader has handed out is, whether or not the
    /// library was told of it.
    fn durable(&self) -> u64 {
        let handed = if self.is_leader() { self.handed } else { 0 };
        self.raw.raft.raft_log.persisted.max(handed)
    }

    /// The last entry that a node is known to have on stable storage, as this leader sees it; of
    /// this node, as it is.
    #[must_use]
    pub fn has(&self, id: NodeId) -> u64 {
        let raft = &self.raw.raft;
        if id == self.options.node {
            return self.durable();
        }
        if !self.is_leader() {
            return 0;
        }
        raft.prs().get(id).map_or(0, |progress| progress.matched)
    }

    /// Ticks since the oldest write under way was started.
    #[must_use]
    pub fn stalled_ticks(&self) -> u64 {
        self.flights.oldest().map_or(0, |at| self.now - at)
    }

    /// How this node sees the group.
    #[must_use]
    pub fn status(&self) -> Status {
        let raft = &self.raw.raft;
        let last = self.place_of_next().index - 1;
        let peer = |id: NodeId| {
            let has = self.has(id);
            PeerStatus {
                node: id,
                is_voter: self.members.is_voter(id),
                is_healthy: self.is_healthy(id),
                has,
                lag: last.saturating_sub(has),
                holds_back: self.holding.contains(&id),
            }
        };
        let others = self.members.known.iter().map(|member| member.id);
        let others = others.filter(|id| self.is_leader() && *id != self.options.node);
        Status {
            node: self.options.node,
            role: self.role,
            last,
            durable: self.durable(),
            committed: raft.raft_log.committed.max(self.handed),
            executed: self.executed,
            backlog_bytes: self.backlog.bytes(),
            holds_back: self.backlog.is_full(),
            in_flight: self.proposals.len() + self.untold.in_flight(),
            stalled_ticks: self.stalled_ticks(),
            roll: self.roll(),
            peers: others.map(peer).collect(),
        }
    }
}
