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
