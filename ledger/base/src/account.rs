//! The account record (128 bytes; `docs/reference/protocol.md`, section "Records").

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An account: an identity, four running totals, and what never changes after creation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Account {
    /// Chosen by the client; neither 0 nor `u128::MAX`.
    pub id: u128,
    /// Amounts reserved on the debit side by open pending transfers.
    pub debits_pending: u128,
    /// Amounts posted on the debit side.
    pub debits_posted: u128,
    /// Amounts reserved on the credit side by open pending transfers.
    pub credits_pending: u128,
    /// Amounts posted on the credit side.
    pub credits_posted: u128,
    /// Free for the user.
    pub user_data_128: u128,
    /// Free for the user.
    pub user_data_64: u64,
    /// Free for the user.
    pub user_data_32: u32,
    /// Zero on the wire.
    pub reserved: u32,
    /// Currency or asset; transfers connect accounts of one ledger only.
    pub ledger: u32,
    /// The user's reason or kind; not 0.
    pub code: u16,
    /// See [`AccountFlags`].
    pub flags: u16,
    /// When it was created (ns); assigned by the ledger, or by the user when imported.
    pub timestamp: u64,
}

const _: () = assert!(size_of::<Account>() == 128);

/// The bits of [`Account::flags`].
pub struct AccountFlags;

impl AccountFlags {
    /// The next event's fate is tied to this one's.
    pub const LINKED: u16 = 1;
    /// Refuse transfers that would make debits exceed posted credits.
    pub const DEBITS_MUST_NOT_EXCEED_CREDITS: u16 = 2;
    /// Refuse transfers that would make credits exceed posted debits.
    pub const CREDITS_MUST_NOT_EXCEED_DEBITS: u16 = 4;
    /// Keep the balances after each transfer for queries.
    pub const HISTORY: u16 = 8;
    /// The timestamp is the user's.
    pub const IMPORTED: u16 = 16;
    /// No further transfers, except to void pending ones.
    pub const CLOSED: u16 = 32;
    /// Every bit that has a meaning.
    pub const ALL: u16 = 0b11_1111;
}
