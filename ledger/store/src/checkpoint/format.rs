//! The bytes of a checkpoint's pieces; `docs/internals/checkpoint.md` has them as tables.

use giro_base::limits::BRANCH_TEXT_BYTES_MAX;
use giro_base::{Account, Transfer};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::format::{BalancesRecord, Record};

/// Sections of a piece, by their place in the header's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum PiecePart {
    /// One [`StateRecord`].
    State = 0,
    /// [`Account`]s made in the piece's generations, by slot.
    Accounts,
    /// [`ChangeRecord`]s of older accounts, by slot.
    Changes,
    /// [`PendingRecord`]s of transfers made in the piece's generations, by row.
    Opened,
    /// Rows of older pending transfers that ended, u64.
    Closed,
    /// [`SessionRecord`]s.
    Sessions,
    /// Bodies of replies, in units of 16 bytes.
    Replies,
    /// [`BranchRecord`]s of branches tried in the piece's generations, by row.
    Branches,
    /// [`Mark::group`](super::Mark::group) in units of 16 bytes, the first of which is its length;
    /// nothing in a ledger alone.
    Group,
}

/// Most bytes of [`Mark::group`](super::Mark::group).
pub const GROUP_BYTES_MAX: usize = 64 << 10;

impl Record for Account {}

/// Where the ledger was at the end of the piece's last generation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct StateRecord {
    /// Number of the last op.
    pub op: u64,
    /// Its timestamp (ns).
    pub timestamp: u64,
    /// Index of the log's record that has it.
    pub record: u64,
    /// Row behind the last one.
    pub rows_end: u64,
    /// Timestamp of the last transfer in the piece (ns); 0 without one.
    pub timestamp_last: u64,
    /// Slot of the first account made in the piece.
    pub slot_first: u64,
    /// Slot behind the last one.
    pub slots_end: u64,
    /// Zeros, so that what follows is aligned.
    pub reserved: u64,
    /// The digest.
    pub digest: u128,
    /// Zeros.
    pub rest: [[u8; 16]; 11],
}
impl Record for StateRecord {}
const _: () = assert!(size_of::<StateRecord>() == 256);

/// An account that was there before the piece, at the piece's end.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ChangeRecord {
    /// Its balances.
    pub balances: BalancesRecord,
    /// Its slot.
    pub slot: u32,
    /// Its flags.
    pub flags: u16,
    /// Zeros.
    pub reserved: [u8; 10],
}
impl Record for ChangeRecord {}

/// An open pending transfer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PendingRecord {
    /// The transfer.
    pub transfer: Transfer,
    /// Its row.
    pub row: u64,
    /// Slot of its debit account.
    pub debit: u32,
    /// Slot of its credit account.
    pub credit: u32,
}
impl Record for PendingRecord {}

/// An open branch: what its pending transfers do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BranchRecord {
    /// Row of its first leg.
    pub row: u64,
    /// Bytes of `gid` in use.
    pub gid_bytes: u8,
    /// Bytes of `branch_id` in use.
    pub branch_id_bytes: u8,
    /// Zeros.
    pub reserved: [u8; 6],
    /// The global transaction's id, and zeros.
    pub gid: [u8; BRANCH_TEXT_BYTES_MAX],
    /// The branch's id in it, and zeros.
    pub branch_id: [u8; BRANCH_TEXT_BYTES_MAX],
}
impl Record for BranchRecord {}
const _: () = assert!(size_of::<BranchRecord>() == 272);

impl BranchRecord {
    /// The record of the branch whose first leg is in this row.
    #[must_use]
    pub fn new(row: u64, gid: &[u8], branch_id: &[u8]) -> Self {
        let padded = |text: &[u8]| {
            let mut padded = [0; BRANCH_TEXT_BYTES_MAX];
            padded[..text.len()].copy_from_slice(text);
            padded
        };
        Self {
            row,
            gid_bytes: gid.len() as u8,
            branch_id_bytes: branch_id.len() as u8,
            reserved: [0; 6],
            gid: padded(gid),
            branch_id: padded(branch_id),
        }
    }

    /// Both texts; none if they are no texts of a branch.
    #[must_use]
    pub fn texts(&self) -> Option<(&str, &str)> {
        let text = |bytes, length: u8| {
            let text = <[u8]>::get(bytes, ..usize::from(length))?;
            let text = std::str::from_utf8(text).ok()?;
            (!text.is_empty()).then_some(text)
        };
        text(&self.gid, self.gid_bytes).zip(text(&self.branch_id, self.branch_id_bytes))
    }
}

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SessionRecord {
    /// The client.
    pub client: u128,
    /// Checksum of its last write's request.
    pub request_checksum: u128,
    /// The session's number.
    pub session: u64,
    /// The op that executed its last write.
    pub op: u64,
    /// Its timestamp (ns).
    pub timestamp: u64,
    /// Where the reply's body begins in its section, in units of 16 bytes.
    pub reply: u64,
    /// Number of its last write's request.
    pub request: u32,
    /// The client's release.
    pub release: u32,
    /// Bytes of the reply's body.
    pub reply_bytes: u32,
    /// What was asked for.
    pub operation: u8,
    /// 1 when the reply is in this piece, 0 when it is in an older one.
    pub has_reply: u8,
    /// Zeros.
    pub reserved: [u8; 50],
}
impl Record for SessionRecord {}
const _: () = assert!(size_of::<SessionRecord>() == 128);
