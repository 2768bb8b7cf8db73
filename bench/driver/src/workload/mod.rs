//! What requests ask for, and what has to come of it. A workload is made from a seed and can be
//! made again: so the audit knows what every request was without keeping it.

mod accounts;
mod mix;
mod tcc;
mod transfers;

use giro_base::{Account, CreateTransferStatus, Transfer};
use giro_client::{BranchKey, BranchStatus, ConfirmBranch, TryBranch};
use serde::{Deserialize, Serialize};

pub use self::accounts::{LEDGER, Spread};
pub use self::mix::MixOptions;
pub use self::tcc::TccOptions;
pub use self::transfers::TransferOptions;

use self::accounts::Accounts;
use self::mix::Mix;

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
    /// Requests of [`GROWTH_BATCH`] transfers that come before all others, to make the ledger
    /// large.
    #[serde(default)]
    pub grown: u64,
    /// What kind of request.
    pub kind: Kind,
}

/// Transfers of a request that makes the ledger large.
pub const GROWTH_BATCH: usize = 8_000;

/// What requests are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Transfers.
    Transfers(TransferOptions),
    /// Payments as branches of TCC transactions.
    Tcc(TccOptions),
    /// Writes and reads.
    Mix(MixOptions),
}

/// One request of the schedule: its steps follow each other, each when the one before is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// From 0.
    pub number: u64,
    /// What it is.
    pub kind: JobKind,
    /// None of them is empty.
    pub steps: Vec<Step>,
}

impl Job {
    /// Transfers or payments in it.
    #[must_use]
    pub fn units(&self) -> u64 {
        let units = |step: &Step| match step {
            Step::Transfers(transfers) => transfers.len(),
            // A payment is tried once, or once in vain.
            Step::Try(branches, BranchStatus::Done | BranchStatus::Suspended) => branches.len(),
            _ => 0,
        };
        self.steps.iter().map(units).sum::<usize>() as u64
    }
}

/// What a request is, for figures of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Creates transfers.
    Transfers,
    /// Payments, with all their steps.
    Payments,
    /// Reads what accounts have.
    Balances,
    /// Reads transfers by their ids.
    LookUp,
    /// Reads an account's newest transfers.
    Statement,
}

impl JobKind {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Payments => "payments",
            Self::Balances => "balances",
            Self::LookUp => "transfers by id",
            Self::Statement => "newest of an account",
        }
    }

    /// Whether it moves money.
    #[must_use]
    pub fn is_write(self) -> bool {
        matches!(self, Self::Transfers | Self::Payments)
    }
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
    /// Reads accounts, which all have to be there.
    Accounts(Vec<u128>),
    /// Reads transfers, which may not be there yet.
    LookUp(Vec<u128>),
    /// Reads so many of an account's newest transfers.
    Statement(u128, u32),
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
    grown: u64,
    next: u64,
    maker: Mix,
    kind: Only,
}

/// Requests are all of one kind, or mixed.
#[derive(Clone, Copy)]
enum Only {
    Transfers,
    Payments,
    Mixed,
}

impl Workload {
    /// The same options make the same jobs.
    #[must_use]
    pub fn new(options: &WorkloadOptions) -> Self {
        let (only, mix) = match &options.kind {
            Kind::Transfers(transfers) => (Only::Transfers, MixOptions::of(transfers, None)),
            Kind::Tcc(tcc) => (
                Only::Payments,
                MixOptions::of(&TransferOptions::default(), Some(tcc)),
            ),
            Kind::Mix(mix) => (Only::Mixed, mix.clone()),
        };
        Self {
            accounts: Accounts::new(options),
            batch: options.batch,
            grown: options.grown,
            next: 0,
            maker: Mix::new(&mix, options),
            kind: only,
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
        let (kind, steps) = match self.kind {
            _ if number < self.grown => {
                let steps = self.maker.transfers().steps(accounts, GROWTH_BATCH);
                (JobKind::Transfers, steps)
            }
            Only::Transfers => {
                let steps = self.maker.transfers().steps(accounts, batch);
                (JobKind::Transfers, steps)
            }
            Only::Payments => (
                JobKind::Payments,
                self.maker.payments().steps(accounts, batch),
            ),
            Only::Mixed => self.maker.steps(accounts, batch),
        };
        Job {
            number,
            kind,
            steps,
        }
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
            grown: 0,
            kind,
        }
    }

    fn mix(reads: f64, payments: f64) -> MixOptions {
        MixOptions {
            reads,
            payments,
            page: 10,
            transfers: TransferOptions {
                random_ids: true,
                ..TransferOptions::default()
            },
            tcc: TccOptions::default(),
        }
    }

    #[test]
    fn shares_of_a_mix_are_as_asked_for_and_growth_comes_first() {
        let options = WorkloadOptions {
            grown: 2,
            ..options(Kind::Mix(mix(0.5, 0.2)))
        };
        let mut workload = Workload::new(&options);
        let mut counts = std::collections::BTreeMap::new();
        for number in 0..4002 {
            let job = workload.next_job();
            if number < 2 {
                assert!(matches!(&job.steps[..], [Step::Transfers(all)] if all.len() == 8000));
                continue;
            }
            *counts.entry(job.kind).or_insert(0) += 1;
            if let Step::LookUp(ids) = &job.steps[0] {
                assert_eq!(ids.len(), 10);
            }
        }
        let near = |kind, share: f64| {
            let (found, wanted) = (f64::from(counts[&kind]), 4000.0 * share);
            assert!(
                (found - wanted).abs() < 200.0,
                "{kind:?}: {found} of {wanted}"
            );
        };
        near(JobKind::Balances, 0.25);
        near(JobKind::LookUp, 0.125);
        near(JobKind::Statement, 0.125);
        near(JobKind::Payments, 0.2);
        near(JobKind::Transfers, 0.3);
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
            Kind::Mix(mix(0.5, 0.2)),
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
