//! Who is asked. All targets are asked in the same way, and audited in the same way.

mod books;
#[cfg(test)]
pub(crate) mod fake;
mod giro;
mod http;
mod postgres;
mod tigerbeetle;

use std::time::{Duration, Instant};

use giro_base::{Account, CreateAccountStatus, Transfer};
use giro_client::{BranchKey, BranchState, BranchStatus, Client};
use thiserror::Error;
use tokio::time::timeout;

pub use self::giro::Library;
pub use self::http::Http;
pub use self::postgres::Postgres;
pub use self::tigerbeetle::TigerBeetle;

use self::books::Books;
use crate::workload::{Step, expected};

/// A target, connected; clones share the connection.
#[derive(Clone)]
pub enum Target {
    /// A Giro server by its binary protocol.
    Giro(Client),
    /// A ledger in this process.
    Library(Library),
    /// A Giro server by its HTTP port.
    Http(Http),
    /// A server of the field's protocol by TigerBeetle's own client; it has no branches.
    TigerBeetle(TigerBeetle),
    /// A PostgreSQL server.
    Postgres(Postgres),
    /// What a test makes of it.
    #[cfg(test)]
    Fake(fake::Fake),
}

/// Asks a target in its own way.
macro_rules! ask {
    ($this:expr, $books:ident => $asked:expr) => {
        match $this {
            Target::Giro($books) => $asked,
            Target::Library($books) => $asked,
            Target::Http($books) => $asked,
            Target::TigerBeetle($books) => $asked,
            Target::Postgres($books) => $asked,
            #[cfg(test)]
            Target::Fake($books) => $asked,
        }
    };
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
                let answers = ask!(self, books => Books::try_branches(books, branches).await?);
                all_are(*wanted, branches.len(), &answers)
            }
            Step::Confirm(branches, wanted) => {
                let answers = ask!(self, books => Books::confirm_branches(books, branches).await?);
                all_are(*wanted, branches.len(), &answers)
            }
            Step::Cancel(keys, wanted) => {
                let answers = ask!(self, books => Books::cancel_branches(books, keys).await?);
                all_are(*wanted, keys.len(), &answers)
            }
            Step::Accounts(ids) => {
                let found = ask!(self, books => Books::accounts(books, ids).await?);
                all_there(ids, &found)
            }
            Step::LookUp(ids) => {
                let found = ask!(self, books => Books::transfers(books, ids).await?);
                some_of(ids, &found)
            }
            Step::Statement(account, limit) => {
                let found = ask!(self, books => books.statement(*account, *limit).await?);
                a_statement(*account, *limit, &found)
            }
        }
    }

    /// As [`ask`](Self::ask), and ends by this time.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn ask_until(&self, step: &Step, until: Instant) -> Answered<()> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(StepError::Refused("its deadline passed".into()));
        }
        match self {
            // It knows whether it has sent what it gives up.
            Self::Giro(client) => Self::Giro(client.with_deadline(left)).ask(step).await,
            // Its server gives up then, too.
            Self::Http(http) => {
                let http = Self::Http(http.with_deadline(left));
                within(left, http.ask(step)).await
            }
            _ => within(left, self.ask(step)).await,
        }
    }

    /// Waits until nothing that was given up can happen any more, where a target can tell.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn settle(&self) -> Answered<()> {
        ask!(self, books => Books::settle(books).await)
    }

    async fn create(&self, transfers: &[Transfer]) -> Answered<()> {
        let statuses = ask!(self, books => Books::create_transfers(books, transfers).await?);
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
            let statuses = ask!(self, books => Books::create_accounts(books, some).await?);
            let is_refused = |status: &&CreateAccountStatus| !matches!(status, Created | Exists);
            if let Some(status) = statuses.iter().find(is_refused) {
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
            found.extend(ask!(self, books => Books::accounts(books, some).await?));
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
            found.extend(ask!(self, books => Books::transfers(books, some).await?));
        }
        Ok(found)
    }

    /// Where branches stand, in the order of the keys.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn branches(&self, keys: &[BranchKey]) -> Answered<Vec<BranchState>> {
        let mut found = Vec::with_capacity(keys.len());
        for some in keys.chunks(BRANCHES) {
            let some = some.to_vec();
            found.extend(ask!(self, books => Books::branches(books, &some).await?));
        }
        Ok(found)
    }
}

async fn within(left: Duration, asked: impl Future<Output = Answered<()>>) -> Answered<()> {
    timeout(left, asked).await.unwrap_or_else(|_| {
        let what = "no answer by the deadline";
        Err(StepError::Unknown(what.into()))
    })
}

fn all_are(wanted: BranchStatus, sent: usize, answers: &[BranchStatus]) -> Answered<()> {
    if answers.len() != sent {
        let what = format!("{} answers for {sent} branches", answers.len());
        return Err(StepError::Wrong(what));
    }
    // What an earlier attempt of the client did counts as done.
    let fits = |found: BranchStatus| {
        let is_repeat = wanted == BranchStatus::Done && found == BranchStatus::DoneBefore;
        found == wanted || is_repeat
    };
    for (place, found) in answers.iter().enumerate() {
        if !fits(*found) {
            let what = format!("branch {place} of {sent} was answered {found}, not {wanted}");
            return Err(StepError::Wrong(what));
        }
    }
    Ok(())
}

/// Accounts are made before the run: each has to be there.
fn all_there(ids: &[u128], found: &[Account]) -> Answered<()> {
    if ids.iter().eq(found.iter().map(|account| &account.id)) {
        return Ok(());
    }
    let what = format!("{} of {} accounts were found", found.len(), ids.len());
    Err(StepError::Wrong(what))
}

/// Transfers that were asked for may not be there yet; what is found is in the order of the ids.
fn some_of(ids: &[u128], found: &[Transfer]) -> Answered<()> {
    let mut ids = ids.iter();
    let stranger = found
        .iter()
        .find(|transfer| !ids.any(|id| *id == transfer.id));
    match stranger {
        None => Ok(()),
        Some(transfer) => {
            let what = format!("transfer {} was found out of order or unasked", transfer.id);
            Err(StepError::Wrong(what))
        }
    }
}

/// No more than the limit, all of the account, newest first where a target says when.
fn a_statement(account: u128, limit: u32, found: &[Transfer]) -> Answered<()> {
    let is_of = |transfer: &Transfer| {
        transfer.debit_account_id == account || transfer.credit_account_id == account
    };
    let is_right = found.len() <= limit as usize
        && found.iter().all(is_of)
        && found.is_sorted_by(|newer, older| newer.timestamp >= older.timestamp);
    if is_right {
        return Ok(());
    }
    let what = format!(
        "the {} newest transfers of account {account} are not its own, in order, at most {limit}",
        found.len()
    );
    Err(StepError::Wrong(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(id: u128, debit: u128, timestamp: u64) -> Transfer {
        Transfer {
            id,
            debit_account_id: debit,
            credit_account_id: 9,
            timestamp,
            ..Transfer::default()
        }
    }

    #[test]
    fn answers_to_reads_are_held_against_what_was_asked() {
        let account = |id| Account {
            id,
            ..Account::default()
        };
        assert!(all_there(&[1, 2], &[account(1), account(2)]).is_ok());
        assert!(all_there(&[1, 2], &[account(1)]).is_err());
        assert!(all_there(&[1, 2], &[account(2), account(1)]).is_err());
        let found = [transfer(1, 5, 0), transfer(3, 5, 0)];
        assert!(some_of(&[1, 2, 3], &found).is_ok());
        assert!(some_of(&[3, 2, 1], &found).is_err());
        assert!(some_of(&[1, 2], &found).is_err());
        let newest = [transfer(1, 5, 8), transfer(3, 5, 7)];
        assert!(a_statement(5, 2, &newest).is_ok());
        assert!(a_statement(9, 2, &newest).is_ok());
        assert!(a_statement(5, 1, &newest).is_err());
        assert!(a_statement(6, 2, &newest).is_err());
        let oldest = [transfer(1, 5, 7), transfer(3, 5, 8)];
        assert!(a_statement(5, 2, &oldest).is_err());
    }
}
