//! Who is asked. All targets are asked in the same way, and audited in the same way.

mod postgres;

use giro::{Ledger, TccParticipant};
use giro_base::{Account, Transfer};
use giro_client::{
    BranchInfo, BranchKey, BranchStatus, CallError, Client, CreateAccountStatus,
    CreateTransferStatus,
};
use thiserror::Error;

pub use self::postgres::Postgres;

use crate::workload::{Step, expected};

/// A target, connected; clones share the connection.
#[derive(Clone)]
pub enum Target {
    /// A Giro server by its binary protocol.
    Giro(Client),
    /// A ledger in this process.
    Library(Ledger, TccParticipant),
    /// A PostgreSQL server, for transfers only.
    Postgres(Postgres),
}

/// Why a step has no answer, or not the right one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StepError {
    /// Nothing happened.
    #[error("refused: {0}")]
    Refused(String),
    /// It may have happened.
    #[error("unknown: {0}")]
    Unknown(String),
    /// The target does something else than it should: the run ends.
    #[error("a wrong answer: {0}")]
    Wrong(String),
}

type Answered<T> = Result<T, StepError>;

impl From<CallError> for StepError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(why) => Self::Refused(why.to_string()),
            CallError::Unknown(why) => Self::Unknown(why.to_string()),
        }
    }
}

/// A ledger in this process fails as a whole.
fn broken(error: impl std::fmt::Display) -> StepError {
    StepError::Unknown(error.to_string())
}

/// Branches where there are none.
fn no_branches() -> StepError {
    StepError::Refused("this target has no branches".into())
}

/// Rows of a lookup.
const ROWS: usize = 8_000;
/// Branches of a lookup.
const BRANCHES: usize = 4_000;

impl Target {
    /// Asks for a step, and compares the answer with what it has to be.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn ask(&self, step: &Step) -> Answered<()> {
        match step {
            Step::Transfers(transfers) => self.create(transfers).await,
            Step::Try(branches, wanted) => {
                let answers = match self {
                    Self::Giro(client) => client.try_branches(branches).await?,
                    Self::Library(_, tcc) => tcc.try_all(branches.clone()).await.map_err(broken)?,
                    Self::Postgres(_) => return Err(no_branches()),
                };
                all_are(*wanted, branches.len(), answers.iter().map(|a| a.status))
            }
            Step::Confirm(branches, wanted) => {
                let answers = match self {
                    Self::Giro(client) => client.confirm_branches(branches).await?,
                    Self::Library(_, tcc) => {
                        let confirmed = tcc.confirm_all(branches.clone());
                        confirmed.await.map_err(broken)?
                    }
                    Self::Postgres(_) => return Err(no_branches()),
                };
                all_are(*wanted, branches.len(), answers.iter().map(|a| a.status))
            }
            Step::Cancel(keys, wanted) => {
                let answers = match self {
                    Self::Giro(client) => client.cancel_branches(keys).await?,
                    Self::Library(_, tcc) => tcc.cancel_all(keys.clone()).await.map_err(broken)?,
                    Self::Postgres(_) => return Err(no_branches()),
                };
                all_are(*wanted, keys.len(), answers.iter().map(|a| a.status))
            }
        }
    }

    async fn create(&self, transfers: &[Transfer]) -> Answered<()> {
        let statuses: Vec<CreateTransferStatus> = match self {
            Self::Giro(client) => {
                let results = client.create_transfers(transfers).await?;
                results.iter().map(|result| result.status).collect()
            }
            Self::Library(ledger, _) => {
                let results = ledger.create_transfers(transfers).await.map_err(broken)?;
                results.iter().map(|result| result.status).collect()
            }
            Self::Postgres(postgres) => postgres.create_transfers(transfers).await?,
        };
        if statuses.len() != transfers.len() {
            let (found, sent) = (statuses.len(), transfers.len());
            let what = format!("{found} results for {sent} transfers");
            return Err(StepError::Wrong(what));
        }
        for (transfer, status) in transfers.iter().zip(statuses) {
            let wanted = expected(transfer);
            if status != wanted {
                let id = transfer.id;
                let what = format!("transfer {id} was answered {status}, not {wanted}");
                return Err(StepError::Wrong(what));
            }
        }
        Ok(())
    }

    /// Creates the accounts of a run; they may be there already.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn create_accounts(&self, accounts: &[Account]) -> Answered<()> {
        use CreateAccountStatus::{Created, Exists};
        for some in accounts.chunks(ROWS) {
            let statuses: Vec<CreateAccountStatus> = match self {
                Self::Giro(client) => {
                    let results = client.create_accounts(some).await?;
                    results.iter().map(|result| result.status).collect()
                }
                Self::Library(ledger, _) => {
                    let results = ledger.create_accounts(some).await.map_err(broken)?;
                    results.iter().map(|result| result.status).collect()
                }
                Self::Postgres(postgres) => {
                    postgres.create_accounts(some).await?;
                    Vec::new()
                }
            };
            let is_there = |status: &&CreateAccountStatus| !matches!(status, Created | Exists);
            if let Some(status) = statuses.iter().find(is_there) {
                return Err(StepError::Wrong(format!("an account is refused: {status}")));
            }
        }
        Ok(())
    }

    /// Accounts as they stand; those that are not there are left out.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn accounts(&self, ids: &[u128]) -> Answered<Vec<Account>> {
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(ROWS) {
            found.extend(match self {
                Self::Giro(client) => client.lookup_accounts(some).await?,
                Self::Library(ledger, _) => ledger.lookup_accounts(some).await.map_err(broken)?,
                Self::Postgres(postgres) => postgres.accounts(some).await?,
            });
        }
        Ok(found)
    }

    /// Transfers as they are; those that are not there are left out.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn transfers(&self, ids: &[u128]) -> Answered<Vec<Transfer>> {
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(ROWS) {
            found.extend(match self {
                Self::Giro(client) => client.lookup_transfers(some).await?,
                Self::Library(ledger, _) => ledger.lookup_transfers(some).await.map_err(broken)?,
                Self::Postgres(postgres) => postgres.transfers(some).await?,
            });
        }
        Ok(found)
    }

    /// Where branches stand, in the order of the keys.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn branches(&self, keys: &[BranchKey]) -> Answered<Vec<BranchInfo>> {
        let mut found = Vec::with_capacity(keys.len());
        for some in keys.chunks(BRANCHES) {
            let some = some.to_vec();
            found.extend(match self {
                Self::Giro(client) => client.lookup_branches(&some).await?,
                Self::Library(_, tcc) => tcc.lookup(&some).await.map_err(broken)?,
                Self::Postgres(_) => return Err(no_branches()),
            });
        }
        Ok(found)
    }
}

fn all_are(
    wanted: BranchStatus,
    sent: usize,
    answers: impl ExactSizeIterator<Item = BranchStatus>,
) -> Answered<()> {
    if answers.len() != sent {
        let what = format!("{} answers for {sent} branches", answers.len());
        return Err(StepError::Wrong(what));
    }
    // What an earlier attempt of the client did counts as done.
    let fits = |found: BranchStatus| {
        let is_repeat = wanted == BranchStatus::Done && found == BranchStatus::DoneBefore;
        found == wanted || is_repeat
    };
    for (place, found) in answers.enumerate() {
        if !fits(found) {
            let what = format!("branch {place} of {sent} was answered {found}, not {wanted}");
            return Err(StepError::Wrong(what));
        }
    }
    Ok(())
}
