//! A shard: the part of the ids whose hashes fall to it, with their indexes.
//!
//! Shards own indexes only; accounts and transfers themselves are in [`Tables`], which shards
//! read during resolve and apply. So which shard owns an id changes who looks it up, never what
//! is found.

mod accounts;
mod recent;
mod transfers;

use std::collections::VecDeque;

use giro_base::hash::IdHasher;

use crate::archive::Archive;
use crate::batch::{Batch, Events, Kind, Made};
use crate::index::IdIndex;
use crate::place::NONE;
use crate::scratch::Scratch;
use crate::tables::Tables;

use self::recent::RecentIds;

/// One shard's indexes.
pub struct Shard {
    number: u32,
    count: u32,
    hasher: IdHasher,
    accounts: IdIndex,
    /// Of the generation being filled.
    transfers: IdIndex,
    /// Of the complete generations in memory, newest first.
    older: VecDeque<IdIndex>,
    recent: RecentIds,
}

/// Events looked at together, so that their cache misses overlap.
const CHUNK: usize = 16;

impl Shard {
    /// Shard `number` of `count`, of a ledger that expects these many transfers.
    ///
    /// # Errors
    /// The system's when it has no address space.
    pub fn new(
        number: u32,
        count: u32,
        hasher: IdHasher,
        transfers_expected: usize,
    ) -> std::io::Result<Self> {
        assert!(number < count);
        let expected = transfers_expected / count as usize;
        Ok(Self {
            number,
            count,
            hasher,
            accounts: IdIndex::new(0)?,
            transfers: IdIndex::new(expected)?,
            older: VecDeque::new(),
            recent: RecentIds::default(),
        })
    }

    /// Whether the id with this hash is this shard's.
    #[inline(always)]
    #[must_use]
    pub fn owns(&self, hash: u64) -> bool {
        self.count == 1 || owner(hash, self.count) == self.number
    }

    /// Looks up everything the batch's events name, as far as it is this shard's.
    /// What is not in memory, and may be in the history, is left to be asked.
    pub fn resolve(
        &mut self,
        tables: &Tables,
        batch: &Batch<'_>,
        scratch: &Scratch,
        archive: Option<&dyn Archive>,
    ) {
        let found = &scratch.found;
        match batch.events {
            Events::Accounts(events) => self.resolve_accounts(tables, events, found, archive),
            Events::Transfers(_) | Events::Branches(..) => {
                self.resolve_transfers(tables, batch.events.transfers(), found, archive);
            }
        }
    }

    /// Ids made from now on are of the next generation, and go to this empty index.
    pub fn rotate(&mut self, next: IdIndex) {
        self.older
            .push_front(std::mem::replace(&mut self.transfers, next));
    }

    /// Forgets the ids of the oldest generation.
    pub fn forget_oldest(&mut self) -> Option<IdIndex> {
        self.older.pop_back()
    }

    /// Adds the ids that the operation decided last has made, as far as they are this shard's.
    pub fn apply(&mut self, made: Made, scratch: &Scratch) {
        let (count, number) = (self.count, self.number);
        let index = match made.kind {
            Kind::Accounts => &mut self.accounts,
            Kind::Transfers => &mut self.transfers,
        };
        let found = scratch.found.of(made.events);
        for (i, place) in scratch.decided.place[..made.events].iter().enumerate() {
            if let Some(ahead) = found.get(i + CHUNK) {
                index.prefetch(ahead.hash.get());
            }
            let place = *place;
            if place == NONE {
                continue;
            }
            let hash = found[i].hash.get();
            if count == 1 || owner(hash, count) == number {
                index.insert(hash, place);
            }
        }
    }

    /// Adds an account that a checkpoint has.
    pub fn restore_account(&mut self, hash: u64, slot: u32) {
        self.accounts.insert(hash, slot);
    }

    /// The slot of an account of this shard.
    #[must_use]
    pub fn account(&self, tables: &Tables, id: u128) -> Option<u32> {
        let hash = self.hasher.hash(id);
        self.accounts
            .find(hash, |slot| tables.accounts[slot as usize].id == id)
    }

    /// The place of a transfer of this shard that is in memory: a row or a burned id.
    #[must_use]
    pub fn transfer(&self, tables: &Tables, id: u128) -> Option<u32> {
        self.recent_place(tables, self.hasher.hash(id), id)
    }

    #[inline(always)]
    fn recent_place(&self, tables: &Tables, hash: u64, id: u128) -> Option<u32> {
        let is_key = |place| tables.transfer_place_is(place, id);
        if let Some(place) = self.transfers.find(hash, is_key) {
            return Some(place);
        }
        let may_hold = tables.window.sealed_may_hold(id);
        let older = self.older.iter().zip(may_hold);
        let mut older = older.filter(|(_, may_hold)| *may_hold);
        older.find_map(|(index, _)| index.find(hash, is_key))
    }

    #[inline(always)]
    fn prefetch_recent(&self, tables: &Tables, hash: u64, id: u128) {
        self.transfers.prefetch(hash);
        for (index, may_hold) in self.older.iter().zip(tables.window.sealed_may_hold(id)) {
            if may_hold {
                index.prefetch(hash);
            }
        }
    }
}

/// The number of the shard that owns the id with this hash.
#[inline(always)]
#[must_use]
pub fn owner(hash: u64, count: u32) -> u32 {
    // The index uses the hash's low half.
    (((hash >> 32) * u64::from(count)) >> 32) as u32
}
