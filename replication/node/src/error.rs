//! What is refused, and what ends a node.

use giro::BadOps;
use giro_log::LogError;
use giro_replication::{Refusal, StartError, Stop};

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
    /// A fetched checkpoint could not be put in its place. Nothing is lost: start again when the
    /// cause is gone.
    #[error("the fetched checkpoint could not be put in its place: {0}")]
    Install(#[from] crate::transfer::TransferError),
}

/// Why a frame was not taken. The group goes on; close the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The frame, or its sender.
    #[error(transparent)]
    Frame(#[from] Refusal),
    /// An entry that could not be executed.
    #[error("node {from} sends entry {index}, which could not be executed: {reason}")]
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
    #[error("node {from} asks for a checkpoint: {reason}")]
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
