//! Giro: a server by its binary protocol, and a ledger in this process.

use giro::{Ledger, TccParticipant};
use giro_base::filter::AccountFilter;
use giro_base::{Account, CreateAccountStatus, CreateTransferStatus, Transfer};
use giro_client::{
    BranchInfo, BranchKey, BranchState, BranchStatus, CallError, Client, ConfirmBranch, TryBranch,
};

use super::books::Books;
use super::{Answered, StepError};

impl From<CallError> for StepError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(why) => Self::Refused(why.to_string()),
            CallError::Unknown(why) => Self::Unknown(why.to_string()),
        }
    }
}

/// A ledger in this process fails as a whole.
impl From<giro::Error> for StepError {
    fn from(error: giro::Error) -> Self {
        Self::Unknown(error.to_string())
    }
}

fn newest_of(account_id: u128, limit: u32) -> AccountFilter {
    AccountFilter {
        account_id,
        limit,
        flags: AccountFilter::DEBITS | AccountFilter::CREDITS | AccountFilter::REVERSED,
        ..AccountFilter::default()
    }
}

fn states(infos: &[BranchInfo]) -> Answered<Vec<BranchState>> {
    let state = |info: &BranchInfo| {
        let known = BranchState::try_from(info.state);
        known.map_err(|_| StepError::Wrong(format!("a branch in state {}", info.state)))
    };
    infos.iter().map(state).collect()
}

impl Books for Client {
    async fn create_accounts(&self, accounts: &[Account]) -> Answered<Vec<CreateAccountStatus>> {
        let results = Client::create_accounts(self, accounts).await?;
        Ok(results.iter().map(|result| result.status).collect())
    }

    async fn create_transfers(
        &self,
        transfers: &[Transfer],
    ) -> Answered<Vec<CreateTransferStatus>> {
        let results = Client::create_transfers(self, transfers).await?;
        Ok(results.iter().map(|result| result.status).collect())
    }

    async fn accounts(&self, ids: &[u128]) -> Answered<Vec<Account>> {
        Ok(self.lookup_accounts(ids).await?)
    }

    async fn transfers(&self, ids: &[u128]) -> Answered<Vec<Transfer>> {
        Ok(self.lookup_transfers(ids).await?)
    }

    async fn statement(&self, account: u128, limit: u32) -> Answered<Vec<Transfer>> {
        Ok(self
            .get_account_transfers(newest_of(account, limit))
            .await?)
    }

    async fn try_branches(&self, branches: &Vec<TryBranch>) -> Answered<Vec<BranchStatus>> {
        let answers = Client::try_branches(self, branches).await?;
        Ok(answers.iter().map(|answer| answer.status).collect())
    }

    async fn confirm_branches(&self, branches: &Vec<ConfirmBranch>) -> Answered<Vec<BranchStatus>> {
        let answers = Client::confirm_branches(self, branches).await?;
        Ok(answers.iter().map(|answer| answer.status).collect())
    }

    async fn cancel_branches(&self, keys: &Vec<BranchKey>) -> Answered<Vec<BranchStatus>> {
        let answers = Client::cancel_branches(self, keys).await?;
        Ok(answers.iter().map(|answer| answer.status).collect())
    }

    async fn branches(&self, keys: &Vec<BranchKey>) -> Answered<Vec<BranchState>> {
        states(&self.lookup_branches(keys).await?)
    }

    async fn settle(&self) -> Answered<()> {
        // Of no transfers: what it makes sure of first is what is wanted.
        self.resolve(&[]).await?;
        Ok(())
    }
}

/// A ledger in this process; clones share it.
#[derive(Clone)]
pub struct Library {
    ledger: Ledger,
    tcc: TccParticipant,
}

impl Library {
    /// A driver of this ledger.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        let tcc = TccParticipant::new(ledger.clone());
        Self { ledger, tcc }
    }
}

impl Books for Library {
    async fn create_accounts(&self, accounts: &[Account]) -> Answered<Vec<CreateAccountStatus>> {
        let results = self.ledger.create_accounts(accounts).await?;
        Ok(results.iter().map(|result| result.status).collect())
    }

    async fn create_transfers(
        &self,
        transfers: &[Transfer],
    ) -> Answered<Vec<CreateTransferStatus>> {
        let results = self.ledger.create_transfers(transfers).await?;
        Ok(results.iter().map(|result| result.status).collect())
    }

    async fn accounts(&self, ids: &[u128]) -> Answered<Vec<Account>> {
        Ok(self.ledger.lookup_accounts(ids).await?)
    }

    async fn transfers(&self, ids: &[u128]) -> Answered<Vec<Transfer>> {
        Ok(self.ledger.lookup_transfers(ids).await?)
    }

    async fn statement(&self, account: u128, limit: u32) -> Answered<Vec<Transfer>> {
        let filter = newest_of(account, limit);
        Ok(self.ledger.get_account_transfers(filter).await?)
    }

    async fn try_branches(&self, branches: &Vec<TryBranch>) -> Answered<Vec<BranchStatus>> {
        let answers = self.tcc.try_all(branches.clone()).await?;
        Ok(answers.iter().map(|answer| answer.status).collect())
    }

    async fn confirm_branches(&self, branches: &Vec<ConfirmBranch>) -> Answered<Vec<BranchStatus>> {
        let answers = self.tcc.confirm_all(branches.clone()).await?;
        Ok(answers.iter().map(|answer| answer.status).collect())
    }

    async fn cancel_branches(&self, keys: &Vec<BranchKey>) -> Answered<Vec<BranchStatus>> {
        let answers = self.tcc.cancel_all(keys.clone()).await?;
        Ok(answers.iter().map(|answer| answer.status).collect())
    }

    async fn branches(&self, keys: &Vec<BranchKey>) -> Answered<Vec<BranchState>> {
        states(&self.tcc.lookup(keys).await?)
    }
}
