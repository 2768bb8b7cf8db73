//! What requests ask for, and what has to come of it. A workload is made from a seed and can be
//! made again: so the audit knows what every request was without keeping it.

mod accounts;
mod tcc;
mod transfers;

use giro_base::{Account, CreateTransferStatus, Transfer};
use giro_client::{BranchKey, BranchStatus, ConfirmBranch, TryBranch};
use serde::{Deserialize, Serialize};

pub use self::accounts::{LEDGER, Spread};
pub use self::tcc::TccOptions;
pub use self::transfers::TransferOptions;

use self::accounts::Accounts;
use self::tcc::Tcc;
use self::transfers::Transfers;

/// What one run is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadOptions {
    /// Accounts it runs between.
    pub accounts: u32,
    /// How accounts are chosen.
    pub spread: Spread,
    /// Transfers or payments of a request.
    pub batch: usize,
    /// Makes another run of the same kind.
    pub seed: u64,
    /// Keeps ids of this run apart from those of others on the same ledger.
    pub run: u32,
    /// What kind of request.
    pub kind: Kind,
}

/// What requests are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Transfers.
    Transfers(TransferOptions),
    /// Payments as branches of TCC transactions.
    Tcc(TccOptions),
}

/// One request of the schedule: its steps follow each other, each when the one before is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// From 0.
    pub number: u64,
    /// None of them is empty.
    pub steps: Vec<Step>,
}

/// One message, and the answer that it must get.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Creates transfers; see [`expected`].
    Transfers(Vec<Transfer>),
    /// Tries branches; all get this answer.
    Try(Vec<TryBranch>, BranchStatus),
    /// Confirms branches.
    Confirm(Vec<ConfirmBranch>, BranchStatus),
    /// Cancels branches.
    Cancel(Vec<BranchKey>, BranchStatus),
}

/// What a transfer of a workload must be answered.
#[must_use]
pub fn expected(transfer: &Transfer) -> CreateTransferStatus {
    if transfer.debit_account_id == transfer.credit_account_id {
        return CreateTransferStatus::AccountsMustBeDifferent;
    }
    CreateTransferStatus::Created
}

/// Makes the jobs of a run, one after the other.
pub struct Workload {
    accounts: Accounts,
    batch: usize,
    next: u64,
    kind: Maker,
}

enum Maker {
    Transfers(Transfers),
    Tcc(Tcc),
}

impl Workload {
    /// The same options make the same jobs.
    #[must_use]
    pub fn new(options: &WorkloadOptions) -> Self {
        let kind = match &options.kind {
            Kind::Transfers(kind) => Maker::Transfers(Transfers::new(kind, options)),
            Kind::Tcc(kind) => Maker::Tcc(Tcc::new(kind, options)),
        };
        Self {
            accounts: Accounts::new(options),
            batch: options.batch,
            next: 0,
            kind,
        }
    }

    /// The accounts that have to be there.
    pub fn accounts(&self) -> impl Iterator<Item = Account> {
        self.accounts.all()
    }

    /// The place of an account among them; none if it is none of them.
    #[must_use]
    pub fn place(&self, account: u128) -> Option<usize> {
        self.accounts.place(account)
    }

    /// The next job.
    pub fn next_job(&mut self) -> Job {
        let number = self.next;
        self.next += 1;
        let (accounts, batch) = (&mut self.accounts, self.batch);
        let steps = match &mut self.kind {
            Maker::Transfers(kind) => kind.steps(accounts, batch),
            Maker::Tcc(kind) => kind.steps(accounts, batch),
        };
        Job { number, steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(kind: Kind) -> WorkloadOptions {
        WorkloadOptions {
            accounts: 100,
            spread: Spread::Zipf,
            batch: 50,
            seed: 4,
            run: 9,
            kind,
        }
    }

    #[test]
    fn the_same_options_make_the_same_jobs_and_another_seed_others() {
        for kind in [
            Kind::Transfers(TransferOptions {
                pending: 0.3,
                rejected: 0.2,
                random_ids: true,
            }),
            Kind::Tcc(TccOptions::default()),
        ] {
            let options = options(kind);
            let jobs = |options: &WorkloadOptions| {
                let mut workload = Workload::new(options);
                [(); 20].map(|()| workload.next_job())
            };
            assert_eq!(jobs(&options), jobs(&options));
            let other = WorkloadOptions {
                seed: 5,
                ..options.clone()
            };
            assert_ne!(jobs(&options), jobs(&other));
        }
    }

    #[test]
    fn shares_of_transfers_are_as_asked_for() {
        let kind = Kind::Transfers(TransferOptions {
            pending: 0.3,
            rejected: 0.2,
            random_ids: false,
        });
        let mut workload = Workload::new(&options(kind));
        let (mut all, mut pending, mut rejected) = (0, 0, 0);
        for _ in 0..200 {
            for step in workload.next_job().steps {
                let Step::Transfers(transfers) = step else {
                    panic!("it makes transfers only");
                };
                all += transfers.len();
                let refused = |transfer: &&Transfer| {
                    expected(transfer) == CreateTransferStatus::AccountsMustBeDifferent
                };
                rejected += transfers.iter().filter(refused).count();
                let is_pending = |transfer: &&Transfer| transfer.flags != 0;
                pending += transfers.iter().filter(is_pending).count();
            }
        }
        assert_eq!(all, 10_000);
        assert!((2_700..3_300).contains(&pending), "{pending}");
        assert!((1_800..2_200).contains(&rejected), "{rejected}");
    }
}
