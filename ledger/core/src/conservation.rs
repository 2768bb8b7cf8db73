//! The books balance: sums over debits and credits that must agree after every operation.

use giro_base::Account;

/// Running sums of all balances, each weighted by its account's ledger, so that an amount moved
/// between two ledgers cannot cancel out. Arithmetic wraps: only equality matters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Weighted sums over all changes but those of the run.
    settled: Sums,
    /// Changes of one ledger, not weighted yet: transfers of one ledger follow each other.
    run: Sums,
    /// The run's ledger.
    ledger: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    debits_pending: u128,
    debits_posted: u128,
    credits_pending: u128,
    credits_posted: u128,
}

impl Totals {
    /// Takes note of what a change did to the pending and posted debits of an account.
    #[inline(always)]
    pub fn debit(&mut self, ledger: u32, before: [u128; 2], after: [u128; 2]) {
        self.begin_run(ledger);
        add(&mut self.run.debits_pending, before[0], after[0]);
        add(&mut self.run.debits_posted, before[1], after[1]);
    }

    /// Takes note of what a change did to the pending and posted credits of an account.
    #[inline(always)]
    pub fn credit(&mut self, ledger: u32, before: [u128; 2], after: [u128; 2]) {
        self.begin_run(ledger);
        add(&mut self.run.credits_pending, before[0], after[0]);
        add(&mut self.run.credits_posted, before[1], after[1]);
    }

    /// Takes note of what a change did to the posted debits of one account and the posted credits
    /// of another one of the same ledger.
    #[inline(always)]
    pub fn posted(&mut self, ledger: u32, before: [u128; 2], after: [u128; 2]) {
        self.begin_run(ledger);
        add(&mut self.run.debits_posted, before[0], after[0]);
        add(&mut self.run.credits_posted, before[1], after[1]);
    }

    /// The same for pending debits and credits.
    #[inline(always)]
    pub fn pending(&mut self, ledger: u32, before: [u128; 2], after: [u128; 2]) {
        self.begin_run(ledger);
        add(&mut self.run.debits_pending, before[0], after[0]);
        add(&mut self.run.credits_pending, before[1], after[1]);
    }

    #[inline(always)]
    fn begin_run(&mut self, ledger: u32) {
        if ledger != self.ledger {
            self.settled = self.sums();
            self.run = Sums::default();
            self.ledger = ledger;
        }
    }

    /// The weighted sums over everything.
    fn sums(&self) -> Sums {
        let weight = weight(self.ledger);
        let sum = |settled: u128, run: u128| settled.wrapping_add(run.wrapping_mul(weight));
        let (settled, run) = (&self.settled, &self.run);
        Sums {
            debits_pending: sum(settled.debits_pending, run.debits_pending),
            debits_posted: sum(settled.debits_posted, run.debits_posted),
            credits_pending: sum(settled.credits_pending, run.credits_pending),
            credits_posted: sum(settled.credits_posted, run.credits_posted),
        }
    }

    /// Stops the process when money was made or lost.
    ///
    /// # Panics
    /// When debits and credits differ: a bug, after which no state may be acknowledged.
    pub fn assert_balanced(&self) {
        let sums = self.sums();
        assert_eq!(
            sums.debits_pending, sums.credits_pending,
            "pending debits and credits differ"
        );
        assert_eq!(
            sums.debits_posted, sums.credits_posted,
            "posted debits and credits differ"
        );
    }

    /// Whether [`Self::assert_balanced`] would pass, for numbers that come from disk.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let sums = self.sums();
        sums.debits_pending == sums.credits_pending && sums.debits_posted == sums.credits_posted
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
fn add(total: &mut u128, before: u128, after: u128) {
    *total = total.wrapping_add(after.wrapping_sub(before));
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

    #[test]
    fn ledgers_in_turn_are_weighted_each_for_itself() {
        let mut totals = Totals::default();
        for ledger in [1, 2, 1, 3, 2] {
            totals.posted(ledger, [1, 2], [8, 9]);
            totals.pending(ledger, [8, 9], [3, 4]);
            assert!(totals.is_balanced());
        }
        totals.debit(1, [0, 0], [0, 5]);
        totals.credit(3, [0, 0], [0, 5]);
        assert!(!totals.is_balanced(), "an amount went to another ledger");
        totals.debit(3, [0, 0], [0, 5]);
        totals.credit(1, [0, 0], [0, 5]);
        assert!(totals.is_balanced());
    }
}
