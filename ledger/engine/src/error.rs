//! What can go wrong with a ledger as a whole.

use std::io;

use giro_base::branch::BranchBodyError;
use giro_log::LogError;
use giro_store::StoreError;

/// Why a ledger cannot be opened, or a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log or the directory.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The history on disk.
    #[error(transparent)]
    History(#[from] StoreError),
    /// The system has no address space or threads for the ledger.
    #[error("cannot set up {what}: {source}; fewer accounts, sessions or buffers need less")]
    Memory {
        /// What it was for.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel's io_uring.
    #[error("{0}")]
    Ring(io::Error),
    /// The log holds an operation this release does not know.
    #[error(
        "record {index} holds operation {operation}, which this release does not know: the ledger \
         was written by a newer one"
    )]
    UnknownOperation {
        /// The record.
        index: u64,
        /// The operation's number.
        operation: u8,
    },
    /// The log's operations do not follow one another.
    #[error(
        "record {index} holds op {op} where op {expected} belongs: the log is not this ledger's"
    )]
    OpOutOfOrder {
        /// The record.
        index: u64,
        /// The op found.
        op: u64,
        /// The op that follows the one before.
        expected: u64,
    },
    /// More events than one request takes.
    #[error("{events} events in one request; at most {events_max}")]
    TooManyEvents {
        /// How many there were.
        events: usize,
        /// How many it takes.
        events_max: usize,
    },
    /// The ledger keeps its past in the history, and its log alone is not enough any more.
    #[error(
        "the ledger's older transfers are in its history, and its log no longer has them: open it \
         with `archive = true`"
    )]
    ArchiveNeeded,
    /// The log is that of a member of a group.
    #[error(
        "the ledger is a member of a group of nodes, and only they know what of its log counts"
    )]
    Grouped,
    /// A verification found a transfer in the history that its op did not ask for.
    #[error(
        "record {record}, op {op}: the history has transfer {id} at timestamp {timestamp}, which \
         is not what the log asked for. One of them is not this ledger's; restore it from a backup"
    )]
    LogAndHistoryDiffer {
        /// The log's record.
        record: u64,
        /// The op.
        op: u64,
        /// The id of the transfer in the history.
        id: u128,
        /// Its timestamp (ns).
        timestamp: u64,
    },
    /// A request about branches that the ledger does not take. Nothing was done.
    #[error(transparent)]
    Branches(#[from] BranchBodyError),
    /// The ledger has as many accounts or transfers as it was opened for. Nothing was done.
    #[error("the ledger is full: open it with room for more accounts or transfers")]
    Full,
    /// The ledger stopped before the request's outcome was known. It may have taken effect; the
    /// same request again tells.
    #[error("the ledger stopped; whether the request took effect shows when it is sent again")]
    Unknown,
}

impl Error {
    /// What was durable cannot be read any more, or is not this ledger's.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Log(error) => error.is_damage(),
            Self::History(error) => error.is_damage(),
            Self::OpOutOfOrder { .. } | Self::LogAndHistoryDiffer { .. } => true,
            _ => false,
        }
    }
}
