//! Payments as branches of TCC transactions, and what a network makes of them: repeats, cancels
//! before their try, tries that come late.

use giro_client::{BranchKey, BranchStatus, ConfirmBranch, Leg, TryBranch};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::accounts::{Accounts, LEDGER};
use super::{Step, WorkloadOptions};

/// What becomes of payments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TccOptions {
    /// Part that is cancelled; the rest is confirmed.
    pub cancelled: f64,
    /// Part whose cancel comes before its try, which is then late.
    pub late: f64,
    /// Part whose try and confirm are sent twice.
    pub repeated: f64,
}

impl Default for TccOptions {
    fn default() -> Self {
        Self {
            cancelled: 0.05,
            late: 0.005,
            repeated: 0.01,
        }
    }
}

pub(super) struct Tcc {
    options: TccOptions,
    run: u32,
    next: u64,
}

impl Tcc {
    pub(super) fn new(options: &TccOptions, workload: &WorkloadOptions) -> Self {
        Self {
            options: options.clone(),
            run: workload.run,
            next: 0,
        }
    }

    pub(super) fn steps(&mut self, accounts: &mut Accounts, batch: usize) -> Vec<Step> {
        use BranchStatus::{Done, DoneBefore, Suspended};
        let (mut tries, mut again, mut confirms) = (Vec::new(), Vec::new(), Vec::new());
        let (mut confirms_again, mut cancels) = (Vec::new(), Vec::new());
        let (mut early, mut late) = (Vec::new(), Vec::new());
        for _ in 0..batch {
            let branch = self.branch(accounts);
            let key = branch.key.clone();
            let rng = accounts.rng();
            let (is_late, is_repeated) = (
                rng.random_bool(self.options.late),
                rng.random_bool(self.options.repeated),
            );
            if rng.random_bool(self.options.cancelled) && !is_late {
                cancels.push(key);
                tries.push(branch);
            } else if is_late {
                early.push(key);
                late.push(branch);
            } else {
                if is_repeated {
                    again.push(branch.clone());
                    confirms_again.push(ConfirmBranch::whole(key.clone()));
                }
                confirms.push(ConfirmBranch::whole(key));
                tries.push(branch);
            }
        }
        let steps = [
            Step::Cancel(early, Done),
            Step::Try(tries, Done),
            Step::Try(late, Suspended),
            Step::Try(again, DoneBefore),
            Step::Confirm(confirms, Done),
            Step::Confirm(confirms_again, DoneBefore),
            Step::Cancel(cancels, Done),
        ];
        let steps = steps.into_iter();
        steps.filter(|step| !step.is_empty()).collect()
    }

    fn branch(&mut self, accounts: &mut Accounts) -> TryBranch {
        let (debit_account_id, credit_account_id) = accounts.pair();
        self.next += 1;
        let leg = Leg {
            debit_account_id,
            credit_account_id,
            amount: accounts.rng().random_range(1..=10_000),
            ledger: LEDGER,
            code: 1,
            ..Leg::default()
        };
        TryBranch {
            key: BranchKey::new(format!("{}-{}", self.run, self.next), "pay"),
            timeout: 0,
            legs: std::iter::once(leg).collect(),
        }
    }
}

impl Step {
    fn is_empty(&self) -> bool {
        match self {
            Self::Transfers(transfers) => transfers.is_empty(),
            Self::Try(branches, _) => branches.is_empty(),
            Self::Confirm(branches, _) => branches.is_empty(),
            Self::Cancel(keys, _) => keys.is_empty(),
            Self::Accounts(ids) | Self::LookUp(ids) => ids.is_empty(),
            Self::Statement(..) => false,
        }
    }
}
