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
    /// Takes note of what a debit account had before a change and has after it.
    #[inline(always)]
    pub fn debit(&mut self, before: &Account, after: &Account) {
        let weight = weight(after.ledger);
        let pending = after.debits_pending.wrapping_sub(before.debits_pending);
        let posted = after.debits_posted.wrapping_sub(before.debits_posted);
        self.debits_pending = self
            .debits_pending
            .wrapping_add(pending.wrapping_mul(weight));
        self.debits_posted = self.debits_posted.wrapping_add(posted.wrapping_mul(weight));
    }

    /// Takes note of what a credit account had before a change and has after it.
    #[inline(always)]
    pub fn credit(&mut self, before: &Account, after: &Account) {
        let weight = weight(after.ledger);
        let pending = after.credits_pending.wrapping_sub(before.credits_pending);
        let posted = after.credits_posted.wrapping_sub(before.credits_posted);
        self.credits_pending = self
            .credits_pending
            .wrapping_add(pending.wrapping_mul(weight));
        self.credits_posted = self
            .credits_posted
            .wrapping_add(posted.wrapping_mul(weight));
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

    /// The sums over these accounts, counted afresh.
    #[must_use]
    pub fn of(accounts: &[Account]) -> Self {
        let mut totals = Self::default();
        for account in accounts {
            totals.debit(&Account::default(), account);
            totals.credit(&Account::default(), account);
        }
        totals
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
