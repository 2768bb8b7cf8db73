//! Resolving `create_transfers`: four keys an event, looked up a chunk at a time so that the
//! memory they lie in is on its way before it is read.

use giro_base::Transfer;
use giro_base::prefetch::prefetch;

use super::{CHUNK, Shard};
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
    debit_guess: [Option<u32>; CHUNK],
    credit_guess: [Option<u32>; CHUNK],
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
        self.recent.clear(events.len());
        let mut hashes = [Hashes::default(), Hashes::default(), Hashes::default()];
        let chunks = events.len().div_ceil(CHUNK);
        let chunk = |number: usize| {
            let start = number * CHUNK;
            start..events.len().min(start + CHUNK)
        };
        for step in 0..chunks + 2 {
            if step < chunks {
                let transfers = &events[chunk(step)];
                self.fetch_buckets(tables, transfers, &mut hashes[step % 3], archive);
            }
            if (1..=chunks).contains(&step) {
                self.fetch_places(
                    tables,
                    &events[chunk(step - 1)],
                    &mut hashes[(step - 1) % 3],
                    archive,
                );
            }
            if step >= 2 {
                let hashes = &hashes[(step - 2) % 3];
                for (k, i) in chunk(step - 2).enumerate() {
                    self.resolve_sides(tables, found, i, k, &events[i], hashes);
                    let ids = Ids {
                        tables,
                        events,
                        found,
                        archive,
                    };
                    self.resolve_ids(&ids, i, k, hashes);
                }
            }
        }
    }

    #[inline(always)]
    fn fetch_buckets(
        &self,
        tables: &Tables,
        transfers: &[Transfer],
        hashes: &mut Hashes,
        archive: Option<&dyn Archive>,
    ) {
        for (k, transfer) in transfers.iter().enumerate() {
            hashes.id[k] = self.hasher.hash(transfer.id);
            hashes.debit[k] = self.hasher.hash(transfer.debit_account_id);
            hashes.credit[k] = self.hasher.hash(transfer.credit_account_id);
            self.prefetch_recent(tables, hashes.id[k], transfer.id);
            if let Some(archive) = archive {
                archive.prefetch(hashes.id[k], transfer.id);
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
    fn fetch_places(
        &self,
        tables: &Tables,
        transfers: &[Transfer],
        hashes: &mut Hashes,
        archive: Option<&dyn Archive>,
    ) {
        for (k, transfer) in transfers.iter().enumerate() {
            if let Some(archive) = archive {
                archive.prefetch_again(hashes.id[k], transfer.id);
            }
            hashes.debit_guess[k] = self.accounts.guess(hashes.debit[k]);
            hashes.credit_guess[k] = self.accounts.guess(hashes.credit[k]);
            for slot in [hashes.debit_guess[k], hashes.credit_guess[k]]
                .into_iter()
                .flatten()
            {
                prefetch(&tables.accounts[slot as usize]);
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
    fn resolve_sides(
        &self,
        tables: &Tables,
        found: &Found,
        i: usize,
        k: usize,
        transfer: &Transfer,
        hashes: &Hashes,
    ) {
        let slot = |guess: Option<u32>, hash, id| {
            let is_key = |slot: u32| tables.accounts[slot as usize].id == id;
            let guessed = guess.filter(|slot| is_key(*slot));
            guessed
                .or_else(|| self.accounts.find(hash, is_key))
                .unwrap_or(NONE)
        };
        let Hashes {
            debit,
            credit,
            debit_guess,
            credit_guess,
            ..
        } = hashes;
        if self.owns(debit[k]) {
            found
                .debit
                .set(i, slot(debit_guess[k], debit[k], transfer.debit_account_id));
        }
        if self.owns(credit[k]) {
            found.credit.set(
                i,
                slot(credit_guess[k], credit[k], transfer.credit_account_id),
            );
        }
    }

    #[inline(always)]
    fn resolve_ids(&mut self, ids: &Ids<'_>, i: usize, k: usize, hashes: &Hashes) {
        let Ids { events, found, .. } = *ids;
        let event = |earlier: Option<usize>| earlier.map_or(NONE, |event| event as u32);
        let Transfer { id, pending_id, .. } = events[i];
        if pending_id != 0 && self.owns(hashes.pending[k]) {
            found
                .pending
                .set(i, self.pending_place(ids, hashes.pending[k], pending_id));
            let earlier = self
                .recent
                .find(hashes.pending[k], |e| events[e].id == pending_id);
            found.pending_earlier.set(i, event(earlier));
        }
        if self.owns(hashes.id[k]) {
            found.hash.set(i, hashes.id[k]);
            found.existing.set(i, self.place(ids, hashes.id[k], id));
            let earlier = self.recent.replace(hashes.id[k], i, |e| events[e].id == id);
            found.earlier.set(i, event(earlier));
        }
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
}
