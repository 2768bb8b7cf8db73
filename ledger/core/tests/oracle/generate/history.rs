//! What a generator has sent lately, to send again or to refer to.

use giro_base::branch::TryBranch;
use giro_base::{Account, Transfer, TransferFlags};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

const KEPT: usize = 2048;
const PENDINGS_KEPT: usize = 64;
const TRIES_KEPT: usize = 64;

/// Rings of events.
#[derive(Default)]
pub(super) struct History {
    accounts: Ring<Account>,
    transfers: Ring<Transfer>,
    pendings: Ring<Transfer>,
    tries: Vec<TryBranch>,
}

impl History {
    pub(super) fn add_account(&mut self, account: Account) {
        self.accounts.push(account, KEPT);
    }

    pub(super) fn add_transfer(&mut self, transfer: Transfer) {
        self.transfers.push(transfer, KEPT);
        if transfer.flags & TransferFlags::PENDING != 0 {
            self.pendings.push(transfer, PENDINGS_KEPT);
        }
    }

    pub(super) fn add_try(&mut self, branch: TryBranch) {
        self.tries.push(branch);
        let surplus = self.tries.len().saturating_sub(TRIES_KEPT);
        self.tries.drain(..surplus);
    }

    /// Any try, newer ones more often.
    pub(super) fn earlier_try(&self, rng: &mut ChaCha8Rng) -> Option<&TryBranch> {
        let count = self.tries.len();
        let among = if rng.random() { count.min(8) } else { count };
        (count > 0).then(|| &self.tries[count - 1 - rng.random_range(0..among)])
    }

    pub(super) fn account(&self, rng: &mut ChaCha8Rng) -> Option<Account> {
        self.accounts.pick(rng)
    }

    pub(super) fn transfer(&self, rng: &mut ChaCha8Rng) -> Option<Transfer> {
        self.transfers.pick(rng)
    }

    pub(super) fn pending(&self, rng: &mut ChaCha8Rng) -> Option<Transfer> {
        self.pendings.pick(rng)
    }
}

struct Ring<T> {
    items: Vec<T>,
    next: usize,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            next: 0,
        }
    }
}

impl<T: Copy> Ring<T> {
    fn push(&mut self, item: T, kept: usize) {
        if self.items.len() < kept {
            self.items.push(item);
        } else {
            self.items[self.next % kept] = item;
        }
        self.next += 1;
    }

    /// Any item, newer ones more often.
    fn pick(&self, rng: &mut ChaCha8Rng) -> Option<T> {
        let count = self.items.len();
        if count == 0 {
            return None;
        }
        let back = if rng.random() {
            rng.random_range(0..count.min(8))
        } else {
            rng.random_range(0..count)
        };
        Some(self.items[(self.next - 1 - back) % count])
    }
}
