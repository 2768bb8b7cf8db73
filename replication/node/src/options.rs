//! What can be chosen at each opening.

use giro_replication::{Members, NodeId};

use crate::gate::GateOptions;

/// What can be chosen at each opening of a node's directory.
#[derive(Clone, Debug)]
pub struct ReplicaOptions {
    /// The engine's. All nodes of a group have the same `sessions_max`, and room for as much.
    pub engine: giro::Options,
    /// This node.
    pub node: NodeId,
    /// Drawn when this node's directory was made.
    pub incarnation: u64,
    /// Fixes the election time-outs; any number.
    pub seed: u64,
    /// A node with a lower priority loses an election against an equal log.
    pub priority: i64,
    /// The members that the group began with, the same at every start and on every node: later
    /// ones come from the log.
    pub members: Members,
    /// Bytes of entries kept in memory for peers that lag.
    pub window_bytes: usize,
    /// Bytes of committed entries that wait for execution, from which on this node takes no more
    /// entries: the others go on without it.
    pub backlog_bytes: usize,
    /// Bytes of entries that the log keeps behind a checkpoint, for peers that lag more.
    pub kept_bytes: u64,
    /// Own groups that are not committed from which on small requests gather instead of making an
    /// entry of their own.
    pub gather_from: usize,
    /// Replies to writes wait for these replicas, too. The same on every node: each may lead.
    pub gate: Option<GateOptions>,
}

impl ReplicaOptions {
    /// The defaults, for this node of a group that began with `members`.
    #[must_use]
    pub fn new(node: NodeId, incarnation: u64, members: Members) -> Self {
        Self {
            engine: giro::Options::default(),
            node,
            incarnation,
            seed: node,
            priority: 0,
            members,
            window_bytes: 64 << 20,
            backlog_bytes: 64 << 20,
            kept_bytes: 256 << 20,
            gather_from: 2,
            gate: None,
        }
    }
}
