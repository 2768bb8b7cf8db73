//! Reading: lookups by id.

use giro_base::Account;
use zerocopy::IntoBytes;

use crate::machine::StateMachine;

impl StateMachine {
    /// Writes the accounts with these ids to `out` in the order asked, missing ones left out, and
    /// returns how many. `ids` are 16 little-endian bytes each; `out` has room for all.
    pub fn lookup_accounts(&self, ids: &[u8], out: &mut [u8]) -> usize {
        let mut found = 0;
        for account in ids_in(ids).filter_map(|id| self.account(id)) {
            out[found * size_of::<Account>()..][..size_of::<Account>()]
                .copy_from_slice(account.as_bytes());
            found += 1;
        }
        found
    }

    /// As [`Self::lookup_accounts`], for transfers.
    pub fn lookup_transfers(&self, ids: &[u8], out: &mut [u8]) -> usize {
        let mut found = 0;
        for transfer in ids_in(ids).filter_map(|id| self.transfer(id)) {
            let bytes = transfer.as_bytes();
            out[found * bytes.len()..][..bytes.len()].copy_from_slice(bytes);
            found += 1;
        }
        found
    }
}

fn ids_in(bytes: &[u8]) -> impl Iterator<Item = u128> + '_ {
    bytes
        .as_chunks::<16>()
        .0
        .iter()
        .map(|id| u128::from_le_bytes(*id))
}
