//! What a request about a branch is answered.

use num_enum::{IntoPrimitive, TryFromPrimitive};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What became of one branch of a request. `docs/reference/tcc.md` has the whole table.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    TryFromPrimitive,
    IntoPrimitive,
    Display,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
#[repr(u16)]
pub enum BranchStatus {
    /// It took effect.
    Done = 1,
    /// It took effect before, by an equal request, or has nothing to do any more.
    DoneBefore = 2,
    /// Try: a leg was refused, for a reason that may pass. Nothing is kept.
    LegRefused = 3,
    /// Try: the branch was tried with other content, or settled after such a try.
    Differs = 4,
    /// Try: it comes too late. Confirm: an anomaly.
    Cancelled = 5,
    /// Try: it comes after its cancel, and is refused for ever. Confirm: an anomaly.
    Suspended = 6,
    /// Cancel: an anomaly.
    Confirmed = 7,
    /// Try or confirm: the branch's time was over.
    Expired = 8,
    /// Confirm: there was no try. An anomaly.
    NotTried = 9,
    /// Confirm: it was confirmed with other amounts.
    AmountsDiffer = 10,
    /// Confirm: not one amount for each leg. Nothing was done.
    AmountsMissing = 11,
    /// Confirm: more than the leg has reserved. Nothing was done.
    AmountExceedsReserved = 12,
    /// An ordinary transfer has the id of a leg, or had it and failed for good.
    IdTaken = 13,
    /// The request's branches have too many legs together. Nothing was done; ask for this one
    /// again in a smaller request.
    RequestTooLarge = 14,
    /// Try: as many branches are open as the ledger has room for. Nothing is kept.
    TooManyOpen = 15,
}

impl BranchStatus {
    /// Whether the caller has what it asked for.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::Done | Self::DoneBefore)
    }
}

/// One for each branch of a request, in order (16 bytes).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct BranchResult {
    /// Of `done` and `done_before`: when it took effect (ns), which is the timestamp of its first
    /// transfer; when an expired branch was due. Of an empty cancel and all refusals: the
    /// request's own.
    pub timestamp: u64,
    /// A [`BranchStatus`].
    pub status: u16,
    /// The leg that `leg_status` is about; [`LEG_NONE`] without one.
    pub leg: u16,
    /// A [`CreateTransferStatus`](crate::CreateTransferStatus): why the leg was refused, or which
    /// field differs. 0 where there is none.
    pub leg_status: u32,
}

const _: () = assert!(size_of::<BranchResult>() == 16);

/// No leg.
pub const LEG_NONE: u16 = u16::MAX;
