//! Open pending transfers whose rows have left memory. Few reservations live that long; what is
//! here is all that a post, void or expiry of one needs.

use giro_base::hash::{IdHasher, fold};
use giro_base::prefetch::prefetch;
use giro_base::{Region, Transfer};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::index::IdIndex;
use crate::phase::Phase;

/// Open pending transfers by slot, by id and by row. Nothing here takes long at once, however many
/// there are: tables grow a little at each insert, and what lies far away can be asked for ahead.
pub struct Pendings {
    /// By slot, [`CHUNK`] in each region.
    entries: Vec<Region<Entry>>,
    /// Slots of `entries` that are free.
    free: Vec<u32>,
    by_id: IdIndex,
    by_row: IdIndex,
    hasher: IdHasher,
    /// Slots closed by the operation being decided. They go when it is done: a broken chain may
    /// open them again.
    closed: Vec<u32>,
}

/// Entries of a region: 160 MiB of address space, which become memory as they are used.
const CHUNK: usize = 1 << 20;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// The transfer.
    pub transfer: Transfer,
    /// Its row.
    pub row: u64,
    /// Slot of its debit account.
    pub debit: u32,
    /// Slot of its credit account.
    pub credit: u32,
    /// [`Phase::Pending`], but for those the current operation closed.
    pub phase: Phase,
}

/// One of them, as it is kept.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Entry {
    transfer: Transfer,
    row: u64,
    debit: u32,
    credit: u32,
    phase: u8,
    reserved: [u8; 15],
}

impl Entry {
    fn of(pending: &Pending) -> Self {
        Self {
            transfer: pending.transfer,
            row: pending.row,
            debit: pending.debit,
            credit: pending.credit,
            phase: pending.phase as u8,
            reserved: [0; 15],
        }
    }
}

impl Pendings {
    /// None yet.
    ///
    /// # Errors
    /// The system's when it has no address space.
    pub fn new(hasher: IdHasher) -> std::io::Result<Self> {
        Ok(Self {
            entries: Vec::new(),
            free: Vec::new(),
            by_id: IdIndex::new(0)?,
            by_row: IdIndex::new(0)?,
            hasher,
            closed: Vec::new(),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_row.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_row.is_empty()
    }

    /// Asks for the memory that adding one with this id and row will take.
    #[inline]
    pub fn prefetch_insert(&self, id: u128, row: u64) {
        self.by_id.prefetch(self.hasher.hash(id));
        self.by_row.prefetch(hash_of(row));
    }

    #[inline]
    fn entry(&self, slot: u32) -> &Entry {
        &self.entries[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    #[inline]
    fn entry_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.entries[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    fn push(&mut self, entry: Entry) -> u32 {
        if self.entries.last().is_none_or(|last| last.len() == CHUNK) {
            let region = Region::new(CHUNK).expect("address space for pending transfers");
            self.entries.push(region);
        }
        let chunks = self.entries.len();
        let last = &mut self.entries[chunks - 1];
        last.push(entry);
        ((chunks - 1) * CHUNK + last.len() - 1) as u32
    }

    /// Adds one that is not there.
    ///
    /// # Panics
    /// When the system has no address space.
    pub fn insert(&mut self, pending: &Pending) {
        let entry = Entry::of(pending);
        let slot = match self.free.pop() {
            Some(slot) => {
                *self.entry_mut(slot) = entry;
                slot
            }
            None => self.push(entry),
        };
        self.by_id
            .insert(self.hasher.hash(pending.transfer.id), slot);
        self.by_row.insert(hash_of(pending.row), slot);
    }

    /// The slot of the one with this id, whose hash is `hash`.
    #[must_use]
    pub fn find(&self, hash: u64, id: u128) -> Option<u32> {
        self.by_id.find(hash, |slot| self.transfer(slot).id == id)
    }

    /// Asks for the memory that looking for this row begins with.
    #[inline]
    pub fn prefetch_row(&self, row: u64) {
        self.by_row.prefetch(hash_of(row));
    }

    /// Asks for the memory of the one in this row, once the first request was answered.
    #[inline]
    pub fn prefetch_found(&self, row: u64) {
        if let Some(slot) = self.by_row.guess(hash_of(row))
            && let Some(chunk) = self.entries.get(slot as usize / CHUNK)
            && let Some(entry) = chunk.get(slot as usize % CHUNK)
        {
            prefetch(&entry.transfer);
            prefetch(&entry.transfer.timestamp);
            prefetch(&entry.row);
        }
    }

    /// Asks for the memory that closing this one will take.
    #[inline]
    pub fn prefetch_close(&self, pending: &Pending) {
        self.by_id.prefetch(self.hasher.hash(pending.transfer.id));
    }

    /// The slot of the one in this row.
    #[must_use]
    pub fn find_row(&self, row: u64) -> Option<u32> {
        let is_it = |slot: u32| self.entry(slot).row == row;
        self.by_row.find(hash_of(row), is_it)
    }

    /// The one in a slot that was found.
    #[must_use]
    pub fn get(&self, slot: u32) -> Pending {
        let entry = self.entry(slot);
        Pending {
            transfer: entry.transfer,
            row: entry.row,
            debit: entry.debit,
            credit: entry.credit,
            phase: Phase::from_byte(entry.phase),
        }
    }

    /// The transfer of the one in a slot that was found.
    #[must_use]
    pub fn transfer(&self, slot: u32) -> &Transfer {
        &self.entry(slot).transfer
    }

    /// Closes the one in this slot, or opens it again.
    pub fn set_phase(&mut self, slot: u32, phase: Phase) {
        self.entry_mut(slot).phase = phase as u8;
        self.closed.push(slot);
    }

    /// Removes what was closed since the last time.
    pub fn sweep(&mut self) {
        while let Some(slot) = self.closed.pop() {
            let entry = self.entry(slot);
            if entry.phase == Phase::Pending as u8 {
                continue;
            }
            // A chain may have closed it, opened it again and closed it: it is listed twice.
            let (id, row) = (entry.transfer.id, entry.row);
            if self.by_row.remove(hash_of(row), slot) {
                let hash = self.hasher.hash(id);
                assert!(self.by_id.remove(hash, slot), "it has an id and a row");
                self.free.push(slot);
            }
        }
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Pending> + '_ {
        self.by_row.places().map(|slot| self.get(slot))
    }
}

fn hash_of(row: u64) -> u64 {
    fold(row ^ 0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(row: u64) -> Pending {
        Pending {
            transfer: Transfer {
                id: u128::from(row) + 1000,
                ..Transfer::default()
            },
            row,
            debit: 0,
            credit: 1,
            phase: Phase::Pending,
        }
    }

    #[test]
    fn what_is_closed_goes_when_the_operation_is_done() {
        let hasher = IdHasher::new([1, 2]);
        let mut pendings = Pendings::new(hasher).unwrap();
        for row in 0..10_000 {
            pendings.insert(&pending(row));
        }
        let slot = pendings.find_row(7).unwrap();
        assert_eq!(pendings.find(hasher.hash(1007), 1007), Some(slot));
        pendings.set_phase(slot, Phase::Posted);
        pendings.set_phase(slot, Phase::Pending);
        pendings.set_phase(slot, Phase::Voided);
        let taken_back = pendings.find_row(8).unwrap();
        pendings.set_phase(taken_back, Phase::Posted);
        pendings.set_phase(taken_back, Phase::Pending);
        assert_eq!(pendings.len(), 10_000);
        pendings.sweep();
        assert_eq!(pendings.len(), 9_999);
        assert_eq!(pendings.find_row(7), None);
        assert_eq!(pendings.find(hasher.hash(1007), 1007), None);
        assert!(pendings.find_row(8).is_some());
        pendings.insert(&pending(50_000));
        assert_eq!(
            pendings.find_row(50_000),
            Some(slot),
            "slots are used again"
        );
        assert_eq!(pendings.iter().count(), 10_000);
        let rows: std::collections::BTreeSet<u64> = pendings.iter().map(|p| p.row).collect();
        assert_eq!(rows.len(), 10_000);
    }
}
