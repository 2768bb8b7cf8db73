//! What the ledger remembers: accounts by slot, recent transfers by row, both in order of their
//! timestamps, older pending transfers that are open, and the ids that failed for good.

use std::sync::Arc;

use giro_base::hash::IdHasher;
use giro_base::prefetch::prefetch;
use giro_base::{Account, Region, Transfer};

use crate::branches::OpenBranches;
use crate::conservation::Totals;
use crate::expiry::ExpiryQueue;
use crate::generation::Generation;
use crate::pendings::{Pending, Pendings};
use crate::phase::Phase;
use crate::place::Stored;
use crate::window::{Kept, SpareRows, Window};

pub use crate::place::NONE;

/// Everything but the indexes. Resolve reads it, decide changes it.
pub struct Tables {
    /// Accounts by slot, timestamps rising. [`Account::reserved`] holds the head of the newest
    /// row that touched the account ([`Window::head_of`]).
    pub accounts: Region<Account>,
    /// Transfers in memory.
    pub window: Window,
    /// Open pending transfers from before the window.
    pub pendings: Pendings,
    /// Open branches, whose legs are among the open pending transfers.
    pub branches: OpenBranches,
    /// Open pending transfers with a timeout.
    pub due: ExpiryQueue,
    /// Sums over all accounts.
    pub totals: Totals,
    /// Account whose head is looked at next by [`Self::sweep_heads`].
    swept: usize,
    /// Rows in memory before this one are among `pendings`, too, if they are open: see
    /// [`Self::leave`].
    left: u64,
    /// Working memory of that.
    leaving: Vec<u64>,
}

/// Transfers between asking for memory and using it.
const AHEAD: usize = 8;

impl Tables {
    /// Empty tables with room for these many accounts, and transfers in a generation.
    ///
    /// # Errors
    /// The system's when it has no address space for them.
    pub fn new(
        accounts_max: usize,
        rows_max: usize,
        is_archived: bool,
        hasher: IdHasher,
    ) -> std::io::Result<Self> {
        Ok(Self {
            accounts: Region::new(accounts_max.min(NONE as usize - 1))?,
            window: Window::new(rows_max, is_archived)?,
            pendings: Pendings::new(hasher)?,
            branches: OpenBranches::new(hasher)?,
            due: ExpiryQueue::default(),
            totals: Totals::default(),
            swept: 0,
            left: 0,
            leaving: Vec::new(),
        })
    }

    /// Whether operations of this many events are sure to fit. Where generations leave memory,
    /// transfers always do.
    #[must_use]
    pub fn has_room(&self, events: usize) -> bool {
        self.accounts.len() + events <= self.accounts.len_max() && self.window.has_room(events)
    }

    /// Whether the transfers' index entry `place` is for `id`.
    #[inline(always)]
    #[must_use]
    pub fn transfer_place_is(&self, place: u32, id: u128) -> bool {
        match Stored::in_window(place) {
            Stored::Burned(number) => self.window.is_burned(number, id),
            _ => self.window.transfer(self.window.row_at(place)).id == id,
        }
    }

    /// Asks for the memory of two accounts, if there are such.
    #[inline(always)]
    pub(crate) fn fetch_accounts(&self, slots: [u32; 2]) {
        for slot in slots {
            if let Some(account) = self.accounts.get(slot as usize) {
                prefetch(&account.id);
                prefetch(&account.ledger);
            }
        }
    }

    /// Timestamp of the newest account; 0 if there is none.
    #[must_use]
    pub fn account_timestamp_last(&self) -> u64 {
        self.accounts.last().map_or(0, |account| account.timestamp)
    }

    /// Whether an account has exactly this timestamp.
    #[must_use]
    pub fn account_has_timestamp(&self, timestamp: u64) -> bool {
        self.accounts
            .binary_search_by_key(&timestamp, |account| account.timestamp)
            .is_ok()
    }

    /// Whether a transfer in memory has exactly this timestamp.
    #[must_use]
    pub fn transfer_has_timestamp(&self, timestamp: u64) -> bool {
        let row = self.window.row_from(timestamp);
        row < self.window.end_row() && self.window.transfer(row).timestamp == timestamp
    }

    /// Takes note of an account's balances before a change.
    #[inline(always)]
    pub fn note_opening(&mut self, slot: u32) {
        let account = &self.accounts[slot as usize];
        self.window.note_opening(slot, account);
    }

    /// The pending transfer in `row`, wherever it is, if it is open.
    #[must_use]
    pub fn open_pending(&self, row: u64) -> Option<Pending> {
        if row < self.window.first_row() {
            let slot = self.pendings.find_row(row)?;
            let pending = self.pendings.get(slot);
            return (pending.phase == Phase::Pending).then_some(pending);
        }
        let phase = self.window.phase(row);
        let links = self.window.links(row);
        (phase == Phase::Pending).then(|| Pending {
            transfer: *self.window.transfer(row),
            row,
            debit: links.debit,
            credit: links.credit,
            phase,
        })
    }

    /// Asks for the memory that [`Self::open_pending`] begins with.
    #[inline]
    pub fn prefetch_pending(&self, row: u64) {
        if row < self.window.first_row() {
            self.pendings.prefetch_row(row);
        } else {
            self.window.prefetch(row);
        }
    }

    /// Sets the phase of a pending transfer that [`Self::open_pending`] found.
    pub fn close_pending_row(&mut self, row: u64, phase: Phase) {
        if row < self.window.first_row() {
            let slot = self.pendings.find_row(row);
            let slot = slot.expect("an open pending transfer is in memory");
            self.pendings.set_phase(slot, phase);
            return;
        }
        self.window.set_phase(row, phase);
        if row < self.left
            && let Some(slot) = self.pendings.find_row(row)
        {
            self.pendings.set_phase(slot, phase);
        }
    }

    /// Completes the generation being filled; see [`Window::rotate`].
    pub fn rotate(&mut self, spare: SpareRows) -> Arc<Generation> {
        self.window.rotate(spare, &self.accounts)
    }

    /// Prepares the oldest complete generation to leave memory: takes the open pending transfers
    /// among its next `rows` to those that stay. Between operations. Says whether it is ready.
    ///
    /// There may be hundreds of thousands, and payments must not wait for all of them.
    ///
    /// # Panics
    /// When there is none.
    pub fn leave(&mut self, rows: u64) -> bool {
        let oldest = self.window.oldest_rows().expect("a generation is complete");
        let start = self.left.max(oldest.start);
        let end = if self.window.oldest_has_pendings() {
            start.saturating_add(rows).min(oldest.end)
        } else {
            oldest.end
        };
        let mut rows = std::mem::take(&mut self.leaving);
        rows.clear();
        rows.extend(self.window.oldest_pending(start..end));
        for (at, row) in rows.iter().copied().enumerate() {
            if let Some(ahead) = rows.get(at + 2 * AHEAD) {
                self.window.prefetch(*ahead);
            }
            if let Some(ahead) = rows.get(at + AHEAD) {
                let id = self.window.transfer(*ahead).id;
                self.pendings.prefetch_insert(id, *ahead);
            }
            let links = self.window.links(row);
            self.pendings.insert(&Pending {
                transfer: *self.window.transfer(row),
                row,
                debit: links.debit,
                credit: links.credit,
                phase: Phase::Pending,
            });
        }
        self.leaving = rows;
        self.left = end;
        end == oldest.end
    }

    /// Lets the oldest complete generation leave memory; its open pending transfers stay.
    ///
    /// # Panics
    /// When there is none.
    pub fn forget_oldest(&mut self) -> Kept {
        let is_ready = self.leave(u64::MAX);
        assert!(is_ready, "all its rows were looked at");
        self.window.forget_oldest()
    }

    /// Forgets the heads of some accounts that were not touched for a billion rows, before they
    /// could be taken for newer ones. To be called for each generation of `rows`.
    pub fn sweep_heads(&mut self, rows: usize) {
        // Every account comes up within 2^29 rows, a quarter of a head's range.
        let count = self.accounts.len() * rows.min(1 << 29) / (1 << 29) + 1;
        for _ in 0..count.min(self.accounts.len()) {
            self.swept = (self.swept + 1) % self.accounts.len();
            let account = &mut self.accounts[self.swept];
            if self.window.is_head_old(account.reserved) {
                account.reserved = 0;
            }
        }
    }

    /// The transfer in a row in memory.
    #[inline(always)]
    #[must_use]
    pub fn transfer(&self, row: u64) -> &Transfer {
        self.window.transfer(row)
    }
}
