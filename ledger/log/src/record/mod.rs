//! The bytes of records: a header, then ops, each a header and a body. See `docs/internals/log.md`.
//!
//! What it guarantees: sealed records validate, and no input makes validation panic.
//!
//! Where to start reading: [`RecordHeader`], [`OpHeader`], [`ops`].

mod content;
mod header;
mod op;

pub use content::{Ops, ops, ops_of_payload, ops_of_valid_payload};
pub(crate) use content::{Scratch, seal, validate};
pub use header::{LogId, Mark, RecordHeader};
pub(crate) use header::{RECORD_VERSION, RECORD_VERSION_MARKED};
pub use op::{OpHeader, op_bytes};

/// Why bytes are not a valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// No header of this log and segment.
    #[error("there is no valid record header")]
    NoHeader,
    /// The header is whole, but of a layout this program doesn't know.
    #[error("the record has version {version} and group {group}: a newer Giro wrote it")]
    Version {
        /// The header's.
        version: u16,
        /// The header's.
        group: u16,
    },
    /// The header is whole and makes no sense.
    #[error("the record header's {0} is impossible")]
    Header(&'static str),
    /// The record does not follow the one before.
    #[error("the record is number {found}, not {expected}")]
    Index {
        /// What follows the record before.
        expected: u64,
        /// The header's.
        found: u64,
    },
    /// The hash chain does not continue.
    #[error("the record does not continue the hash chain of the records before it")]
    Chain,
    /// An op's header is damaged, or its length.
    #[error("op {op} of the record (at byte {at} of it) has a damaged header")]
    OpHeader {
        /// Which op of the record, from 0.
        op: u32,
        /// Where in the record.
        at: usize,
    },
    /// An op's body is damaged.
    #[error("op {op} of the record (at byte {at} of it) has a damaged body")]
    OpBody {
        /// Which op of the record, from 0.
        op: u32,
        /// Where in the record the op starts.
        at: usize,
    },
    /// The ops are not those the header was sealed with.
    #[error("the record's ops are not those of its header")]
    Content,
    /// Bytes that must be zero are not.
    #[error("byte {at} of the record must be zero")]
    Padding {
        /// Where in the record.
        at: usize,
    },
}
