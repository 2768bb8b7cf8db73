//! What is refused, and what stops a node. Texts have the numbers of replicas, as people do.

use crate::codec::BadFrame;
use crate::divergence::Diverged;
use crate::{NodeId, replica_number as number};

/// Why a frame was not taken. The group goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are no frame.
    #[error(transparent)]
    Bad(#[from] BadFrame),
    /// The sender belongs to another ledger.
    #[error("replica {} belongs to cluster {found:#x}; check the addresses", number(*.from))]
    OtherCluster {
        /// The sender.
        from: NodeId,
        /// Its cluster.
        found: u128,
    },
    /// The sender was formatted for another group of the same cluster id.
    #[error(
        "node {from} has another cluster key than this node, or its group began with another \
         number of replicas: look at what both were formatted with (--cluster-key and \
         --replica-count)"
    )]
    OtherOrigin {
        /// The sender.
        from: NodeId,
    },
    /// The sender belongs to another group of this ledger.
    #[error("replica {} belongs to group {found}", number(*.from))]
    OtherGroup {
        /// The sender.
        from: NodeId,
        /// Its group.
        found: u16,
    },
    /// The frame is for another node.
    #[error(
        "replica {} wants replica {}; this is another one: check the addresses",
        number(*.from),
        number(*.to)
    )]
    NotForUs {
        /// The sender.
        from: NodeId,
        /// Whom it wants.
        to: NodeId,
    },
    /// The sender has our id.
    #[error("another process says it is this node: stop one of them")]
    Ourselves,
    /// The sender was removed from the group.
    #[error(
        "replica {} was removed from the group and cannot come back under this number",
        number(*.from)
    )]
    Removed {
        /// The sender.
        from: NodeId,
    },
    /// The sender has the id of a member, and is another node.
    #[error(
        "replica {} has incarnation {found:#x}, the member of this number has {expected:#x}: \
         numbers are never given twice",
        number(*.from)
    )]
    ReusedId {
        /// The sender.
        from: NodeId,
        /// What it says.
        found: u64,
        /// The member's.
        expected: u64,
    },
}

/// Why this node must stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// A leader counts on entries that this node had acknowledged and does not have.
    #[error(
        "replica {} knows that this one had entry {committed}, but its log ends at {last}: \
         acknowledged records are lost",
        number(*.leader)
    )]
    LostRecords {
        /// Who knows.
        leader: NodeId,
        /// What this node had.
        committed: u64,
        /// What it has.
        last: u64,
    },
    /// A leader's log is not what was committed here.
    #[error(
        "replica {} says that entry {index} is of term {theirs}; here it was committed in term \
         {ours}: one of the two logs is damaged",
        number(*.leader)
    )]
    Contradiction {
        /// The other node.
        leader: NodeId,
        /// The entry.
        index: u64,
        /// Its term there.
        theirs: u64,
        /// Its term here.
        ours: u64,
    },
    /// The states differ.
    #[error(transparent)]
    Diverged(#[from] Diverged),
    /// An entry cannot be added to what there is.
    #[error("a committed change of membership cannot be applied: {0}")]
    Change(String),
}

/// The outcome of a frame that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// Close the connection and go on.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// End the process.
    #[error(transparent)]
    Stop(#[from] Stop),
}

impl From<BadFrame> for ReceiveError {
    fn from(bad: BadFrame) -> Self {
        Self::Refused(bad.into())
    }
}

/// Why a leader takes no proposal now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// It has not executed its term's first entry.
    #[error("the new leader still executes what its predecessors left")]
    NotServing,
    /// It hands its role over.
    #[error("leadership is being handed over")]
    Transferring,
    /// Too much is not committed yet.
    #[error("too many bytes wait to be committed")]
    Full,
}

/// Why a proposal or a read was not taken: nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Ask another node.
    #[error("this node does not lead{}", hint(*.leader))]
    NotLeader {
        /// Who does, if it is known.
        leader: Option<NodeId>,
    },
    /// Ask again.
    #[error(transparent)]
    Busy(#[from] Busy),
}

fn hint(leader: Option<NodeId>) -> String {
    leader.map_or_else(String::new, |id| format!("; node {id} does"))
}

/// Why a change of membership was not taken: nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// As for proposals.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// One at a time.
    #[error("another change is under way: wait until it is done")]
    UnderWay,
    /// Ids are never given twice.
    #[error("id {id} was given before; the next free one is {next}")]
    IdTaken {
        /// The wanted one.
        id: NodeId,
        /// One that is free.
        next: NodeId,
    },
    /// The group knows as many nodes as it can.
    #[error("the group has as many nodes as it can have")]
    TooMany,
    /// The name is too long.
    #[error("the node's name is longer than 255 bytes")]
    NameTooLong,
    /// Only learners can be promoted.
    #[error("node {0} is no learner")]
    NoLearner(NodeId),
    /// The node is not in the group.
    #[error("node {0} is no member")]
    NoMember(NodeId),
    /// The learner would hold the group up.
    #[error("node {id} lags {lag} entries behind; wait until it has caught up")]
    Lagging {
        /// The learner.
        id: NodeId,
        /// Entries it lacks.
        lag: u64,
    },
    /// The node was not heard of lately.
    #[error("node {0} was not heard of lately")]
    Silent(NodeId),
    /// The leader cannot remove itself.
    #[error("node {0} leads: hand leadership over first")]
    IsLeader(NodeId),
    /// The group would not have a majority.
    #[error("of {voters} voters that would be left only {healthy} were heard of lately")]
    QuorumLost {
        /// Voters after the change.
        voters: usize,
        /// Of them, how many are there.
        healthy: usize,
    },
}

/// Why a group cannot start from what its log has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// More is committed than there is: records are lost.
    #[error("entry {commit} was committed, but the log ends at {last}: records are lost")]
    CommitAboveLog {
        /// Known committed.
        commit: u64,
        /// The last entry.
        last: u64,
    },
    /// What the caller gave does not fit together.
    #[error("the log's entries do not fit together: {0}")]
    Inconsistent(&'static str),
}
