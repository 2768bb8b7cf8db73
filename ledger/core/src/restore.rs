//! Making a state machine go on where another one was, from what a checkpoint has of it.

use giro_base::{Account, Timestamp};

use crate::conservation::Totals;
use crate::decide::expires_at;
use crate::digest::Digest;
use crate::machine::StateMachine;
use crate::pendings::Pending;
use crate::shard::owner;

/// The end of a generation: where a state machine goes on whose earlier transfers are all in the
/// history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// Number of the generation that begins.
    pub generation: u64,
    /// Its first row.
    pub row: u64,
    /// Timestamp of the last transfer (ns); 0 if there is none.
    pub timestamp_last: Timestamp,
    /// The digest over everything executed.
    pub digest: Digest,
}

impl StateMachine {
    /// Takes the next account, as it stands at the boundary. They come by slot.
    ///
    /// # Panics
    /// When there are more than the machine has room for ([`Self::has_room`]).
    pub fn restore_account(&mut self, account: &Account) {
        let slot = self.tables.accounts.len() as u32;
        let hash = self.hasher.hash(account.id);
        let shard = owner(hash, self.shards.len() as u32);
        self.shards[shard as usize].restore_account(hash, slot);
        self.tables.accounts.push(Account {
            // No row that touched it is in memory.
            reserved: 0,
            ..*account
        });
    }

    /// Takes a pending transfer that is open at the boundary.
    pub fn restore_pending(&mut self, pending: Pending) {
        if pending.transfer.timeout != 0 {
            let at = expires_at(&pending.transfer);
            self.tables.due.push(at, pending.row);
        }
        self.tables.pendings.insert(pending);
    }

    /// Goes on from the boundary, when accounts and pending transfers are all there. Says whether
    /// the books balance.
    ///
    /// # Panics
    /// When it has executed something.
    #[must_use]
    pub fn restore(&mut self, boundary: &Boundary) -> bool {
        let slots = self.tables.accounts.len() as u32;
        self.tables.window.begin_at(boundary, slots);
        self.digest = boundary.digest;
        self.tables.totals = Totals::of(&self.tables.accounts);
        self.tables.totals.is_balanced()
    }
}
