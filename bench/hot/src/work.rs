//! Inputs.

use giro_base::{Account, Transfer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Transfers of a full message.
pub(crate) const FULL: usize = 8189;
/// Accounts they run between.
pub(crate) const ACCOUNTS: u128 = 10_000;

/// Makes transfers, always the same.
pub(crate) struct Transfers {
    rng: ChaCha8Rng,
    next_id: u128,
}

impl Transfers {
    pub(crate) fn new() -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(1),
            next_id: 1 << 64,
        }
    }

    pub(crate) fn next(&mut self, count: usize) -> Vec<Transfer> {
        (0..count).map(|_| self.transfer()).collect()
    }

    fn transfer(&mut self) -> Transfer {
        let debit = self.rng.random_range(0..ACCOUNTS);
        let credit = (debit + self.rng.random_range(1..ACCOUNTS)) % ACCOUNTS;
        self.next_id += 1;
        Transfer {
            id: self.next_id,
            debit_account_id: 1 + debit,
            credit_account_id: 1 + credit,
            amount: self.rng.random_range(1..1000),
            ledger: 1,
            code: 1,
            ..Transfer::default()
        }
    }
}

/// The accounts.
pub(crate) fn accounts() -> Vec<Account> {
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    };
    (1..=ACCOUNTS).map(account).collect()
}
