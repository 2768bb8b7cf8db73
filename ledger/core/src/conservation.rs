//! The books balance: sums over debits and credits that must agree after every operation.

use giro_base::Account;

/// Running sums of all balances, each weighted by its account's ledger, so that an amount moved
/// between two ledgers cannot cancel out. Arithmetic wraps: only equality matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    debits_pending: u128,
    debits_posted: u128,
    credits_pending: u128,
    credits_posted: u128,
}

impl Totals {
    /// Takes note of what a change did to the pending and posted debits of an account.
    #[inline(always)]
    pub fn debit(&mut self, ledger: u32, before: [u128; 2], after: [u128; 2]) {
        add(&mut self.debits_pending, ledger, before[0], after[0]);
        add(&mut self.debits_posted, ledger, before[1], after[1]);
    }

    /// Takes note of what a change did to the pending and posted credits of an account.
    #[inline(always)]
    pub fn credit(&mut self, ledger: u32, before: [u128; 2], after: [u128; 2]) {
        add(&mut self.credits_pending, ledger, before[0], after[0]);
        add(&mut self.credits_posted, ledger, before[1], after[1]);
    }

    /// Stops the process when money was made or lost.
    ///
    /// # Panics
    /// When debits and credits differ: a bug, after which no state may be acknowledged.
    pub fn assert_balanced(&self) {
        assert_eq!(
            self.debits_pending, self.credits_pending,
            "pending debits and credits differ"
        );
        assert_eq!(
            self.debits_posted, self.credits_posted,
            "posted debits and credits differ"
        );
    }

    /// Whether [`Self::assert_balanced`] would pass, for numbers that come from disk.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.debits_pending == self.credits_pending && self.debits_posted == self.credits_posted
    }

    /// The sums over these accounts, counted afresh.
    #[must_use]
    pub fn of(accounts: &[Account]) -> Self {
        let mut totals = Self::default();
        for account in accounts {
            let Account {
                ledger,
                debits_pending,
                debits_posted,
                ..
            } = *account;
            let Account {
                credits_pending,
                credits_posted,
                ..
            } = *account;
            totals.debit(ledger, [0, 0], [debits_pending, debits_posted]);
            totals.credit(ledger, [0, 0], [credits_pending, credits_posted]);
        }
        totals
    }
}

#[inline(always)]
fn add(total: &mut u128, ledger: u32, before: u128, after: u128) {
    if before != after {
        *total = total.wrapping_add(after.wrapping_sub(before).wrapping_mul(weight(ledger)));
    }
}

/// Odd, so that multiplying loses nothing.
#[inline(always)]
fn weight(ledger: u32) -> u128 {
    u128::from(u64::from(ledger).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "posted debits and credits differ")]
    fn an_amount_moved_between_ledgers_is_found() {
        let debit = Account {
            ledger: 1,
            debits_posted: 5,
            ..Account::default()
        };
        let credit = Account {
            ledger: 2,
            credits_posted: 5,
            ..Account::default()
        };
        Totals::of(&[debit, credit]).assert_balanced();
    }
}
