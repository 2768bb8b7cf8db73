//! Making a state machine go on where another one was, from what a checkpoint has of it.

use std::collections::HashMap;

use giro_base::{Account, Timestamp};

use crate::conservation::Totals;
use crate::decide::expires_at;
use crate::digest::Digest;
use crate::machine::StateMachine;
use crate::pendings::Pending;
use crate::shard::owner;
use crate::tables::Tables;

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
            self.tables
                .due
                .push(at, pending.transfer.timeout, pending.row);
        }
        self.tables.pendings.insert(&pending);
    }

    /// Goes on from the boundary, when accounts and pending transfers are all there.
    ///
    /// # Errors
    /// What does not fit together: the numbers come from disk.
    ///
    /// # Panics
    /// When it has executed something.
    pub fn restore(&mut self, boundary: &Boundary) -> Result<(), &'static str> {
        let slots = self.tables.accounts.len() as u32;
        self.tables.window.begin_at(boundary, slots);
        self.digest = boundary.digest;
        self.tables.totals = Totals::of(&self.tables.accounts);
        if !self.tables.totals.is_balanced() {
            return Err("debits and credits of the accounts differ");
        }
        if !self.tables.is_reserved_right() {
            return Err("the accounts do not have reserved what is pending");
        }
        Ok(())
    }
}

impl Tables {
    /// Whether each account has reserved what its open pending transfers take.
    fn is_reserved_right(&self) -> bool {
        let mut reserved: HashMap<u32, [u128; 2]> = HashMap::new();
        for pending in self.pendings.iter() {
            for (side, slot) in [pending.debit, pending.credit].into_iter().enumerate() {
                let sum = &mut reserved.entry(slot).or_default()[side];
                let Some(more) = sum.checked_add(pending.transfer.amount) else {
                    return false;
                };
                *sum = more;
            }
        }
        for (account, slot) in self.accounts.iter().zip(0..) {
            let has = [account.debits_pending, account.credits_pending];
            if has != [0, 0] && reserved.remove(&slot) != Some(has) {
                return false;
            }
        }
        reserved.into_values().all(|left| left == [0, 0])
    }
}
