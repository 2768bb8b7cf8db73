//! Replication: a group of nodes that agree on one log.
//!
//! [`Group`] is Raft behind one adapter. It does no I/O, reads no clock and draws no random
//! numbers: ticks, frames, proposals and completed writes go in; frames, writes, committed entries
//! and answers come out ([`Output`]). The server's reactor and the simulator drive the same code.
//!
//! What it guarantees: a vote or an acknowledgement leaves only behind the write it promises; an
//! entry is handed to execution only when a majority has it on stable storage, and this node too;
//! when a leader loses its role, what was in flight is reported as unknown; a peer's bytes are
//! checked before they are believed, and never panic.
//!
//! What it relies on: a write that was reported with [`Group::persisted`] survives any crash.
//!
//! Where to start reading: `docs/internals/replication.md`, then [`Group::poll`].

#![forbid(unsafe_code)]

mod backlog;
pub mod change;
pub mod codec;
mod divergence;
pub mod entry;
mod error;
mod flights;
pub mod group;
pub mod limits;
pub mod members;
mod pending;
pub mod replay;
mod roll;
pub mod timing;
mod untold;
pub mod view;
mod window;

pub use self::{
    change::Change,
    codec::{BadFrame, Frame},
    divergence::Diverged,
    entry::{Entry, EntryKind, Hard, Payload},
    error::{Busy, ChangeRefused, ProposeError, ReceiveError, Refusal, StartError, Stop},
    group::{
        Checkpoint, Commit, CommitContent, Fetch, Group, Install, LentWrite, Options, Outgoing,
        Output, Place, Role, RoleChange, Start, Status, Write,
    },
    members::{Member, Members},
    replay::{Content, Replay},
    roll::RollStatus,
    view::view,
};

/// A node's number in its group; never given twice, and never 0.
pub type NodeId = u64;

/// What people call a node: the number of its replica, which is one less than its id.
#[must_use]
pub const fn replica_number(id: NodeId) -> u64 {
    id.saturating_sub(1)
}
