//! Resolving `create_transfers`: four keys an event, looked up a chunk at a time so that the
//! memory they lie in is on its way before it is read.

use giro_base::Transfer;
use giro_base::prefetch::prefetch;

use super::{CHUNK, Shard, owner};
use crate::archive::Archive;
use crate::place::{NONE, Stored};
use crate::scratch::Found;
use crate::tables::Tables;

/// The hashes of one chunk's keys, and what they led to.
#[derive(Default)]
struct Hashes {
    id: [u64; CHUNK],
    debit: [u64; CHUNK],
    credit: [u64; CHUNK],
    pending: [u64; CHUNK],
    /// Where the accounts probably lie: right nearly always.
    debit_guess: [u32; CHUNK],
    credit_guess: [u32; CHUNK],
}

impl Shard {
    /// Three steps a chunk, each a chunk behind the one before: ask for the buckets, ask for what
    /// the buckets point to, look it all up.
    pub(super) fn resolve_transfers(
        &mut self,
        tables: &Tables,
        events: &[Transfer],
        found: &Found,
        archive: Option<&dyn Archive>,
    ) {
        let in_history = archive.map_or(0, Archive::id_max);
        let known_max = tables.window.id_max().max(in_history);
        self.recent.begin(events.len(), known_max);
        let ids = Ids {
            tables,
            events,
            found,
            archive,
            known_max,
        };
        let mut hashes = [Hashes::default(), Hashes::default(), Hashes::default()];
        let chunks = events.len().div_ceil(CHUNK);
        let chunk = |number: usize| {
            let start = number * CHUNK;
            start..events.len().min(start + CHUNK)
        };
        for step in 0..chunks + 2 {
            if step < chunks {
                let transfers = &events[chunk(step)];
                self.fetch_buckets(&ids, transfers, &mut hashes[step % 3]);
            }
            if (1..=chunks).contains(&step) {
                let transfers = &events[chunk(step - 1)];
                self.fetch_places(&ids, transfers, &mut hashes[(step - 1) % 3]);
            }
            if step >= 2 {
                let hashes = &hashes[(step - 2) % 3];
                for (k, i) in chunk(step - 2).enumerate() {
                    self.resolve_sides(&ids, i, k, hashes);
                    self.resolve_ids(&ids, i, k, hashes);
                }
            }
        }
    }

    #[inline(always)]
    fn fetch_buckets(&self, ids: &Ids<'_>, transfers: &[Transfer], hashes: &mut Hashes) {
        let tables = ids.tables;
        for (k, transfer) in transfers.iter().enumerate() {
            hashes.id[k] = self.hasher.hash(transfer.id);
            hashes.debit[k] = self.hasher.hash(transfer.debit_account_id);
            hashes.credit[k] = self.hasher.hash(transfer.credit_account_id);
            if transfer.id <= ids.known_max {
                self.prefetch_recent(tables, hashes.id[k], transfer.id);
                if let Some(archive) = ids.archive {
                    archive.prefetch(hashes.id[k], transfer.id);
                }
            }
            self.accounts.prefetch(hashes.debit[k]);
            self.accounts.prefetch(hashes.credit[k]);
            if transfer.pending_id != 0 {
                hashes.pending[k] = self.hasher.hash(transfer.pending_id);
                self.prefetch_recent(tables, hashes.pending[k], transfer.pending_id);
            }
        }
    }

    #[inline(always)]
    fn fetch_places(&self, ids: &Ids<'_>, transfers: &[Transfer], hashes: &mut Hashes) {
        let tables = ids.tables;
        for (k, transfer) in transfers.iter().enumerate() {
            if transfer.id <= ids.known_max
                && let Some(archive) = ids.archive
            {
                archive.prefetch_again(hashes.id[k], transfer.id);
            }
            let guess = |hash| self.accounts.guess(hash).unwrap_or(NONE);
            hashes.debit_guess[k] = guess(hashes.debit[k]);
            hashes.credit_guess[k] = guess(hashes.credit[k]);
            for slot in [hashes.debit_guess[k], hashes.credit_guess[k]] {
                if let Some(account) = tables.accounts.get(slot as usize) {
                    prefetch(account);
                }
            }
            if transfer.pending_id != 0
                && let Some(place) = self.transfers.guess(hashes.pending[k])
                && let Stored::Row(place) = Stored::in_window(place)
            {
                tables.window.prefetch(tables.window.row_at(place));
            }
        }
    }

    /// The accounts. A post or void may leave them out; decide then takes the pending transfer's.
    #[inline(always)]
    fn resolve_sides(&self, ids: &Ids<'_>, i: usize, k: usize, hashes: &Hashes) {
        let Ids { tables, found, .. } = *ids;
        let Transfer {
            debit_account_id,
            credit_account_id,
            ..
        } = ids.events[i];
        let slot = |guess: u32, hash, id| match tables.accounts.get(guess as usize) {
            Some(account) if account.id == id => guess,
            _ => self.search_account(tables, hash, id),
        };
        let found = found.at(i);
        let (debit, credit) = (hashes.debit[k], hashes.credit[k]);
        if self.owns(debit) {
            let slot = slot(hashes.debit_guess[k], debit, debit_account_id);
            found.debit.set(slot);
        }
        if self.owns(credit) {
            let slot = slot(hashes.credit_guess[k], credit, credit_account_id);
            found.credit.set(slot);
        }
    }

    /// An account's slot, where the guess was wrong.
    #[inline(never)]
    fn search_account(&self, tables: &Tables, hash: u64, id: u128) -> u32 {
        let is_key = |slot: u32| tables.accounts[slot as usize].id == id;
        self.accounts.find(hash, is_key).unwrap_or(NONE)
    }

    #[inline(always)]
    fn resolve_ids(&mut self, ids: &Ids<'_>, i: usize, k: usize, hashes: &Hashes) {
        let Ids { events, found, .. } = *ids;
        let found = found.at(i);
        let event = |earlier: Option<usize>| earlier.map_or(NONE, |event| event as u32);
        let Transfer { id, pending_id, .. } = events[i];
        if pending_id != 0 && self.owns(hashes.pending[k]) {
            let place = self.pending_place(ids, hashes.pending[k], pending_id);
            found.pending.set(place);
            let mut earlier = None;
            if self.recent.may_hold(pending_id) {
                self.fill_recent(&events[..i]);
                let is_pending = |e: usize| events[e].id == pending_id;
                earlier = self.recent.find(hashes.pending[k], is_pending);
            }
            found.pending_earlier.set(event(earlier));
        }
        if self.owns(hashes.id[k]) {
            found.hash.set(hashes.id[k]);
            if self.recent.rises(id) {
                found.existing.set(NONE);
                found.earlier.set(NONE);
                return;
            }
            self.fill_recent(&events[..i]);
            found.existing.set(self.place(ids, hashes.id[k], id));
            let earlier = self.recent.replace(hashes.id[k], i, |e| events[e].id == id);
            found.earlier.set(event(earlier));
        }
    }

    /// From here on an id of the operation may be there twice: takes those before, if that was not
    /// done.
    fn fill_recent(&mut self, before: &[Transfer]) {
        let (count, number, hasher) = (self.count, self.number, self.hasher);
        self.recent.fill(before.len(), |event| {
            let hash = hasher.hash(before[event].id);
            (count == 1 || owner(hash, count) == number).then_some(hash)
        });
    }

    #[inline(always)]
    fn place(&self, ids: &Ids<'_>, hash: u64, id: u128) -> u32 {
        if let Some(place) = self.recent_place(ids.tables, hash, id) {
            // Its two kinds look the same in the index and among all places.
            return place;
        }
        match ids.archive {
            Some(archive) if archive.may_hold(hash, id) => ids.found.ask(),
            _ => NONE,
        }
    }

    #[inline(always)]
    fn pending_place(&self, ids: &Ids<'_>, hash: u64, id: u128) -> u32 {
        if let Some(place) = self.recent_place(ids.tables, hash, id) {
            // Its two kinds look the same in the index and among all places.
            return place;
        }
        if let Some(slot) = ids.tables.pendings.find(hash, id) {
            return Stored::Older(slot).place();
        }
        match ids.archive {
            Some(archive) if archive.may_hold(hash, id) => ids.found.ask(),
            _ => NONE,
        }
    }
}

/// What looking up an id takes.
struct Ids<'a> {
    tables: &'a Tables,
    events: &'a [Transfer],
    found: &'a Found,
    archive: Option<&'a dyn Archive>,
    /// No id above this one is known from before the operation.
    known_max: u128,
}
