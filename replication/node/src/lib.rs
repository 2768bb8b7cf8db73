//! One node whole: the engine, its log and its part in the group, recovered from a directory.
//!
//! [`Replica`] does no I/O beside opening, has no thread of its own for it, and reads no clock:
//! ticks, frames, requests and completed writes go in; writes, frames and replies come out. The
//! server's reactor and the simulator drive the same code.
//!
//! What it guarantees: nothing is executed that is not committed and durable here; nothing is
//! answered that was not proposed here in the term it was committed in; an entry that could not be
//! executed is refused before the log or the group has seen it; what the disk has is enough to go
//! on after any crash.
//!
//! What it relies on: a write reported without error is on stable storage.
//!
//! Where to start reading: `docs/internals/replication.md`, then [`Replica::flush`].

#![forbid(unsafe_code)]

mod aligned;
mod error;
mod files;
mod found;
mod gate;
mod journal;
mod life;
mod mark;
mod old;
mod options;
mod places;
mod replica;
pub mod transfer;
mod wal;

pub use self::{
    aligned::aligned,
    error::{NodeError, ReceiveError, Refused},
    files::{
        CopiedMember, CopyError, Executed, Fate, LogStanding, MemberFiles, Owner, VerifiedMember,
        VerifyStage, copy_member,
    },
    found::{FoundLog, content_of},
    gate::{GateOptions, GateStatus},
    journal::Event,
    mark::{GroupMark, MARK_VERSION},
    old::{OldEntries, OldEntriesError},
    options::ReplicaOptions,
    replica::{Beginning, Replica, Standing},
};
