//! What a target can be asked.

use giro_base::{Account, CreateAccountStatus, CreateTransferStatus, Transfer};
use giro_client::{BranchKey, BranchState, BranchStatus, ConfirmBranch, TryBranch};

use super::{Answered, StepError};

/// A target's own way to ask for what every target is asked for. Results come in the order of what
/// was asked; rows that are not there are left out. Branches come in vectors because the client
/// archives these as they are.
pub(super) trait Books {
    /// At most 8,189, one status each.
    async fn create_accounts(&self, accounts: &[Account]) -> Answered<Vec<CreateAccountStatus>>;

    /// At most 8,189, one status each.
    async fn create_transfers(&self, transfers: &[Transfer])
    -> Answered<Vec<CreateTransferStatus>>;

    /// At most 8,000.
    async fn accounts(&self, ids: &[u128]) -> Answered<Vec<Account>>;

    /// At most 8,000.
    async fn transfers(&self, ids: &[u128]) -> Answered<Vec<Transfer>>;

    /// An account's newest transfers, newest first.
    async fn statement(&self, account: u128, limit: u32) -> Answered<Vec<Transfer>>;

    /// At most 4,000, one status each.
    async fn try_branches(&self, _: &Vec<TryBranch>) -> Answered<Vec<BranchStatus>> {
        Err(no_branches())
    }

    /// At most 4,000, one status each.
    async fn confirm_branches(&self, _: &Vec<ConfirmBranch>) -> Answered<Vec<BranchStatus>> {
        Err(no_branches())
    }

    /// At most 4,000, one status each.
    async fn cancel_branches(&self, _: &Vec<BranchKey>) -> Answered<Vec<BranchStatus>> {
        Err(no_branches())
    }

    /// Where branches stand; at most 4,000, one each.
    async fn branches(&self, _: &Vec<BranchKey>) -> Answered<Vec<BranchState>> {
        Err(no_branches())
    }

    /// Waits until nothing that was given up can happen any more. Most cannot tell.
    async fn settle(&self) -> Answered<()> {
        Ok(())
    }
}

fn no_branches() -> StepError {
    StepError::Refused("this target has no branches".into())
}
