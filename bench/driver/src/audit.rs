//! Whether the target has what it acknowledged, once, and nothing else.
//!
//! The workload is made again, job by job. Every account must have exactly what the jobs that were
//! done have moved: a transfer that is missing, there twice or changed in its amount shows there.
//! Transfers and branches themselves are looked up, all of them or a part. Jobs whose outcome is
//! not known are looked up first, whole, and count as what is found.

use giro_base::{CreateTransferStatus, Transfer, TransferFlags};
use giro_client::{BranchKey, BranchState, BranchStatus, TryBranch};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::run::Fate;
use crate::target::{StepError, Target};
use crate::workload::{GROWTH_BATCH, Job, Step, Workload, WorkloadOptions, expected};

/// What was found to be right.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Audited {
    /// Accounts whose balances are exact.
    pub accounts: u64,
    /// Transfers and branches that were acknowledged.
    pub acknowledged: u64,
    /// Of those, looked up and as they were sent.
    pub looked_up: u64,
    /// Requests whose outcome had not been known and was found.
    pub resolved: u64,
}

/// What is wrong with the target's books, or why nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuditError {
    /// The books are wrong.
    #[error("the audit failed: {0}")]
    Failed(String),
    /// The target does not answer.
    #[error("the audit could not ask: {0}")]
    Asking(#[from] StepError),
}

/// Pending debits, posted debits, pending credits, posted credits.
type Balances = [u128; 4];

/// Looked up at a time.
const CHUNK: usize = 8_000;

/// Audits the target after a run.
///
/// # Errors
/// [`AuditError`].
pub async fn audit(
    target: &Target,
    options: &WorkloadOptions,
    fates: &[Fate],
    look_up_most: u64,
) -> Result<Audited, AuditError> {
    let mut workload = Workload::new(options);
    let accounts: Vec<u128> = workload.accounts().map(|account| account.id).collect();
    let mut audit = Audit {
        target,
        books: vec![[0; 4]; accounts.len()],
        transfers: Vec::new(),
        branches: Vec::new(),
        audited: Audited::default(),
        part: 1.0,
        rng: ChaCha8Rng::seed_from_u64(options.seed),
    };
    let grown = options.grown.min(fates.len() as u64);
    let units = (fates.len() as u64 - grown) as f64 * options.batch as f64
        + grown as f64 * GROWTH_BATCH as f64;
    audit.part = (look_up_most as f64 / units.max(1.0)).min(1.0);
    for fate in fates {
        let job = workload.next_job();
        audit.job(&workload, &job, *fate).await?;
    }
    audit.look_up().await?;
    audit.accounts(&accounts).await?;
    Ok(audit.audited)
}

struct Audit<'a> {
    target: &'a Target,
    books: Vec<Balances>,
    transfers: Vec<Transfer>,
    branches: Vec<(BranchKey, BranchState)>,
    audited: Audited,
    /// Of what was acknowledged, looked up.
    part: f64,
    rng: ChaCha8Rng,
}

impl Audit<'_> {
    async fn job(&mut self, workload: &Workload, job: &Job, fate: Fate) -> Result<(), AuditError> {
        if fate == Fate::Unknown {
            self.audited.resolved += 1;
        }
        for (place, step) in job.steps.iter().enumerate() {
            match step {
                Step::Transfers(transfers) => {
                    let there = self.which(transfers, fate).await?;
                    for (transfer, is_there) in transfers.iter().zip(there) {
                        if is_there {
                            self.transfer(workload, transfer);
                        }
                    }
                }
                // Of branches tried twice the first try counts, and what comes later in the job.
                Step::Try(branches, BranchStatus::Done) => {
                    let later = &job.steps[place + 1..];
                    self.branches(workload, branches, later, fate).await?;
                }
                Step::Try(branches, BranchStatus::Suspended) if fate == Fate::Done => {
                    let keys = branches.iter().map(|branch| branch.key.clone());
                    self.note(keys.map(|key| (key, BranchState::Suspended)));
                }
                Step::Try(..)
                | Step::Confirm(..)
                | Step::Cancel(..)
                | Step::Accounts(_)
                | Step::LookUp(_)
                | Step::Statement(..) => {}
            }
        }
        if self.transfers.len() >= CHUNK || self.branches.len() >= CHUNK {
            self.look_up().await?;
        }
        Ok(())
    }

    /// Which of a job's transfers are there, or have to be.
    async fn which(&mut self, transfers: &[Transfer], fate: Fate) -> Result<Vec<bool>, AuditError> {
        let is_made = |t: &Transfer| expected(t) == CreateTransferStatus::Created;
        if fate != Fate::Unknown {
            let is_done = fate == Fate::Done;
            return Ok(transfers.iter().map(|t| is_done && is_made(t)).collect());
        }
        let ids: Vec<u128> = transfers.iter().map(|transfer| transfer.id).collect();
        let found = self.target.transfers(&ids).await?;
        let made = transfers.iter().filter(|t| is_made(t)).count();
        if !found.is_empty() && found.len() != made {
            let found = found.len();
            let what = format!("a request was executed by part: {found} of {made} transfers");
            return Err(AuditError::Failed(what));
        }
        let is_there = !found.is_empty();
        Ok(transfers.iter().map(|t| is_there && is_made(t)).collect())
    }

    fn transfer(&mut self, workload: &Workload, transfer: &Transfer) {
        let is_pending = transfer.flags & TransferFlags::PENDING != 0;
        let ids = (transfer.debit_account_id, transfer.credit_account_id);
        self.book(workload, ids, transfer.amount, is_pending);
        self.audited.acknowledged += 1;
        if self.rng.random_bool(self.part) {
            self.transfers.push(*transfer);
        }
    }

    fn book(
        &mut self,
        workload: &Workload,
        (debit, credit): (u128, u128),
        amount: u128,
        is_pending: bool,
    ) {
        let column = usize::from(!is_pending);
        for (id, column) in [(debit, column), (credit, 2 + column)] {
            let place = workload.place(id).expect("the workload's own account");
            self.books[place][column] += amount;
        }
    }

    /// Branches of a job that were tried, and what the job did to each later on.
    async fn branches(
        &mut self,
        workload: &Workload,
        branches: &[TryBranch],
        later: &[Step],
        fate: Fate,
    ) -> Result<(), AuditError> {
        let states = match fate {
            Fate::Refused => return Ok(()),
            Fate::Done => {
                let cancelled: std::collections::HashSet<&BranchKey> = later
                    .iter()
                    .filter_map(|step| match step {
                        Step::Cancel(keys, _) => Some(keys),
                        _ => None,
                    })
                    .flatten()
                    .collect();
                let state = |branch: &TryBranch| {
                    if cancelled.contains(&branch.key) {
                        BranchState::Cancelled
                    } else {
                        BranchState::Confirmed
                    }
                };
                branches.iter().map(state).collect()
            }
            Fate::Unknown => {
                let keys: Vec<_> = branches.iter().map(|branch| branch.key.clone()).collect();
                self.target.branches(&keys).await?
            }
        };
        for (branch, state) in branches.iter().zip(states) {
            let is_pending = state == BranchState::Tried;
            if is_pending || state == BranchState::Confirmed {
                for leg in &branch.legs {
                    let ids = (leg.debit_account_id, leg.credit_account_id);
                    self.book(workload, ids, leg.amount, is_pending);
                }
            }
            if state != BranchState::None {
                self.note(std::iter::once((branch.key.clone(), state)));
            }
        }
        Ok(())
    }

    fn note(&mut self, states: impl Iterator<Item = (BranchKey, BranchState)>) {
        for noted in states {
            self.audited.acknowledged += 1;
            if self.rng.random_bool(self.part) {
                self.branches.push(noted);
            }
        }
    }

    /// Looks up what was noted, and compares.
    async fn look_up(&mut self) -> Result<(), AuditError> {
        let transfers = std::mem::take(&mut self.transfers);
        let ids: Vec<u128> = transfers.iter().map(|transfer| transfer.id).collect();
        let found = self.target.transfers(&ids).await?;
        if found.len() != transfers.len() {
            let lost = transfers.len() - found.len();
            let what = format!(
                "{lost} acknowledged transfers of {} are not there",
                ids.len()
            );
            return Err(AuditError::Failed(what));
        }
        for (sent, found) in transfers.iter().zip(&found) {
            let found = Transfer {
                timestamp: 0,
                ..*found
            };
            if found != *sent {
                let what = format!("a transfer was sent as {sent:?} and is {found:?}");
                return Err(AuditError::Failed(what));
            }
        }
        let branches = std::mem::take(&mut self.branches);
        let keys: Vec<BranchKey> = branches.iter().map(|(key, _)| key.clone()).collect();
        let found = self.target.branches(&keys).await?;
        for ((key, state), found) in branches.iter().zip(&found) {
            if found != state {
                let what = format!("branch {} is {found}, not {state}", key.gid);
                return Err(AuditError::Failed(what));
            }
        }
        self.audited.looked_up += (transfers.len() + branches.len()) as u64;
        Ok(())
    }

    /// Balances of all accounts, each exact.
    async fn accounts(&mut self, ids: &[u128]) -> Result<(), AuditError> {
        let found = self.target.accounts(ids).await?;
        if found.len() != ids.len() {
            let what = format!("{} of {} accounts are there", found.len(), ids.len());
            return Err(AuditError::Failed(what));
        }
        for (account, expected) in found.iter().zip(&self.books) {
            let found = [
                account.debits_pending,
                account.debits_posted,
                account.credits_pending,
                account.credits_posted,
            ];
            if found != *expected {
                let id = account.id;
                let what = format!(
                    "account {id} has {found:?} (debits pending, posted; credits pending, \
                     posted), and what was acknowledged adds up to {expected:?}"
                );
                return Err(AuditError::Failed(what));
            }
        }
        self.audited.accounts = found.len() as u64;
        Ok(())
    }
}
