//! Branches of a TCC transaction: what requests say and what they are answered
//! (`docs/reference/tcc.md`).
//!
//! A branch is known by two texts. Its legs are transfers whose ids are worked out from them
//! ([`BranchId`]), so that a branch needs no store of its own.

mod answer;
mod body;
mod id;
mod open;
mod request;
mod status;

pub use self::answer::{BranchAnswer, BranchRefusal};
pub use self::body::{BranchBodyError, Branches, MAX_TICKS, encode, merge};
pub use self::id::{BranchId, LegKind};
pub use self::open::{BranchInfo, BranchState, OpenBranch, OpenBranchesFilter};
pub use self::request::{
    ArchivedBranchKey, ArchivedConfirmBranch, ArchivedLeg, ArchivedTryBranch, BranchKey,
    ConfirmBranch, Leg, TryBranch,
};
pub use self::status::{BranchResult, BranchStatus, LEG_NONE};
