//! Open branches: tried, and neither confirmed, cancelled nor expired.

use giro_base::branch::BranchId;
use giro_base::hash::IdHasher;
use giro_base::limits::BRANCHES_OPEN_MAX;
use giro_base::{Region, Timestamp};
use hashbrown::HashTable;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::texts::{Place, Texts};
use crate::place::NONE;

/// Open branches by id and by age. Each takes 64 bytes, and 64, 128 or 256 for its texts.
pub struct OpenBranches {
    entries: Region<Entry>,
    /// Entries that are free.
    free: Vec<u32>,
    by_id: HashTable<u32>,
    /// Entries up to which `by_id` is at most half full. It is then swept in place: entries come
    /// and go, and it must not grow for those that went.
    roomy_to: usize,
    hasher: IdHasher,
    texts: Texts,
    oldest: u32,
    newest: u32,
    /// Anomalies seen by this process.
    pub alarms: Alarms,
}

/// Branches that are open at a time in most ledgers.
const ROOMY_MIN: usize = 256;

/// How often something happened that a correct coordinator never does. Counted by each process
/// for itself: no part of the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    /// A confirm of a branch that was never tried.
    pub confirm_without_try: u64,
    /// A confirm of a branch that was cancelled, before or after its try.
    pub confirm_after_cancel: u64,
    /// A confirm of a branch whose time was over.
    pub confirm_after_expiry: u64,
    /// A cancel of a branch that was confirmed.
    pub cancel_after_confirm: u64,
    /// A leg's id was found taken by an ordinary transfer.
    pub id_taken: u64,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Entry {
    id: u128,
    row: u64,
    tried_at: Timestamp,
    /// The next older and the next newer one.
    older: u32,
    newer: u32,
    text: u32,
    timeout: u32,
    text_class: u8,
    legs: u8,
    gid_bytes: u8,
    branch_id_bytes: u8,
    reserved: [u8; 12],
}

const _: () = assert!(size_of::<Entry>() == 64);

/// A branch that was tried just now.
#[derive(Clone, Copy, Debug)]
pub struct NewBranch<'a> {
    /// Its id.
    pub id: BranchId,
    /// Row of its first leg; the others are in the rows behind.
    pub row: u64,
    /// Timestamp of its first leg (ns).
    pub tried_at: Timestamp,
    /// Seconds it has; 0 is for ever.
    pub timeout: u32,
    /// Number of its legs.
    pub legs: usize,
    /// The global transaction's id, at most 128 bytes.
    pub gid: &'a str,
    /// The branch's id in it, at most 128 bytes.
    pub branch_id: &'a str,
}

/// An open branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// Its id.
    pub id: BranchId,
    /// Row of its first leg; the others are in the rows behind.
    pub row: u64,
    /// When it was tried (ns).
    pub tried_at: Timestamp,
    /// Seconds it has; 0 is for ever.
    pub timeout: u32,
    /// Number of its legs.
    pub legs: usize,
    /// The global transaction's id.
    pub gid: &'a [u8],
    /// The branch's id in it.
    pub branch_id: &'a [u8],
}

impl OpenBranches {
    /// None yet.
    ///
    /// # Errors
    /// The system's when it has no address space.
    pub fn new(hasher: IdHasher) -> std::io::Result<Self> {
        Ok(Self {
            entries: Region::new(BRANCHES_OPEN_MAX)?,
            free: Vec::new(),
            by_id: HashTable::new(),
            roomy_to: 0,
            hasher,
            texts: Texts::new()?,
            oldest: NONE,
            newest: NONE,
            alarms: Alarms::default(),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether there is room for another one.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.len() < BRANCHES_OPEN_MAX
    }

    /// Adds one that is not there, newer than all others.
    ///
    /// # Panics
    /// When there is [no room](Self::has_room).
    pub fn insert(&mut self, new: &NewBranch<'_>) {
        let (gid, branch_id) = (new.gid.as_bytes(), new.branch_id.as_bytes());
        let place = self.texts.insert(gid, branch_id);
        let entry = Entry {
            id: new.id.value(),
            row: new.row,
            tried_at: new.tried_at,
            older: self.newest,
            newer: NONE,
            text: place.slot,
            timeout: new.timeout,
            text_class: place.class,
            legs: new.legs as u8,
            gid_bytes: gid.len() as u8,
            branch_id_bytes: branch_id.len() as u8,
            reserved: [0; 12],
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        match self.entries.get_mut(self.newest as usize) {
            Some(newest) => newest.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
        let count = self.by_id.len();
        let (entries, hasher) = (&self.entries, self.hasher);
        let hash_of = |slot: &u32| hasher.hash(entries[*slot as usize].id);
        if count == self.roomy_to {
            self.roomy_to = (2 * count).max(ROOMY_MIN);
            self.by_id.reserve(2 * self.roomy_to - count, hash_of);
        }
        self.by_id
            .insert_unique(hasher.hash(entry.id), slot, hash_of);
    }

    /// The slot of the one with this id.
    #[must_use]
    pub fn find(&self, id: BranchId) -> Option<u32> {
        let is_it = |slot: &u32| self.entries[*slot as usize].id == id.value();
        let hash = self.hasher.hash(id.value());
        self.by_id.find(hash, is_it).copied()
    }

    /// The one in a slot that was found.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: u32) -> Open<'_> {
        let entry = &self.entries[slot as usize];
        let text = self.texts.get(Place {
            class: entry.text_class,
            slot: entry.text,
        });
        let (gid, rest) = text.split_at(entry.gid_bytes.into());
        Open {
            id: BranchId::of_leg(entry.id),
            row: entry.row,
            tried_at: entry.tried_at,
            timeout: entry.timeout,
            legs: entry.legs.into(),
            gid,
            branch_id: &rest[..entry.branch_id_bytes.into()],
        }
    }

    /// Row and legs of the one in a slot that was found.
    #[inline(always)]
    #[must_use]
    pub fn legs(&self, slot: u32) -> (u64, usize) {
        let entry = &self.entries[slot as usize];
        (entry.row, entry.legs.into())
    }

    /// Removes the one with this id, if it is there: it is settled.
    pub fn remove(&mut self, id: BranchId) {
        let is_it = |slot: &u32| self.entries[*slot as usize].id == id.value();
        let Ok(found) = self.by_id.find_entry(self.hasher.hash(id.value()), is_it) else {
            return;
        };
        let (slot, _) = found.remove();
        let entry = self.entries[slot as usize];
        match self.entries.get_mut(entry.older as usize) {
            Some(older) => older.newer = entry.newer,
            None => self.oldest = entry.newer,
        }
        match self.entries.get_mut(entry.newer as usize) {
            Some(newer) => newer.older = entry.older,
            None => self.newest = entry.older,
        }
        self.texts.remove(Place {
            class: entry.text_class,
            slot: entry.text,
        });
        self.free.push(slot);
    }

    /// Those behind a branch of this id, which was tried at this time (ns), oldest first. The
    /// branch may be settled by now; 0 and 0 are before all.
    pub fn after(&self, id: u128, tried_at: Timestamp) -> impl Iterator<Item = Open<'_>> {
        let known = self.find(BranchId::of_leg(id));
        let known = known.map(|slot| self.entries[slot as usize]);
        let start = match known {
            Some(entry) if entry.tried_at == tried_at => entry.newer,
            _ => self.oldest,
        };
        let slot = |slot: u32| self.entries.get(slot as usize).map(|_| slot);
        std::iter::successors(slot(start), move |at| {
            slot(self.entries[*at as usize].newer)
        })
        .map(|slot| self.get(slot))
        .skip_while(move |open| open.tried_at <= tried_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(open: &mut OpenBranches, n: u64) -> BranchId {
        let gid = "g".repeat(1 + n as usize % 128);
        let branch_id = n.to_string();
        let id = BranchId::of(&gid, &branch_id);
        open.insert(&NewBranch {
            id,
            row: n,
            tried_at: 100 + n,
            timeout: 0,
            legs: 1,
            gid: &gid,
            branch_id: &branch_id,
        });
        id
    }

    fn rows(open: &OpenBranches, id: u128, tried_at: u64) -> Vec<u64> {
        open.after(id, tried_at).map(|open| open.row).collect()
    }

    #[test]
    fn open_branches_keep_their_order_and_their_texts() {
        let mut open = OpenBranches::new(IdHasher::new([1, 2])).unwrap();
        assert!(rows(&open, 0, 0).is_empty());
        let ids: Vec<_> = (0..300).map(|n| insert(&mut open, n)).collect();
        for n in (0..300).filter(|n| n % 3 != 0) {
            open.remove(ids[n]);
            open.remove(ids[n]);
        }
        let left: Vec<u64> = (0..300).filter(|n| n % 3 == 0).collect();
        assert_eq!(rows(&open, 0, 0), left);
        for n in 300..500 {
            insert(&mut open, n);
        }
        assert_eq!(open.len(), 300);
        for branch in open.after(0, 0) {
            assert_eq!(branch.gid.len() as u64, 1 + branch.row % 128);
            assert_eq!(branch.branch_id, branch.row.to_string().as_bytes());
        }
        // Going on behind one that is open, and behind one that is not any more.
        assert_eq!(rows(&open, ids[297].value(), 397)[0], 300);
        assert_eq!(rows(&open, ids[298].value(), 398)[0], 300);
        assert_eq!(rows(&open, ids[1].value(), 101)[0], 3);
        assert!(rows(&open, 0, 599).is_empty());
    }
}
