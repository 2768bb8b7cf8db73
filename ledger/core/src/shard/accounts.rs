//! Resolving `create_accounts`.

use giro_base::{Account, AccountFlags};

use super::{CHUNK, Shard};
use crate::archive::Archive;
use crate::place::NONE;
use crate::scratch::Found;
use crate::tables::Tables;

impl Shard {
    pub(super) fn resolve_accounts(
        &mut self,
        tables: &Tables,
        events: &[Account],
        found: &Found,
        archive: Option<&dyn Archive>,
    ) {
        self.recent.begin_filled(events.len());
        for (chunk, accounts) in events.chunks(CHUNK).enumerate() {
            let mut hashes = [0; CHUNK];
            for (hash, account) in hashes.iter_mut().zip(accounts) {
                *hash = self.hasher.hash(account.id);
                self.accounts.prefetch(*hash);
            }
            for (k, account) in accounts.iter().enumerate() {
                if self.owns(hashes[k]) {
                    let i = chunk * CHUNK + k;
                    self.resolve_account(tables, events, found, i, hashes[k]);
                    if account.flags & AccountFlags::IMPORTED != 0 {
                        let may =
                            |archive: &dyn Archive| archive.may_hold_timestamp(account.timestamp);
                        let asks = archive.is_some_and(may);
                        found
                            .at(i)
                            .pending
                            .set(if asks { found.ask() } else { NONE });
                    }
                }
            }
        }
    }

    fn resolve_account(
        &mut self,
        tables: &Tables,
        events: &[Account],
        found: &Found,
        i: usize,
        hash: u64,
    ) {
        let id = events[i].id;
        let slot = self
            .accounts
            .find(hash, |slot| tables.accounts[slot as usize].id == id);
        let earlier = self.recent.replace(hash, i, |event| events[event].id == id);
        found.at(i).hash.set(hash);
        found.at(i).existing.set(slot.unwrap_or(NONE));
        found
            .at(i)
            .earlier
            .set(earlier.map_or(NONE, |event| event as u32));
    }
}
