//! A generation: a stretch of the ledger's life, from one row to another, as it leaves memory for
//! the history on disk. `docs/internals/history.md` says what becomes of it there.

use giro_base::limits::BRANCH_TEXT_BYTES_MAX;
use giro_base::{Account, Ahead, Region, Timestamp, Transfer};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::fill::Fill;

/// What happened between two rows. Generations follow each other without gap: every stored
/// transfer, expiry and burned id is in exactly one.
pub struct Generation {
    /// Counted from 0.
    pub number: u64,
    /// Row of the first transfer. Rows count all transfers of the ledger, from 0, in the order
    /// of their timestamps.
    pub first_row: u64,
    /// The transfers, timestamps rising.
    pub transfers: Region<Transfer>,
    /// What connects each of them to accounts and to the rows before it.
    pub links: Region<Links>,
    /// What each post and void among the transfers closed, in the order of their rows.
    pub closings: Region<Closing>,
    /// Pending transfers that expired, timestamps rising.
    pub expiries: Region<Expiry>,
    /// Balances of accounts as the generation began, of every account it changed. An account may
    /// occur more than once: its first occurrence counts.
    pub openings: Region<Opening>,
    /// The same accounts as the generation ended, if there are few ([`Self::ends`]).
    endings: Region<Opening>,
    has_endings: bool,
    /// There are no pending transfers among the rows, as far as is known.
    is_single_phase: bool,
    /// Ids of transfers that failed in a way that must stay failed.
    pub burned: Region<u128>,
    /// Branches that were tried in it, by row.
    pub branches: Region<BranchText>,
    /// The texts of those branches: its global id and, right behind, its branch id, and zeros up
    /// to a whole number of these units.
    pub texts: Region<[u8; TEXT_UNIT_BYTES]>,
    /// Slot of the first account made in it.
    pub first_slot: u32,
    /// The accounts made in it, as they were made.
    pub accounts: Region<Account>,
}

/// Most openings to which a generation has endings: taking them holds up the ledger, and must stay
/// shorter than a large request.
const ENDINGS_MAX: usize = 1 << 15;

/// Unit in which texts of branches are kept.
pub const TEXT_UNIT_BYTES: usize = 16;
/// Most units of a branch.
const TEXT_UNITS_MAX: usize = 2 * BRANCH_TEXT_BYTES_MAX / TEXT_UNIT_BYTES;

/// Where the texts of a branch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct BranchText {
    /// Row of the branch's first leg.
    pub row: u64,
    /// The first unit.
    pub unit: u32,
    /// Bytes of the global id.
    pub gid_bytes: u8,
    /// Bytes of the branch id.
    pub branch_id_bytes: u8,
    /// Zeros.
    pub reserved: [u8; 2],
}

/// The accounts of a row, and the rows that touched them before.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Links {
    /// Slot of the debit account.
    pub debit: u32,
    /// Slot of the credit account.
    pub credit: u32,
    /// The debit account's row before this one, shortened
    /// (see `docs/internals/history.md`); 0 if none is in memory.
    pub debit_previous: u32,
    /// The credit account's row before this one, the same.
    pub credit_previous: u32,
}

/// What a post or void closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Closing {
    /// The post or void.
    pub row: u64,
    /// The pending transfer it closed.
    pub pending_row: u64,
    /// What that one had reserved.
    pub pending_amount: u128,
    /// [`TransferFlags`](giro_base::TransferFlags) of the pending transfer: whether it closed
    /// accounts, which a void undoes.
    pub pending_flags: u16,
    /// Zeros.
    pub reserved: [u8; 14],
}

/// A pending transfer's end by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Expiry {
    /// When it took effect (ns).
    pub timestamp: Timestamp,
    /// Row of the next transfer made. An imported one may have an earlier timestamp.
    pub before_row: u64,
    /// The pending transfer's id.
    pub pending_id: u128,
    /// What it had reserved.
    pub amount: u128,
    /// Its row.
    pub pending_row: u64,
    /// Slot of its debit account.
    pub debit: u32,
    /// Slot of its credit account.
    pub credit: u32,
    /// [`TransferFlags`](giro_base::TransferFlags) of the pending transfer: whether it closed
    /// accounts, which the expiry undid.
    pub pending_flags: u16,
    /// Zeros.
    pub reserved: [u8; 14],
}

/// An account before its first change in a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Opening {
    /// Its balances.
    pub balances: Balances,
    /// The account's slot.
    pub slot: u32,
    /// Its flags: only `closed` ever changes.
    pub flags: u16,
    /// Zeros.
    pub reserved: [u8; 10],
}

impl Opening {
    /// An account as it is now.
    #[must_use]
    pub fn of(slot: u32, account: &Account) -> Self {
        Self {
            balances: Balances::of(account),
            slot,
            flags: account.flags,
            reserved: [0; 10],
        }
    }
}

/// The four balances of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Balances {
    /// Debits reserved by open pending transfers.
    pub debits_pending: u128,
    /// Debits.
    pub debits_posted: u128,
    /// Credits reserved by open pending transfers.
    pub credits_pending: u128,
    /// Credits.
    pub credits_posted: u128,
}

impl Balances {
    /// What is reserved on a side.
    pub fn pending(&mut self, debit: bool) -> &mut u128 {
        if debit {
            &mut self.debits_pending
        } else {
            &mut self.credits_pending
        }
    }

    /// What is posted on a side.
    pub fn posted(&mut self, debit: bool) -> &mut u128 {
        if debit {
            &mut self.debits_posted
        } else {
            &mut self.credits_posted
        }
    }

    /// Those of an account now.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self {
            debits_pending: account.debits_pending,
            debits_posted: account.debits_posted,
            credits_pending: account.credits_pending,
            credits_posted: account.credits_posted,
        }
    }
}

impl Generation {
    /// An empty generation with room for this many transfers, and this many openings; a ledger
    /// that stays in memory needs none.
    ///
    /// # Errors
    /// The system's when it has no address space.
    pub fn new(
        number: u64,
        first_row: u64,
        rows_max: usize,
        openings_max: usize,
    ) -> std::io::Result<Self> {
        let kept_max = if openings_max == 0 { 0 } else { rows_max };
        Ok(Self {
            number,
            first_row,
            transfers: Region::new(rows_max)?,
            links: Region::new(rows_max)?,
            closings: Region::new(rows_max)?,
            expiries: Region::new(rows_max)?,
            openings: Region::new(openings_max)?,
            endings: Region::new(openings_max.min(ENDINGS_MAX))?,
            has_endings: false,
            is_single_phase: false,
            burned: Region::new(rows_max)?,
            branches: Region::new(kept_max)?,
            texts: Region::new(kept_max * TEXT_UNITS_MAX)?,
            first_slot: 0,
            accounts: Region::new(kept_max)?,
        })
    }

    /// The memory that so much of everything will need beside what is there.
    pub(crate) fn ahead(&self, fill: &Fill) -> Vec<Ahead> {
        vec![
            self.transfers.ahead(fill.rows),
            self.links.ahead(fill.rows),
            self.closings.ahead(fill.closings),
            self.openings.ahead(fill.openings),
            self.endings.ahead(fill.openings),
            self.burned.ahead(fill.burned),
            self.branches.ahead(fill.branches),
            self.texts.ahead(fill.text_units),
        ]
    }

    /// Makes it an empty one in the same memory.
    pub fn reset(&mut self, number: u64, first_row: u64, first_slot: u32) {
        self.number = number;
        self.first_row = first_row;
        self.first_slot = first_slot;
        self.transfers.set_len(0);
        self.links.set_len(0);
        self.closings.set_len(0);
        self.expiries.set_len(0);
        self.openings.set_len(0);
        self.endings.set_len(0);
        (self.has_endings, self.is_single_phase) = (false, false);
        self.burned.set_len(0);
        self.branches.set_len(0);
        self.texts.set_len(0);
        self.accounts.set_len(0);
    }

    /// Takes note of how it ends, for whoever writes it: given all accounts, and whether it has
    /// pending transfers.
    pub(crate) fn end(&mut self, accounts: &[Account], has_pendings: bool) {
        self.is_single_phase = !has_pendings;
        self.has_endings = self.openings.len() <= self.endings.len_max();
        if self.has_endings {
            for opening in &self.openings {
                let account = &accounts[opening.slot as usize];
                self.endings.push(Opening::of(opening.slot, account));
            }
        }
    }

    /// The accounts of the openings as the generation ended. None where they have to be worked out
    /// from the rows.
    #[must_use]
    pub fn ends(&self) -> Option<&[Opening]> {
        self.has_endings.then_some(&self.endings[..])
    }

    /// Whether there may be pending transfers among its rows.
    #[must_use]
    pub fn may_have_pendings(&self) -> bool {
        !self.is_single_phase
    }

    /// Whether this many events are sure to fit.
    #[must_use]
    pub fn has_room(&self, events: usize) -> bool {
        let room = |len: usize, len_max: usize| len + events <= len_max;
        // Every row has at most one closing. Chains that break leave openings behind.
        room(self.transfers.len(), self.transfers.len_max())
            && room(self.expiries.len(), self.expiries.len_max())
            && room(self.burned.len(), self.burned.len_max())
            && (self.openings.len_max() == 0
                || room(self.openings.len() + events, self.openings.len_max()))
    }

    /// Whether it has as much of anything as a generation of about this many rows should.
    #[must_use]
    pub fn is_full(&self, rows: usize) -> bool {
        self.transfers.len() >= rows
            || self.burned.len() >= rows
            || self.expiries.len() >= rows
            || self.openings.len() >= 3 * rows
            || self.accounts.len() >= rows
    }

    /// The global id and the branch id of a branch.
    #[must_use]
    pub fn texts_of(&self, branch: &BranchText) -> (&[u8], &[u8]) {
        let text = self.texts[branch.unit as usize..].as_flattened();
        let (gid, rest) = text.split_at(branch.gid_bytes.into());
        (gid, &rest[..branch.branch_id_bytes.into()])
    }

    /// Takes note of a branch that was tried.
    pub(crate) fn note_branch(&mut self, row: u64, gid: &str, branch_id: &str) {
        self.branches.push(BranchText {
            row,
            unit: self.texts.len() as u32,
            gid_bytes: gid.len() as u8,
            branch_id_bytes: branch_id.len() as u8,
            reserved: [0; 2],
        });
        let (gid, branch_id) = (gid.as_bytes(), branch_id.as_bytes());
        let bytes = gid.len() + branch_id.len();
        let mut text = [[0; TEXT_UNIT_BYTES]; TEXT_UNITS_MAX];
        let flat = text.as_flattened_mut();
        flat[..gid.len()].copy_from_slice(gid);
        flat[gid.len()..bytes].copy_from_slice(branch_id);
        for unit in &text[..bytes.div_ceil(TEXT_UNIT_BYTES)] {
            self.texts.push(*unit);
        }
    }

    /// Row behind the last one.
    #[must_use]
    pub fn end_row(&self) -> u64 {
        self.first_row + self.transfers.len() as u64
    }

    /// Slot behind the last account made in it.
    #[must_use]
    pub fn end_slot(&self) -> u32 {
        self.first_slot + self.accounts.len() as u32
    }

    /// The transfer in `row`, which is one of its rows.
    #[inline(always)]
    #[must_use]
    pub fn transfer(&self, row: u64) -> &Transfer {
        &self.transfers[(row - self.first_row) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::fill::make_resident;

    const PAGE_BYTES: usize = 4096;

    /// Whether the page of the element at `place` is in memory.
    fn is_resident<T: FromBytes + IntoBytes + Immutable + Copy>(
        region: &Region<T>,
        place: usize,
    ) -> bool {
        let address = region.as_ptr() as usize + place * size_of::<T>();
        let pages = File::open("/proc/self/pagemap").unwrap();
        let mut entry = [0; 8];
        let at = (address / PAGE_BYTES * entry.len()) as u64;
        pages.read_exact_at(&mut entry, at).unwrap();
        u64::from_le_bytes(entry) >> 63 == 1
    }

    #[test]
    fn memory_is_resident_for_what_is_expected_and_not_for_more() {
        const MAX: usize = 1 << 20;
        let fill = Fill {
            rows: 100_000,
            closings: 50_000,
            openings: 10_000,
            burned: 20_000,
            branches: 40_000,
            text_units: 90_000,
            ends: 0,
        };
        let generation = Generation::new(0, 0, MAX, 2 * MAX).unwrap();
        make_resident(generation.ahead(&fill));
        macro_rules! check {
            ($($region:ident $count:ident),*) => {$(
                let (region, count) = (&generation.$region, fill.$count);
                for place in [0, count / 2, count - 1] {
                    assert!(is_resident(region, place), "{} {place}", stringify!($region));
                }
                let far = region.len_max() / 4 * 3;
                assert!(!is_resident(region, far), "{}", stringify!($region));
            )*};
        }
        check!(
            transfers rows, links rows, closings closings, openings openings, burned burned,
            branches branches, texts text_units
        );
        assert!(is_resident(&generation.endings, fill.openings - 1));
        assert!(!is_resident(&generation.expiries, 0));
    }
}
