//! The ledger as a library: the state machine, its shards, its log and its sessions, driven as
//! one.
//!
//! Two ways in:
//!
//! - [`Ledger`] is what a service links: a cloneable handle for many threads, blocking or async.
//!   It runs an engine on a thread of its own.
//!   [`TccParticipant`] is a branch's side of it: reserve, confirm, cancel.
//! - [`Engine`] is what the server's reactor drives on its own thread: requests go in, writes to
//!   the disk come out, completions go in, replies come out. It never blocks.
//!
//! What it guarantees: a reply is handed out only after the log record of its operation is
//! durable, operations take effect one after another in the order of the log, and replaying the
//! log gives the same state, sessions and digest.
//!
//! Where to start reading: [`engine::Engine::execute`].

#[cfg(not(loom))]
pub mod backup;
#[cfg(not(loom))]
pub mod engine;
#[cfg(not(loom))]
pub mod error;
#[cfg(not(loom))]
pub mod executor;
#[cfg(not(loom))]
mod feed;
#[cfg(not(loom))]
mod group;
mod handover;
#[cfg(not(loom))]
pub mod ledger;
#[cfg(not(loom))]
mod lookup;
#[cfg(not(loom))]
pub mod open;
#[cfg(not(loom))]
mod overdue;
#[cfg(not(loom))]
pub mod past;
#[cfg(not(loom))]
mod queue;
#[cfg(not(loom))]
mod reading;
#[cfg(not(loom))]
mod restore;
#[cfg(not(loom))]
pub mod session;
#[cfg(not(loom))]
pub mod tcc;
#[cfg(not(loom))]
pub mod verify;

#[cfg(not(loom))]
pub use self::{
    engine::{BadOps, Engine, EntryOps, OpPlace, TakenGroup, check_ops},
    error::Error,
    executor::Executor,
    feed::FeedTurn,
    ledger::{Change, Changes, Ledger},
    open::{AtCheckpoint, CheckpointPlace, Options, Progress},
    past::Past,
    reading::ReadTurn,
    session::{DropReason, EvictReason, Reply, RequestMeta, Sessions, Verdict},
    tcc::TccParticipant,
};
#[cfg(not(loom))]
pub use giro_core::Digest;

#[cfg(not(loom))]
pub use giro_base::{
    Account, AccountFlags, ChangeEvent, ChangeKind, CreateAccountStatus, CreateTransferStatus,
    Operation, Position, Transfer, TransferFlags, change::ChangeEventsFilter,
};
