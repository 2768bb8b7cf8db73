//! What the ledger says of branches when asked.

use num_enum::{IntoPrimitive, TryFromPrimitive};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::limits::BRANCH_TEXT_BYTES_MAX;

/// Where a branch stands.
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
#[repr(u8)]
pub enum BranchState {
    /// Never heard of.
    None = 0,
    /// Open: its amounts are reserved.
    Tried = 1,
    /// Posted.
    Confirmed = 2,
    /// Its amounts were given back.
    Cancelled = 3,
    /// Cancelled before it was tried: it never can be.
    Suspended = 4,
    /// Its time was over, and its amounts were given back.
    Expired = 5,
    /// An ordinary transfer has the id of its first leg.
    IdTaken = 6,
}

/// A branch's state, as `lookup_branches` answers it (64 bytes).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct BranchInfo {
    /// The branch's [`BranchId`](super::BranchId): the id of its first leg's pending transfer.
    pub id: u128,
    /// When it was tried (ns); 0 if never.
    pub tried_at: u64,
    /// When it was confirmed or cancelled, or was due (ns); 0 if open, and of an empty cancel.
    pub settled_at: u64,
    /// Seconds it had; 0 is for ever.
    pub timeout: u32,
    /// A [`BranchState`].
    pub state: u8,
    /// Number of legs.
    pub legs: u8,
    /// Zeros.
    pub reserved: [u8; 26],
}

const _: () = assert!(size_of::<BranchInfo>() == 64);

/// Selects open branches, for `list_branches` (64 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OpenBranchesFilter {
    /// Only branches with a leg on this account; 0 is any.
    pub account_id: u128,
    /// Go on behind this branch: `id` of the last one that the reply before had; 0 at first.
    pub after: u128,
    /// Go on behind this time: `tried_at` of the same (ns).
    pub after_tried_at: u64,
    /// Only branches tried at this time or before (ns); 0 is any.
    pub tried_at_max: u64,
    /// Most branches; not 0, and at most [`OPEN_BRANCHES_MAX`](crate::limits::OPEN_BRANCHES_MAX)
    /// come.
    pub limit: u32,
    /// Zeros.
    pub reserved: [u8; 12],
}

const _: () = assert!(size_of::<OpenBranchesFilter>() == 64);

impl Default for OpenBranchesFilter {
    /// Everything 0, which is not valid yet: set the limit.
    fn default() -> Self {
        Self::new_zeroed()
    }
}

/// An open branch, oldest first (320 bytes). One without legs is no branch: the ledger stopped
/// looking there, to go on behind it when asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OpenBranch {
    /// The branch's [`BranchId`](super::BranchId).
    pub id: u128,
    /// When it was tried (ns).
    pub tried_at: u64,
    /// Seconds it has; 0 is for ever.
    pub timeout: u32,
    /// Number of legs.
    pub legs: u8,
    /// Bytes of `gid` in use.
    pub gid_bytes: u8,
    /// Bytes of `branch_id` in use.
    pub branch_id_bytes: u8,
    /// Zeros.
    pub reserved: [u8; 33],
    /// Id of the global transaction, and zeros.
    pub gid: [u8; BRANCH_TEXT_BYTES_MAX],
    /// Id of the branch in it, and zeros.
    pub branch_id: [u8; BRANCH_TEXT_BYTES_MAX],
}

const _: () = assert!(size_of::<OpenBranch>() == 320);

impl OpenBranch {
    /// Both texts. What is no text, which the ledger never sends, is empty.
    #[must_use]
    pub fn key(&self) -> (&str, &str) {
        let text = |bytes, length: u8| {
            let text = <[u8]>::get(bytes, ..usize::from(length)).unwrap_or_default();
            std::str::from_utf8(text).unwrap_or_default()
        };
        (
            text(&self.gid, self.gid_bytes),
            text(&self.branch_id, self.branch_id_bytes),
        )
    }
}
