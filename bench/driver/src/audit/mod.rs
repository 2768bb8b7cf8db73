//! Whether the target has what it acknowledged, once, and nothing else.
//!
//! The workload is made again, job by job. Every account must have exactly what the jobs that were
//! done have moved: a transfer that is missing, there twice or changed in its amount shows there.
//! Transfers and branches themselves are looked up, all of them or a part. Of a job whose outcome
//! is not known, what was acknowledged has to be there; what was sent and not answered is looked
//! up, has to be there whole or not at all, and counts as what is found.

mod branches;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use giro_base::{CreateTransferStatus, Transfer, TransferFlags};
use giro_client::{BranchKey, BranchState};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::branches::Branches;
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
    if fates.iter().any(|fate| !fate.is_known()) {
        target.settle().await?;
    }
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
        let steps = fate.steps(job.steps.len());
        let done = if steps.start() == steps.end() {
            *steps.end()
        } else {
            self.audited.resolved += 1;
            self.find_out(job, steps).await?
        };
        let mut branches = Branches::of(job);
        for step in &job.steps[..done] {
            for transfer in made(step) {
                self.transfer(workload, transfer);
            }
            branches.take(step);
        }
        self.branches(workload, &branches);
        if self.transfers.len() >= CHUNK || self.branches.len() >= CHUNK {
            self.look_up().await?;
        }
        Ok(())
    }

    /// How many of a job's steps took effect: what is there has to be what some number of them
    /// makes. A request is one record of a target's, so each is whole.
    async fn find_out(&self, job: &Job, steps: RangeInclusive<usize>) -> Result<usize, AuditError> {
        let (least, most) = (*steps.start(), *steps.end());
        let open = &job.steps[least..most];
        let ids: Vec<u128> = open.iter().flat_map(transfers).map(|t| t.id).collect();
        let found = self.target.transfers(&ids).await?;
        let found: Vec<u128> = found.iter().map(|transfer| transfer.id).collect();
        let mut branches = Branches::of(job);
        for step in &job.steps[..least] {
            branches.take(step);
        }
        let states = self.states(&branches.keys()).await?;
        let mut there = Vec::new();
        for done in steps {
            if there == found && branches.are(&states) {
                return Ok(done);
            }
            if let Some(step) = open.get(done - least) {
                there.extend(made(step).map(|transfer| transfer.id));
                branches.take(step);
            }
        }
        let all = there.len();
        let (number, found) = (job.number, found.len());
        Err(AuditError::Failed(if ids.is_empty() {
            let stand = counts(&states);
            format!(
                "request {number} was acknowledged up to its step {least} and sent up to step \
                 {most}, and its branches are {stand}"
            )
        } else {
            format!("a request was executed by part: {found} of {all} transfers")
        }))
    }

    /// Where branches stand.
    async fn states(&self, keys: &[BranchKey]) -> Result<Vec<BranchState>, AuditError> {
        let found = self.target.branches(keys).await?;
        if found.len() != keys.len() {
            let what = format!("{} answers for {} branches", found.len(), keys.len());
            return Err(AuditError::Failed(what));
        }
        Ok(found)
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

    fn branches(&mut self, workload: &Workload, branches: &Branches<'_>) {
        for branch in branches.iter() {
            let is_pending = branch.state == BranchState::Tried;
            if is_pending || branch.state == BranchState::Confirmed {
                for leg in branch.legs {
                    let ids = (leg.debit_account_id, leg.credit_account_id);
                    self.book(workload, ids, leg.amount, is_pending);
                }
            }
            if branch.state == BranchState::None {
                continue;
            }
            self.audited.acknowledged += 1;
            if self.rng.random_bool(self.part) {
                self.branches.push((branch.key.clone(), branch.state));
            }
        }
    }

    /// Looks up what was noted, and compares.
    async fn look_up(&mut self) -> Result<(), AuditError> {
        let transfers = std::mem::take(&mut self.transfers);
        let ids: Vec<u128> = transfers.iter().map(|transfer| transfer.id).collect();
        let found = self.target.transfers(&ids).await?;
        if found.len() != transfers.len() {
            let (asked, found) = (ids.len(), found.len());
            let what = format!("of {asked} acknowledged transfers {found} are there");
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
        let found = self.states(&keys).await?;
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
        for ((id, account), expected) in ids.iter().zip(&found).zip(&self.books) {
            if account.id != *id {
                let what = format!("account {} was found for {id}", account.id);
                return Err(AuditError::Failed(what));
            }
            let found = [
                account.debits_pending,
                account.debits_posted,
                account.credits_pending,
                account.credits_posted,
            ];
            if found != *expected {
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

/// The transfers of a step.
fn transfers(step: &Step) -> &[Transfer] {
    match step {
        Step::Transfers(transfers) => transfers,
        _ => &[],
    }
}

/// Those that it makes: some have to be rejected.
fn made(step: &Step) -> impl Iterator<Item = &Transfer> {
    let all = transfers(step).iter();
    all.filter(|transfer| expected(transfer) == CreateTransferStatus::Created)
}

/// How many branches stand where, for people.
fn counts(states: &[BranchState]) -> String {
    let mut counts: Vec<(BranchState, usize)> = Vec::new();
    for state in states {
        match counts.iter_mut().find(|(counted, _)| counted == state) {
            Some((_, count)) => *count += 1,
            None => counts.push((*state, 1)),
        }
    }
    let counts = counts
        .iter()
        .map(|(state, count)| format!("{count} {state}"));
    counts.collect::<Vec<_>>().join(", ")
}
