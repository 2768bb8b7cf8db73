//! Open pending transfers whose rows have left memory. Few reservations live that long; what is
//! here is all that a post, void or expiry of one needs.

use giro_base::Transfer;
use giro_base::hash::{IdHasher, fold};
use hashbrown::HashTable;

use crate::phase::Phase;

/// Open pending transfers by slot, by id and by row.
pub struct Pendings {
    entries: Vec<Pending>,
    /// Slots of `entries` that are free.
    free: Vec<u32>,
    by_id: HashTable<u32>,
    by_row: HashTable<u32>,
    hasher: IdHasher,
    /// Slots closed by the operation being decided. They go when it is done: a broken chain may
    /// open them again.
    closed: Vec<u32>,
}

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

impl Pendings {
    /// None yet.
    #[must_use]
    pub fn new(hasher: IdHasher) -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            by_id: HashTable::new(),
            by_row: HashTable::new(),
            hasher,
            closed: Vec::new(),
        }
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

    /// Adds one that is not there.
    pub fn insert(&mut self, pending: Pending) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = pending;
                slot
            }
            None => {
                self.entries.push(pending);
                self.entries.len() as u32 - 1
            }
        };
        let (entries, hasher) = (&self.entries, self.hasher);
        let id_hash = |slot: &u32| hasher.hash(entries[*slot as usize].transfer.id);
        self.by_id
            .insert_unique(hasher.hash(pending.transfer.id), slot, id_hash);
        let row_hash = |slot: &u32| hash_of(entries[*slot as usize].row);
        self.by_row
            .insert_unique(hash_of(pending.row), slot, row_hash);
    }

    /// The slot of the one with this id, whose hash is `hash`.
    #[must_use]
    pub fn find(&self, hash: u64, id: u128) -> Option<u32> {
        let is_it = |slot: &u32| self.entries[*slot as usize].transfer.id == id;
        self.by_id.find(hash, is_it).copied()
    }

    /// The slot of the one in this row.
    #[must_use]
    pub fn find_row(&self, row: u64) -> Option<u32> {
        let is_it = |slot: &u32| self.entries[*slot as usize].row == row;
        self.by_row.find(hash_of(row), is_it).copied()
    }

    /// The one in a slot that was found.
    #[must_use]
    pub fn get(&self, slot: u32) -> &Pending {
        &self.entries[slot as usize]
    }

    /// Closes the one in this slot, or opens it again.
    pub fn set_phase(&mut self, slot: u32, phase: Phase) {
        self.entries[slot as usize].phase = phase;
        self.closed.push(slot);
    }

    /// Removes what was closed since the last time.
    pub fn sweep(&mut self) {
        while let Some(slot) = self.closed.pop() {
            let Pending {
                transfer,
                row,
                phase,
                ..
            } = self.entries[slot as usize];
            if phase == Phase::Pending {
                continue;
            }
            // A chain may have closed it, opened it again and closed it: it is listed twice.
            let Ok(by_row) = self.by_row.find_entry(hash_of(row), |s| *s == slot) else {
                continue;
            };
            by_row.remove();
            let by_id = self.hasher.hash(transfer.id);
            let by_id = self.by_id.find_entry(by_id, |s| *s == slot);
            by_id.expect("it has an id and a row").remove();
            self.free.push(slot);
        }
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Pending> {
        let slots = self.by_row.iter();
        slots.map(|slot| &self.entries[*slot as usize])
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
        let mut pendings = Pendings::new(hasher);
        for row in 0..1000 {
            pendings.insert(pending(row));
        }
        let slot = pendings.find_row(7).unwrap();
        assert_eq!(pendings.find(hasher.hash(1007), 1007), Some(slot));
        pendings.set_phase(slot, Phase::Posted);
        pendings.set_phase(slot, Phase::Pending);
        pendings.set_phase(slot, Phase::Voided);
        let taken_back = pendings.find_row(8).unwrap();
        pendings.set_phase(taken_back, Phase::Posted);
        pendings.set_phase(taken_back, Phase::Pending);
        assert_eq!(pendings.len(), 1000);
        pendings.sweep();
        assert_eq!(pendings.len(), 999);
        assert_eq!(pendings.find_row(7), None);
        assert_eq!(pendings.find(hasher.hash(1007), 1007), None);
        assert!(pendings.find_row(8).is_some());
        pendings.insert(pending(5000));
        assert_eq!(pendings.find_row(5000), Some(slot), "slots are used again");
        assert_eq!(pendings.iter().count(), 1000);
    }
}
