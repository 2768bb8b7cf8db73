//! The filters of queries and the rows that only queries return.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Selects an account's transfers or balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AccountFilter {
    /// The account.
    pub account_id: u128,
    /// Only transfers with this value; 0 is any.
    pub user_data_128: u128,
    /// Only transfers with this value; 0 is any.
    pub user_data_64: u64,
    /// Only transfers with this value; 0 is any.
    pub user_data_32: u32,
    /// Only transfers with this code; 0 is any.
    pub code: u16,
    /// Zero.
    pub reserved: [u8; 58],
    /// First timestamp (ns, inclusive); 0 is unbounded.
    pub timestamp_min: u64,
    /// Last timestamp (ns, inclusive); 0 is unbounded.
    pub timestamp_max: u64,
    /// Most rows; not 0.
    pub limit: u32,
    /// See [`AccountFilter::DEBITS`], [`AccountFilter::CREDITS`], [`AccountFilter::REVERSED`].
    pub flags: u32,
}

const _: () = assert!(size_of::<AccountFilter>() == 128);

impl Default for AccountFilter {
    /// Everything 0, which is not valid yet: set the account, the limit and the sides.
    fn default() -> Self {
        Self::new_zeroed()
    }
}

impl AccountFilter {
    /// Transfers whose debit side is the account.
    pub const DEBITS: u32 = 1;
    /// Transfers whose credit side is the account.
    pub const CREDITS: u32 = 2;
    /// Newest first.
    pub const REVERSED: u32 = 4;
}

/// Selects accounts or transfers over the whole ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QueryFilter {
    /// Only rows with this value; 0 is any.
    pub user_data_128: u128,
    /// Only rows with this value; 0 is any.
    pub user_data_64: u64,
    /// Only rows with this value; 0 is any.
    pub user_data_32: u32,
    /// Only rows of this ledger; 0 is any.
    pub ledger: u32,
    /// Only rows with this code; 0 is any.
    pub code: u16,
    /// Zero.
    pub reserved: [u8; 6],
    /// First timestamp (ns, inclusive); 0 is unbounded.
    pub timestamp_min: u64,
    /// Last timestamp (ns, inclusive); 0 is unbounded.
    pub timestamp_max: u64,
    /// Most rows; not 0.
    pub limit: u32,
    /// See [`QueryFilter::REVERSED`].
    pub flags: u32,
}

const _: () = assert!(size_of::<QueryFilter>() == 64);

impl Default for QueryFilter {
    /// Everything 0, which is not valid yet: set the limit.
    fn default() -> Self {
        Self::new_zeroed()
    }
}

impl QueryFilter {
    /// Newest first.
    pub const REVERSED: u32 = 1;
}

/// An account's four balances right after a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AccountBalance {
    /// As in [`crate::Account`].
    pub debits_pending: u128,
    /// As in [`crate::Account`].
    pub debits_posted: u128,
    /// As in [`crate::Account`].
    pub credits_pending: u128,
    /// As in [`crate::Account`].
    pub credits_posted: u128,
    /// The transfer's timestamp (ns).
    pub timestamp: u64,
    /// Zero.
    pub reserved: [u8; 56],
}

const _: () = assert!(size_of::<AccountBalance>() == 128);
