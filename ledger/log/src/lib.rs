//! The log: every request Giro acknowledges is a record here first, on stable storage.
//!
//! What it guarantees: a record reported durable survives any crash, and reading the log back
//! gives exactly the records that were appended, in order, or stops with the place that is
//! damaged. It never shortens a log behind a durable record.
//!
//! What it relies on: a write with O_DIRECT and O_DSYNC that completed without error is on stable
//! storage, and a sector is written whole or not at all.
//!
//! Where to start reading: `docs/internals/log.md`.

pub mod uring;

pub mod directory;
pub mod disk;
mod error;
mod log;
mod record;
mod recovery;
mod rewrite;
mod segment;
pub mod spares;
pub mod storage;

pub use directory::{DirLock, Identity, format, format_with_spares, read_identity, write_identity};
pub use disk::{Disk, MemoryDisk, UringDisk, Write};
pub use error::LogError;
pub use log::{IN_FLIGHT_MAX, Log, LogOptions, NewRecord, Positions};
pub use record::{
    Defect, LogId, Mark, OpHeader, Ops, RecordHeader, op_bytes, ops, ops_of_payload,
    ops_of_valid_payload,
};
pub use recovery::{Place, Recovery};
pub use rewrite::LogWriter;
pub use segment::{
    SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SegmentFile, segment_path,
};
