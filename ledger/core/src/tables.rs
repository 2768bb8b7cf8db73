//! What the ledger remembers: accounts by slot, transfers by row, both in order of their
//! timestamps, and the ids that failed for good.

use giro_base::{Account, Region, Transfer};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::conservation::Totals;
use crate::expiry::ExpiryQueue;

/// The absence of a slot, row or event.
pub const NONE: u32 = u32::MAX;

/// Marks a place in the transfers' index as a number among the burned ids instead of a row.
pub const BURNED: u32 = 1 << 31;

/// Most transfers one ledger holds: rows and burned ids share 32-bit places.
pub const TRANSFERS_MAX: usize = (BURNED - 2) as usize;

/// Everything but the indexes. Resolve reads it, decide changes it.
pub struct Tables {
    /// Accounts by slot, timestamps rising. [`Account::reserved`] holds the newest row that
    /// touched the account, plus one.
    pub accounts: Region<Account>,
    /// Transfers by row, timestamps rising.
    pub transfers: Region<Transfer>,
    /// What connects each row to accounts and to the rows before it.
    pub links: Region<Links>,
    /// Each row's [`Phase`].
    pub phases: Region<u8>,
    /// Ids of transfers that failed in a way that must stay failed.
    pub burned: Region<u128>,
    /// Pending transfers that expired, in order.
    pub expiries: Region<Expiry>,
    /// Open pending transfers with a timeout.
    pub due: ExpiryQueue,
    /// Sums over all accounts.
    pub totals: Totals,
}

/// The accounts of a row, and the rows that touched them before.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Links {
    /// Slot of the debit account.
    pub debit: u32,
    /// Slot of the credit account.
    pub credit: u32,
    /// The debit account's previous row plus one; 0 if there is none.
    pub debit_previous: u32,
    /// The credit account's previous row plus one; 0 if there is none.
    pub credit_previous: u32,
}

/// A pending transfer's end by time.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Expiry {
    /// When it took effect (ns).
    pub timestamp: u64,
    /// The pending transfer.
    pub row: u32,
    /// Zero.
    pub reserved: u32,
}

/// Where a pending transfer stands; other transfers are always `Single`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not a pending transfer.
    Single = 0,
    /// Open: its amount is reserved.
    Pending = 1,
    /// Closed by a post.
    Posted = 2,
    /// Closed by a void.
    Voided = 3,
    /// Closed by its timeout.
    Expired = 4,
}

impl Phase {
    /// The phase stored as this byte.
    ///
    /// # Panics
    /// On a byte that no phase has: only this crate writes them.
    #[must_use]
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Single,
            1 => Self::Pending,
            2 => Self::Posted,
            3 => Self::Voided,
            4 => Self::Expired,
            _ => unreachable!("phase {byte}"),
        }
    }
}

impl Tables {
    /// Empty tables with room for these many accounts and transfers.
    ///
    /// # Errors
    /// The system's when it has no address space for them.
    pub fn new(accounts_max: usize, transfers_max: usize) -> std::io::Result<Self> {
        let transfers_max = transfers_max.min(TRANSFERS_MAX);
        Ok(Self {
            accounts: Region::new(accounts_max.min(NONE as usize - 1))?,
            transfers: Region::new(transfers_max)?,
            links: Region::new(transfers_max)?,
            phases: Region::new(transfers_max)?,
            burned: Region::new(transfers_max)?,
            expiries: Region::new(transfers_max)?,
            due: ExpiryQueue::default(),
            totals: Totals::default(),
        })
    }

    /// Makes the memory of the first `transfers` resident.
    pub fn prefault(&self, transfers: usize) {
        self.transfers.prefault(transfers);
        self.links.prefault(transfers);
        self.phases.prefault(transfers);
    }

    /// Whether an operation of this many events is sure to fit.
    #[must_use]
    pub fn has_room(&self, events: usize) -> bool {
        self.accounts.len() + events <= self.accounts.len_max()
            && self.transfers.len() + events <= self.transfers.len_max()
            && self.burned.len() + events <= self.burned.len_max()
    }

    /// The phase of a row.
    #[must_use]
    pub fn phase(&self, row: u32) -> Phase {
        Phase::from_byte(self.phases[row as usize])
    }

    /// Whether the transfers' index entry `place` is for `id`.
    #[inline(always)]
    #[must_use]
    pub fn transfer_place_is(&self, place: u32, id: u128) -> bool {
        if place & BURNED == 0 {
            self.transfers[place as usize].id == id
        } else {
            self.burned[(place & !BURNED) as usize] == id
        }
    }

    /// Timestamp of the newest account; 0 if there is none.
    #[must_use]
    pub fn account_timestamp_last(&self) -> u64 {
        self.accounts.last().map_or(0, |account| account.timestamp)
    }

    /// Timestamp of the newest transfer; 0 if there is none.
    #[must_use]
    pub fn transfer_timestamp_last(&self) -> u64 {
        self.transfers
            .last()
            .map_or(0, |transfer| transfer.timestamp)
    }

    /// Whether an account has exactly this timestamp.
    #[must_use]
    pub fn account_has_timestamp(&self, timestamp: u64) -> bool {
        self.accounts
            .binary_search_by_key(&timestamp, |account| account.timestamp)
            .is_ok()
    }

    /// Whether a transfer has exactly this timestamp.
    #[must_use]
    pub fn transfer_has_timestamp(&self, timestamp: u64) -> bool {
        self.transfers
            .binary_search_by_key(&timestamp, |transfer| transfer.timestamp)
            .is_ok()
    }
}
