//! The transfer record (128 bytes; `docs/reference/protocol.md`, section "Records").

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A transfer of an amount from a debit to a credit account, at once or in two phases.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Transfer {
    /// Chosen by the client; neither 0 nor `u128::MAX`.
    pub id: u128,
    /// The account whose debits grow.
    pub debit_account_id: u128,
    /// The account whose credits grow.
    pub credit_account_id: u128,
    /// In the ledger's smallest unit. `u128::MAX` means "as much as possible" where the flags
    /// say so.
    pub amount: u128,
    /// The pending transfer that this one posts or voids; otherwise 0.
    pub pending_id: u128,
    /// Free for the user.
    pub user_data_128: u128,
    /// Free for the user.
    pub user_data_64: u64,
    /// Free for the user.
    pub user_data_32: u32,
    /// Seconds until a pending transfer expires; 0 is never.
    pub timeout: u32,
    /// Must be both accounts' ledger.
    pub ledger: u32,
    /// The user's reason or kind; not 0.
    pub code: u16,
    /// See [`TransferFlags`].
    pub flags: u16,
    /// When it took effect (ns); assigned by the ledger, or by the user when imported.
    pub timestamp: u64,
}

const _: () = assert!(size_of::<Transfer>() == 128);

/// The bits of [`Transfer::flags`].
pub struct TransferFlags;

impl TransferFlags {
    /// The next event's fate is tied to this one's.
    pub const LINKED: u16 = 1;
    /// Reserve the amount; a later transfer posts or voids it.
    pub const PENDING: u16 = 2;
    /// Post (part of) a pending transfer's amount and release the rest.
    pub const POST_PENDING_TRANSFER: u16 = 4;
    /// Release a pending transfer's whole amount.
    pub const VOID_PENDING_TRANSFER: u16 = 8;
    /// Move at most what the debit account has left.
    pub const BALANCING_DEBIT: u16 = 16;
    /// Move at most what the credit account has left.
    pub const BALANCING_CREDIT: u16 = 32;
    /// Close the debit account (pending transfers only).
    pub const CLOSING_DEBIT: u16 = 64;
    /// Close the credit account (pending transfers only).
    pub const CLOSING_CREDIT: u16 = 128;
    /// The timestamp is the user's.
    pub const IMPORTED: u16 = 256;
    /// Every bit that a client may set.
    pub const ALL: u16 = 0b1_1111_1111;
    /// Of a branch's confirm: some leg posted less than it had reserved. Only the ledger sets it.
    pub const BRANCH_PARTIAL: u16 = 1 << 14;
    /// A leg of a branch ([`crate::branch`]). Only the ledger sets it.
    pub const BRANCH: u16 = 1 << 15;
}
