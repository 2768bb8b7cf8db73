//! The Rust client: async, on tokio.
//!
//! What it guarantees:
//!
//! - Every call ends by its deadline in one of three ways: done (`Ok`, with a status for each
//!   event), [`CallError::Refused`] (nothing happened and nothing will), or
//!   [`CallError::Unknown`] (it was sent and may have happened). [`Client::resolve`] tells by id
//!   what became of unknown transfers.
//! - A request is sent again byte for byte until it is answered or given up, over as many
//!   connections as it takes; the server's sessions see to it that it happens once.
//! - Calls that run at the same time share messages: what waits when a session becomes free leaves
//!   together, or in two messages if it is many calls. Each call stays a batch of its own, so
//!   linked chains and results are never mixed up. Between calls that run at the same time there
//!   is no order.
//! - Of a group of replicas it finds the leader with any list of addresses that has it. Addresses
//!   where nobody answers, or somebody else does, cost at most [`ClientOptions::silence_max`] each,
//!   and more only when none has answered.
//!
//! What it relies on: the protocol as Giro's server speaks it (`docs/reference/protocol.md`):
//! several sessions on one connection, and refusals for who asks for them.
//!
//! Where to start reading: [`Client`], then `conductor` (sessions and their requests, without
//! I/O), then `driver` (the task that owns the socket) and `choice` (which address is next).
#![forbid(unsafe_code)]

/// README.md's examples, which must compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod branches;
mod call;
mod changes;
mod choice;
mod client;
mod conductor;
mod dial;
mod driver;
mod error;
mod inbox;
mod options;
mod outbox;
mod outcome;
mod queue;
mod session;

pub use changes::{Change, Changes};
pub use client::{Client, new_id};
pub use error::{CallError, ConnectError, Refusal, Uncertainty};
pub use giro_base::branch::{
    BranchAnswer, BranchBodyError, BranchId, BranchInfo, BranchKey, BranchRefusal, BranchState,
    BranchStatus, ConfirmBranch, Leg, OpenBranch, OpenBranchesFilter, TryBranch,
};
pub use giro_base::change::{ChangeEventsFilter, ChangedAccount, PositionError};
pub use giro_base::filter::{AccountBalance, AccountFilter, QueryFilter};
pub use giro_base::{
    Account, AccountFlags, ChangeEvent, ChangeKind, CreateAccountStatus, CreateTransferStatus,
    Position, Transfer, TransferFlags,
};
pub use giro_wire::{AddressError, EvictionReason, Release};
pub use options::ClientOptions;
pub use outcome::{AccountResult, Fate, TransferResult};
