//! A server of the field's protocol, asked through TigerBeetle's own client.

use std::sync::Arc;
use std::time::Duration;

use giro_base::{Account, CreateAccountStatus, CreateTransferStatus, Transfer};
use tigerbeetle as tb;

use super::books::Books;
use super::{Answered, StepError};

/// Clients of a server; clones share them.
///
/// The official client has one session, and a session has one request with the server at a time:
/// requests that were given to it meanwhile leave together.
#[derive(Clone)]
pub struct TigerBeetle {
    client: Arc<tb::Client>,
    deadline: Duration,
}

/// What the client says before anything was sent, but for an eviction.
impl From<tb::Error> for StepError {
    fn from(error: tb::Error) -> Self {
        match error {
            tb::Error::ClientEvicted | tb::Error::ClientClosed => Self::Unknown(error.to_string()),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl TigerBeetle {
    /// A client of the servers at these addresses: numbers only, as `127.0.0.1:3000`.
    ///
    /// It never says that nobody answers, so the first thing that is asked has to wait for its
    /// deadline.
    ///
    /// # Errors
    /// When the addresses cannot be read.
    pub fn connect(
        cluster: u128,
        addresses: &str,
        deadline: Duration,
    ) -> Result<Self, tb::InitError> {
        Ok(Self {
            client: Arc::new(tb::Client::new(cluster, addresses)?),
            deadline,
        })
    }

    async fn within<T>(
        &self,
        asked: impl Future<Output = Result<T, tb::Error>>,
    ) -> Result<T, StepError> {
        match tokio::time::timeout(self.deadline, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(StepError::Unknown("no answer by the deadline".into())),
        }
    }
}

impl Books for TigerBeetle {
    async fn create_accounts(&self, accounts: &[Account]) -> Answered<Vec<CreateAccountStatus>> {
        let sent: Vec<tb::Account> = accounts.iter().map(to_account).collect();
        let results = self.within(self.client.create_accounts(&sent)).await?;
        let status = |result: &tb::CreateAccountResult| {
            let code = u32::from(result.status);
            let known = CreateAccountStatus::try_from(code);
            known.map_err(|_| StepError::Wrong(format!("an account has status {code}")))
        };
        results.iter().map(status).collect()
    }

    async fn create_transfers(
        &self,
        transfers: &[Transfer],
    ) -> Answered<Vec<CreateTransferStatus>> {
        let sent: Vec<tb::Transfer> = transfers.iter().map(to_transfer).collect();
        let results = self.within(self.client.create_transfers(&sent)).await?;
        let status = |result: &tb::CreateTransferResult| {
            let code = u32::from(result.status);
            let known = CreateTransferStatus::try_from(code);
            known.map_err(|_| StepError::Wrong(format!("a transfer has status {code}")))
        };
        results.iter().map(status).collect()
    }

    async fn accounts(&self, ids: &[u128]) -> Answered<Vec<Account>> {
        let found = self.within(self.client.lookup_accounts(ids)).await?;
        Ok(found.iter().map(from_account).collect())
    }

    async fn transfers(&self, ids: &[u128]) -> Answered<Vec<Transfer>> {
        let found = self.within(self.client.lookup_transfers(ids)).await?;
        Ok(found.iter().map(from_transfer).collect())
    }

    async fn statement(&self, account: u128, limit: u32) -> Answered<Vec<Transfer>> {
        use tb::AccountFilterFlags as Flags;
        let filter = tb::AccountFilter {
            account_id: account,
            limit,
            flags: Flags::Debits | Flags::Credits | Flags::Reversed,
            ..tb::AccountFilter::default()
        };
        let found = self
            .within(self.client.get_account_transfers(filter))
            .await?;
        Ok(found.iter().map(from_transfer).collect())
    }
}

fn to_account(account: &Account) -> tb::Account {
    tb::Account {
        id: account.id,
        user_data_128: account.user_data_128,
        user_data_64: account.user_data_64,
        user_data_32: account.user_data_32,
        ledger: account.ledger,
        code: account.code,
        flags: tb::AccountFlags(account.flags),
        ..tb::Account::default()
    }
}

fn from_account(account: &tb::Account) -> Account {
    Account {
        id: account.id,
        debits_pending: account.debits_pending,
        debits_posted: account.debits_posted,
        credits_pending: account.credits_pending,
        credits_posted: account.credits_posted,
        user_data_128: account.user_data_128,
        user_data_64: account.user_data_64,
        user_data_32: account.user_data_32,
        ledger: account.ledger,
        code: account.code,
        flags: account.flags.0,
        timestamp: account.timestamp,
        ..Account::default()
    }
}

fn to_transfer(transfer: &Transfer) -> tb::Transfer {
    tb::Transfer {
        id: transfer.id,
        debit_account_id: transfer.debit_account_id,
        credit_account_id: transfer.credit_account_id,
        amount: transfer.amount,
        pending_id: transfer.pending_id,
        user_data_128: transfer.user_data_128,
        user_data_64: transfer.user_data_64,
        user_data_32: transfer.user_data_32,
        timeout: transfer.timeout,
        ledger: transfer.ledger,
        code: transfer.code,
        flags: tb::TransferFlags(transfer.flags),
        timestamp: transfer.timestamp,
    }
}

fn from_transfer(transfer: &tb::Transfer) -> Transfer {
    Transfer {
        id: transfer.id,
        debit_account_id: transfer.debit_account_id,
        credit_account_id: transfer.credit_account_id,
        amount: transfer.amount,
        pending_id: transfer.pending_id,
        user_data_128: transfer.user_data_128,
        user_data_64: transfer.user_data_64,
        user_data_32: transfer.user_data_32,
        timeout: transfer.timeout,
        ledger: transfer.ledger,
        code: transfer.code,
        flags: transfer.flags.0,
        timestamp: transfer.timestamp,
    }
}
