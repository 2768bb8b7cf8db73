//! What is refused, and what ends a node.

use giro::BadOps;
use giro_log::LogError;
use giro_replication::{Refusal, StartError, Stop, replica_number};

/// Why a node cannot start, or must end.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The engine, its history, or the directory.
    #[error(transparent)]
    Engine(#[from] giro::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What the log has does not fit together, or not with the checkpoint.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The group wants this node to end.
    #[error(transparent)]
    Stop(#[from] Stop),
    /// A record is no entry's.
    #[error("record {record} of the log: {reason}; the log was written by something else")]
    Record {
        /// The record.
        record: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The checkpoint's part of the group.
    #[error(
        "the checkpoint's part of the group cannot be read: it was written by a newer release, or \
         is damaged; wipe the node and let it join as a new member"
    )]
    Mark,
    /// A verification was to end before the state that it begins with.
    #[error(
        "op {until} is before the checkpoint, which has all up to op {known_op}: the state behind \
         it is gone"
    )]
    BeforeCheckpoint {
        /// Where it was to end.
        until: u64,
        /// The checkpoint's last op.
        known_op: u64,
    },
    /// A verification was to end behind what is known to be committed.
    #[error(
        "op {until} is not known to be committed here, only all up to op {known_op}: another \
         member may know more, or the op is none yet"
    )]
    NotCommitted {
        /// Where it was to end.
        until: u64,
        /// The last op that is known to be committed.
        known_op: u64,
    },
    /// A fetched checkpoint could not be put in its place. Nothing is lost: start again when the
    /// cause is gone.
    #[error("the fetched checkpoint could not be put in its place: {0}")]
    Install(#[from] crate::transfer::TransferError),
}

impl NodeError {
    /// What this node promised to keep is lost, or its state cannot be trusted: it must never take
    /// part again under its id, and another one is to take its place.
    #[must_use]
    pub fn must_leave(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_damage(),
            Self::Log(error) => error.is_damage(),
            Self::Start(_) | Self::Stop(_) | Self::Mark => true,
            Self::Record { .. }
            | Self::BeforeCheckpoint { .. }
            | Self::NotCommitted { .. }
            | Self::Install(_) => false,
        }
    }
}

/// Why a frame was not taken. The group goes on; close the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The frame, or its sender.
    #[error(transparent)]
    Frame(#[from] Refusal),
    /// An entry that could not be executed.
    #[error(
        "replica {} sends entry {index}, which could not be executed: {reason}",
        replica_number(*.from)
    )]
    Ops {
        /// The sender.
        from: u64,
        /// The entry.
        index: u64,
        /// What is wrong with it.
        reason: BadOps,
    },
    /// What asks for a checkpoint cannot be read.
    #[error(transparent)]
    Hello(#[from] crate::transfer::BadHello),
    /// A node asks for a checkpoint and gets none.
    #[error("replica {} asks for a checkpoint: {reason}", replica_number(*.from))]
    Asks {
        /// Who.
        from: u64,
        /// Why not.
        reason: &'static str,
    },
}

/// The outcome of a frame that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Close the connection and go on.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// End the process.
    #[error(transparent)]
    Stop(#[from] NodeError),
}

impl From<giro_replication::ReceiveError> for ReceiveError {
    fn from(error: giro_replication::ReceiveError) -> Self {
        match error {
            giro_replication::ReceiveError::Refused(refusal) => Self::Refused(refusal.into()),
            giro_replication::ReceiveError::Stop(stop) => Self::Stop(stop.into()),
        }
    }
}

impl From<giro_replication::BadFrame> for ReceiveError {
    fn from(bad: giro_replication::BadFrame) -> Self {
        Self::Refused(Refusal::Bad(bad).into())
    }
}
