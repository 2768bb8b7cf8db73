//! What became of a request about a branch.

use std::pin::Pin;
use std::task::{Context, Poll};

use giro_base::branch::{BranchAnswer, BranchInfo, BranchResult};
use zerocopy::FromBytes;

use crate::error::Error;
use crate::ledger::Pending;

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
    let answer = |bytes| BranchAnswer::of(&row(bytes)).expect("the ledger's own status");
    rows.map(answer).collect()
}

/// States as the ledger writes them.
pub(super) fn rows(reply: &[u8]) -> Vec<BranchInfo> {
    let rows = reply.chunks_exact(size_of::<BranchInfo>());
    let row = |bytes| BranchInfo::read_from_bytes(bytes).expect("cut to a row's size");
    rows.map(row).collect()
}
