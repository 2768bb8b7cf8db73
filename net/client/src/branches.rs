//! Branches of TCC transactions (`docs/reference/tcc.md`).

use giro_base::Operation;
use giro_base::branch::{
    BranchAnswer, BranchBodyError, BranchInfo, BranchKey, BranchResult, ConfirmBranch, OpenBranch,
    OpenBranchesFilter, TryBranch, encode,
};
use giro_base::limits::{BODY_BYTES_MAX, BRANCH_EVENTS_MAX, BRANCHES_MAX, EVENTS_MAX_UNBATCHED};

use crate::client::{Client, Content};
use crate::error::{CallError, Refusal};
use crate::outcome;

impl Client {
    /// Tries branches: each has all its legs reserved, or none. At most 4,095, with at most 8,190
    /// legs together, and 1,048,320 bytes in the protocol's form. A branch that the ledger refuses
    /// is not an error here: its answer says why.
    ///
    /// # Errors
    /// [`CallError`]. After [`CallError::Unknown`] the same call again tells: a branch that was
    /// tried answers [`DoneBefore`](crate::BranchStatus::DoneBefore).
    pub async fn try_branches(
        &self,
        branches: &Vec<TryBranch>,
    ) -> Result<Vec<BranchAnswer>, CallError> {
        let legs = sum(branches.iter().map(TryBranch::check))?;
        let content = content(branches.len(), legs, encode(branches))?;
        self.call_branches(Operation::TryBranches, content, answers)
            .await
    }

    /// Confirms branches. At most 4,095; beyond 126 those whose legs do not fit the operation are
    /// answered [`RequestTooLarge`](crate::BranchStatus::RequestTooLarge).
    ///
    /// # Errors
    /// [`CallError`], as [`Self::try_branches`].
    pub async fn confirm_branches(
        &self,
        branches: &Vec<ConfirmBranch>,
    ) -> Result<Vec<BranchAnswer>, CallError> {
        let events = sum(branches.iter().map(ConfirmBranch::check))?;
        let legs = branches.len() * BRANCH_EVENTS_MAX;
        let legs = legs.min(EVENTS_MAX_UNBATCHED).max(events);
        let content = content(branches.len(), legs, encode(branches))?;
        self.call_branches(Operation::ConfirmBranches, content, answers)
            .await
    }

    /// Cancels branches, as [`Self::confirm_branches`]. One that was not tried never can be from
    /// then on.
    ///
    /// # Errors
    /// [`CallError`], as [`Self::try_branches`].
    pub async fn cancel_branches(
        &self,
        keys: &Vec<BranchKey>,
    ) -> Result<Vec<BranchAnswer>, CallError> {
        sum(keys.iter().map(|key| key.check().map(|()| 0)))?;
        let legs = (keys.len() * BRANCH_EVENTS_MAX).min(EVENTS_MAX_UNBATCHED);
        let content = content(keys.len(), legs, encode(keys))?;
        self.call_branches(Operation::CancelBranches, content, answers)
            .await
    }

    /// Where branches stand, in the order of the keys; at most 4,095.
    ///
    /// # Errors
    /// [`CallError::Refused`]: a read has no effect to be unknown.
    pub async fn lookup_branches(
        &self,
        keys: &Vec<BranchKey>,
    ) -> Result<Vec<BranchInfo>, CallError> {
        sum(keys.iter().map(|key| key.check().map(|()| 0)))?;
        let content = content(keys.len(), 0, encode(keys))?;
        self.call_branches(Operation::LookupBranches, content, outcome::rows)
            .await
    }

    /// A page of open branches, oldest first; [`OpenBranchesFilter`] says which, and how to go on.
    ///
    /// # Errors
    /// [`CallError::Refused`].
    pub async fn list_branches(
        &self,
        filter: OpenBranchesFilter,
    ) -> Result<Vec<OpenBranch>, CallError> {
        self.query(Operation::ListBranches, filter, filter.limit)
            .await
    }
}

fn sum(checks: impl Iterator<Item = Result<usize, BranchBodyError>>) -> Result<usize, CallError> {
    let sum: Result<usize, _> = checks.sum();
    sum.map_err(|error| CallError::Refused(Refusal::Branches(error)))
}

fn content(branches: usize, legs: usize, bytes: Vec<u8>) -> Result<Content, CallError> {
    if branches > BRANCHES_MAX || legs > EVENTS_MAX_UNBATCHED {
        let (events, events_max) = if branches > BRANCHES_MAX {
            (branches, BRANCHES_MAX)
        } else {
            (legs, EVENTS_MAX_UNBATCHED)
        };
        return Err(CallError::Refused(Refusal::TooLarge { events, events_max }));
    }
    if bytes.len() > BODY_BYTES_MAX {
        // A server closes the connection for it, and all other calls lose theirs.
        let bytes = bytes.len();
        let error = BranchBodyError::Bytes { bytes };
        return Err(CallError::Refused(Refusal::Branches(error)));
    }
    Ok(Content {
        bytes,
        rows_max: branches,
        legs,
    })
}

/// None when a status is not known here.
fn answers(bytes: &[u8]) -> Option<Vec<BranchAnswer>> {
    let results: Vec<BranchResult> = outcome::rows(bytes)?;
    results.iter().map(BranchAnswer::of).collect()
}
