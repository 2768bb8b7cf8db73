//! The state machine: accounts, transfers, and the rules that money moves by.
//!
//! It is pure. Time, requests and memory for replies are arguments; there is no I/O, clock,
//! thread or randomness, so the same requests give the same state on every machine. Semantics
//! are those of `docs/reference/state-machine.md`.
//!
//! An operation runs in three phases, so that a batch waits for memory once and not once an
//! event, and so that several shards can share the expensive part:
//!
//! 1. *resolve* ([`shard::Shard`]): for the keys it owns, each shard looks up where accounts, ids
//!    and pending transfers lie, and writes that to the [`scratch::Scratch`]. Changes nothing.
//! 2. *decide* ([`decide`]): one walk over the events in order runs the ladder of checks, changes
//!    balances and fixes every outcome. No hashing, no I/O, no allocation.
//! 3. *apply* ([`shard::Shard`]): each shard inserts the new ids it owns.
//!
//! [`StateMachine`] ties them together. What it guarantees: debits equal credits in every ledger
//! after every operation (asserted), and results that do not depend on the number of shards.

#![forbid(unsafe_code)]

pub mod archive;
pub mod batch;
pub mod branches;
pub mod changes;
pub mod conservation;
pub mod decide;
pub mod digest;
pub mod encode;
mod ends;
pub mod expiry;
mod fill;
pub mod generation;
pub mod index;
pub mod machine;
pub mod pendings;
pub mod phase;
pub mod place;
pub mod query;
pub mod replay;
pub mod restore;
pub mod scratch;
pub mod shard;
pub mod tables;
pub mod window;

pub use batch::Batch;
pub use digest::Digest;
pub use fill::{Fill, make_resident};
pub use machine::{Options, StateMachine};
