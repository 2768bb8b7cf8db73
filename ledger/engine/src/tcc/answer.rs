//! What became of a request about a branch.

use std::pin::Pin;
use std::task::{Context, Poll};

use giro_base::branch::{BranchInfo, BranchResult, BranchStatus, LEG_NONE};
use giro_base::{CreateTransferStatus, Timestamp};
use zerocopy::FromBytes;

use crate::error::Error;
use crate::ledger::Pending;

/// What became of one branch of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchAnswer {
    /// The outcome.
    pub status: BranchStatus,
    /// Of a success: when it took effect, be it now or before (ns).
    pub timestamp: Timestamp,
    /// The leg that a refusal is about, from 0.
    pub leg: Option<usize>,
    /// Why the leg was refused, or which of its fields differs.
    pub leg_status: Option<CreateTransferStatus>,
}

/// A branch that is not as the caller wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the branch was refused: {}{}", .0.status, .0.details())]
pub struct Refusal(pub BranchAnswer);

impl BranchAnswer {
    /// When the branch came to be as the caller wants it (ns).
    ///
    /// # Errors
    /// When it is not.
    pub fn ok(&self) -> Result<Timestamp, Refusal> {
        if self.status.is_ok() {
            Ok(self.timestamp)
        } else {
            Err(Refusal(*self))
        }
    }

    fn details(&self) -> String {
        let leg = self.leg.map(|leg| format!(", leg {leg}"));
        let status = self.leg_status.map(|status| format!(": {status}"));
        leg.unwrap_or_default() + &status.unwrap_or_default()
    }

    fn of(result: BranchResult) -> Self {
        let leg_status = CreateTransferStatus::try_from(result.leg_status);
        Self {
            status: result.status.try_into().expect("the ledger's own status"),
            timestamp: result.timestamp,
            leg: (result.leg != LEG_NONE).then_some(result.leg.into()),
            leg_status: leg_status.ok(),
        }
    }
}

/// The answer to a request about one branch, which is not there yet: [`wait`](Self::wait) blocks
/// for it, `.await` does not. Dropping it does not undo the request.
#[must_use = "the outcome is known only once waited for"]
pub struct PendingBranch {
    answers: Pending<Vec<BranchAnswer>>,
}

impl PendingBranch {
    pub(super) fn new(answers: Pending<Vec<BranchAnswer>>) -> Self {
        Self { answers }
    }

    /// Blocks until the outcome is known.
    ///
    /// # Errors
    /// [`Error::Branches`] and [`Error::Full`] when nothing was done; [`Error::Unknown`] when the
    /// ledger stopped first: the same request again tells.
    pub fn wait(self) -> Result<BranchAnswer, Error> {
        self.answers.wait().map(|answers| answers[0])
    }
}

impl Future for PendingBranch {
    type Output = Result<BranchAnswer, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answers = Pin::new(&mut self.answers).poll(context);
        answers.map(|answers| answers.map(|answers| answers[0]))
    }
}

/// Answers as the ledger writes them.
pub(super) fn answers(reply: &[u8]) -> Vec<BranchAnswer> {
    let rows = reply.chunks_exact(size_of::<BranchResult>());
    let row = |bytes| BranchResult::read_from_bytes(bytes).expect("cut to a result's size");
    rows.map(|bytes| BranchAnswer::of(row(bytes))).collect()
}

/// States as the ledger writes them.
pub(super) fn rows(reply: &[u8]) -> Vec<BranchInfo> {
    let rows = reply.chunks_exact(size_of::<BranchInfo>());
    let row = |bytes| BranchInfo::read_from_bytes(bytes).expect("cut to a row's size");
    rows.map(row).collect()
}
