//! The bytes of the history's files; `docs/internals/history.md` has them as tables.

use giro_base::Transfer;
use giro_core::generation::Balances;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::page::PAYLOAD_BYTES;

/// First bytes of every file.
pub const MAGIC: [u8; 16] = *b"giro history\0\0\0\0";
/// Version of this layout.
pub const VERSION: u16 = 1;

/// Something the pages of a section hold, as many as fit, none across two pages.
pub trait Record: FromBytes + IntoBytes + Immutable + KnownLayout + Copy {
    /// How many a page holds.
    const PER_PAGE: u64 = (PAYLOAD_BYTES / size_of::<Self>()) as u64;
}

impl Record for Transfer {}
impl Record for u32 {}
impl Record for u64 {}
impl Record for u128 {}
impl Record for u16 {}

/// Where a section lies.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Section {
    /// Its first page.
    pub page: u64,
    /// How many pages.
    pub pages: u64,
    /// How many records.
    pub count: u64,
}

/// Sections of a segment, by their place in the header's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Part {
    /// [`Transfer`]s.
    Rows = 0,
    /// [`Sides`] of each row.
    Sides,
    /// Timestamp of the first row of each page of rows, u64.
    Times,
    /// [`AccountRecord`]s by slot.
    Accounts,
    /// Rows of each account, u32 from the segment's first.
    Postings,
    /// [`Snapshot`]s of accounts with many postings.
    Snapshots,
    /// [`ClosingRecord`]s.
    Closings,
    /// [`ExpiryRecord`]s.
    Expiries,
    /// [`Release`]s: what expiries did to each account.
    Releases,
    /// Entries of `user_data_128`: a key of the value in the upper 32 bits of a u64, a row in the
    /// lower; rising.
    UserData128,
    /// The same of `user_data_64`.
    UserData64,
    /// The same of `user_data_32`.
    UserData32,
    /// The same of `code`.
    Code,
    /// The same of `ledger`.
    Ledger,
    /// First key of each page of the sections that are searched, u128.
    Fences,
}

/// How many sections a header has room for.
pub const SECTIONS: usize = 16;

/// Sections of an id run. Entries and filters are not sections: they take turns, and the
/// partitions say where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum RunPart {
    /// Burned ids, u128.
    Burned = 0,
    /// [`PartitionRecord`]s.
    Partitions,
    /// First hash of each page of entries, u64.
    Fences,
}

/// The first page of every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 16],
    /// The ledger.
    pub cluster: u128,
    /// Run: smallest id of a transfer or burned; `u128::MAX` if there is none.
    pub ids_min: u128,
    /// Run: largest of them.
    pub ids_max: u128,
    /// Run: smallest id of a pending transfer that ended; `u128::MAX` if there is none.
    pub fates_min: u128,
    /// Run: largest of them.
    pub fates_max: u128,
    /// First generation in the file.
    pub first: u64,
    /// Last one; the same in a segment.
    pub last: u64,
    /// Pages of the file, this one included.
    pub pages: u64,
    /// Run: hash of id 1 under the ledger's key.
    pub hash_check: u64,
    /// Segment: its first row.
    pub first_row: u64,
    /// Segment: transfers. Run: entries.
    pub count: u64,
    /// Segment: timestamp of the first transfer (ns); 0 without transfers.
    pub timestamp_first: u64,
    /// Segment: timestamp of the last one.
    pub timestamp_last: u64,
    /// Segment: first timestamp of a transfer or expiry; 0 without either.
    pub event_first: u64,
    /// Segment: last one.
    pub event_last: u64,
    /// [`VERSION`].
    pub version: u16,
    /// [`Kind`](crate::page::Kind).
    pub kind: u16,
    /// Run: how often its entries were merged.
    pub level: u32,
    /// 0.
    pub reserved: u64,
    /// Where the sections lie.
    pub sections: [Section; SECTIONS],
}

const _: () = assert!(size_of::<Header>() == 576);
const _: () = assert!(size_of::<Header>() <= PAYLOAD_BYTES);

/// Slots of a row's accounts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Sides {
    /// Of the debit account.
    pub debit: u32,
    /// Of the credit account.
    pub credit: u32,
}
impl Record for Sides {}

/// The four balances, as they lie on disk.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct BalancesRecord {
    /// As in [`Balances`].
    pub debits_pending: u128,
    /// As in [`Balances`].
    pub debits_posted: u128,
    /// As in [`Balances`].
    pub credits_pending: u128,
    /// As in [`Balances`].
    pub credits_posted: u128,
}

impl From<Balances> for BalancesRecord {
    fn from(b: Balances) -> Self {
        Self {
            debits_pending: b.debits_pending,
            debits_posted: b.debits_posted,
            credits_pending: b.credits_pending,
            credits_posted: b.credits_posted,
        }
    }
}

impl From<BalancesRecord> for Balances {
    fn from(b: BalancesRecord) -> Self {
        Self {
            debits_pending: b.debits_pending,
            debits_posted: b.debits_posted,
            credits_pending: b.credits_pending,
            credits_posted: b.credits_posted,
        }
    }
}

/// An account that the generation touched.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct AccountRecord {
    /// Balances as the generation began.
    pub balances: BalancesRecord,
    /// Its slot.
    pub slot: u32,
    /// Its first posting.
    pub postings: u32,
    /// How many.
    pub postings_count: u32,
    /// Its first snapshot: the state before its 256th posting, counted from 0, and so on.
    pub snapshots: u32,
    /// Its first release.
    pub releases: u32,
    /// How many.
    pub releases_count: u32,
    /// Its flags as the generation began.
    pub flags: u16,
    /// 0.
    pub reserved: [u8; 6],
}
impl Record for AccountRecord {}

/// An account's state between two of its postings.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Snapshot {
    /// Its balances.
    pub balances: BalancesRecord,
    /// How many of its releases are in them.
    pub releases_done: u32,
    /// Its flags.
    pub flags: u16,
    /// 0.
    pub reserved: [u8; 10],
}
impl Record for Snapshot {}

/// Postings between two snapshots of an account.
pub const POSTINGS_PER_SNAPSHOT: u32 = 256;

/// What a post or void closed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ClosingRecord {
    /// What the pending transfer had reserved.
    pub pending_amount: u128,
    /// The pending transfer.
    pub pending_row: u64,
    /// The post or void, from the segment's first row.
    pub row: u32,
    /// Flags of the pending transfer.
    pub pending_flags: u16,
    /// 0.
    pub reserved: u16,
}
impl Record for ClosingRecord {}

/// A pending transfer's end by time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ExpiryRecord {
    /// The pending transfer's id.
    pub pending_id: u128,
    /// What it had reserved.
    pub amount: u128,
    /// When it took effect (ns).
    pub timestamp: u64,
    /// The pending transfer.
    pub pending_row: u64,
    /// Slot of its debit account.
    pub debit: u32,
    /// Slot of its credit account.
    pub credit: u32,
    /// How many of the segment's rows took effect before it.
    pub place: u32,
    /// Flags of the pending transfer.
    pub pending_flags: u16,
    /// 0.
    pub reserved: u16,
}
impl Record for ExpiryRecord {}

/// What an expiry did to one of its accounts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Release {
    /// What goes back.
    pub amount: u128,
    /// The expiry.
    pub expiry: u32,
    /// Its place, as in [`ExpiryRecord::place`].
    pub place: u32,
    /// Flags of the pending transfer.
    pub pending_flags: u16,
    /// 1 on the debit side, 0 on the credit side.
    pub debit: u16,
    /// 0.
    pub reserved: u32,
}
impl Record for Release {}

/// One thing an id run knows about a hash.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Entry {
    /// Hash of the id.
    pub hash: u64,
    /// Three bits of [`EntryKind`], 61 bits of number.
    pub what: u64,
}
impl Record for Entry {}

/// What an [`Entry`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A transfer with such an id is in row *number*.
    Transfer = 0,
    /// Burned id *number* of this run has this hash.
    Burned = 1,
    /// The pending transfer in row *number* was posted.
    Posted = 2,
    /// It was voided.
    Voided = 3,
    /// It expired.
    Expired = 4,
}

/// Largest number an entry can carry.
pub const NUMBER_MAX: u64 = (1 << 61) - 1;

impl Entry {
    /// An entry.
    ///
    /// # Panics
    /// When the number is above [`NUMBER_MAX`].
    #[must_use]
    pub fn new(hash: u64, kind: EntryKind, number: u64) -> Self {
        assert!(number <= NUMBER_MAX, "a number has 61 bits");
        Self {
            hash,
            what: (kind as u64) << 61 | number,
        }
    }

    /// Its kind; none if it is none of them.
    #[must_use]
    pub fn kind(self) -> Option<EntryKind> {
        Some(match self.what >> 61 {
            0 => EntryKind::Transfer,
            1 => EntryKind::Burned,
            2 => EntryKind::Posted,
            3 => EntryKind::Voided,
            4 => EntryKind::Expired,
            _ => return None,
        })
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.what & NUMBER_MAX
    }
}

/// The entries of a run whose hashes begin with the same bits.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PartitionRecord {
    /// First page of entries.
    pub page: u64,
    /// How many entries.
    pub count: u64,
    /// First page of the filter, right behind the entries.
    pub filter_page: u64,
    /// Hashes in the filter.
    pub filter_hashes: u64,
    /// So many top bits of a hash, without the partition's, are its bucket in the filter.
    pub bucket_bits: u32,
    /// The filter's words; 0 without filter.
    pub filter_words: u32,
    /// 0.
    pub reserved: u64,
}
impl Record for PartitionRecord {}

/// In place of a row: so many rows have the key that they are not listed.
pub const ROW_DENSE: u32 = u32::MAX;
/// A key that more than one row in this many has is dense.
pub const DENSE_SHARE: usize = 8;
/// Most rows of a segment, so that none is the mark, and postings can be counted.
pub const ROWS_MAX: usize = (1 << 30) - 1;
