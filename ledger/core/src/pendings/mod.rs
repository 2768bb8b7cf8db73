//! Open pending transfers whose rows have left memory. Few reservations live that long; what is
//! here is all that a post, void or expiry of one needs.

mod slots;

use giro_base::Transfer;
use giro_base::hash::{IdHasher, fold};

use self::slots::Slots;
use crate::phase::Phase;

/// Open pending transfers by slot, by id and by row.
pub struct Pendings {
    /// By slot, [`CHUNK`] at a time: growing moves none of them.
    entries: Vec<Vec<Pending>>,
    /// Slots of `entries` that are free.
    free: Vec<u32>,
    by_id: Slots,
    by_row: Slots,
    hasher: IdHasher,
    /// Slots closed by the operation being decided. They go when it is done: a broken chain may
    /// open them again.
    closed: Vec<u32>,
}

/// Entries for which memory is taken together.
const CHUNK: usize = 1 << 12;

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
            by_id: Slots::new(),
            by_row: Slots::new(),
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
        self.len() == 0
    }

    /// Adds one that is not there.
    pub fn insert(&mut self, pending: Pending) {
        let slot = match self.free.pop() {
            Some(slot) => {
                *self.entry(slot) = pending;
                slot
            }
            None => self.push(pending),
        };
        self.by_id
            .insert(self.hasher.hash(pending.transfer.id), slot);
        self.by_row.insert(hash_of(pending.row), slot);
    }

    fn push(&mut self, pending: Pending) -> u32 {
        if self.entries.last().is_none_or(|last| last.len() == CHUNK) {
            self.entries.push(Vec::with_capacity(CHUNK));
        }
        let chunks = self.entries.len();
        let last = &mut self.entries[chunks - 1];
        last.push(pending);
        ((chunks - 1) * CHUNK + last.len() - 1) as u32
    }

    fn entry(&mut self, slot: u32) -> &mut Pending {
        &mut self.entries[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    /// The slot of the one with this id, whose hash is `hash`.
    #[must_use]
    pub fn find(&self, hash: u64, id: u128) -> Option<u32> {
        self.by_id
            .find(hash, |slot| self.get(slot).transfer.id == id)
    }

    /// The slot of the one in this row.
    #[must_use]
    pub fn find_row(&self, row: u64) -> Option<u32> {
        self.by_row
            .find(hash_of(row), |slot| self.get(slot).row == row)
    }

    /// The one in a slot that was found.
    #[must_use]
    pub fn get(&self, slot: u32) -> &Pending {
        &self.entries[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    /// Closes the one in this slot, or opens it again.
    pub fn set_phase(&mut self, slot: u32, phase: Phase) {
        self.entry(slot).phase = phase;
        self.closed.push(slot);
    }

    /// Removes what was closed since the last time.
    pub fn sweep(&mut self) {
        while let Some(slot) = self.closed.pop() {
            let pending = self.entry(slot);
            let (id, row) = (pending.transfer.id, pending.row);
            // A chain may have closed it, opened it again and closed it: it is listed twice.
            if pending.phase == Phase::Pending || !self.by_row.remove(hash_of(row), slot) {
                continue;
            }
            let had_id = self.by_id.remove(self.hasher.hash(id), slot);
            assert!(had_id, "it has an id and a row");
            self.free.push(slot);
        }
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.by_row.iter().map(|slot| self.get(slot))
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
        for row in 0..10_000 {
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
        assert_eq!(pendings.len(), 10_000);
        pendings.sweep();
        assert_eq!(pendings.len(), 9_999);
        assert_eq!(pendings.find_row(7), None);
        assert_eq!(pendings.find(hasher.hash(1007), 1007), None);
        assert!(pendings.find_row(8).is_some());
        pendings.insert(pending(50_000));
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
