//! What became of a branch, in types.

use super::{BranchResult, BranchStatus, LEG_NONE};
use crate::status::CreateTransferStatus;
use crate::time::Timestamp;

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
pub struct BranchRefusal(pub BranchAnswer);

impl BranchAnswer {
    /// The result as the ledger writes it; none when its status is not known here.
    #[must_use]
    pub fn of(result: &BranchResult) -> Option<Self> {
        let leg_status = CreateTransferStatus::try_from(result.leg_status);
        Some(Self {
            status: result.status.try_into().ok()?,
            timestamp: result.timestamp,
            leg: (result.leg != LEG_NONE).then_some(result.leg.into()),
            leg_status: leg_status.ok(),
        })
    }

    /// When the branch came to be as the caller wants it (ns).
    ///
    /// # Errors
    /// When it is not.
    pub fn ok(&self) -> Result<Timestamp, BranchRefusal> {
        if self.status.is_ok() {
            Ok(self.timestamp)
        } else {
            Err(BranchRefusal(*self))
        }
    }

    fn details(&self) -> String {
        let leg = self.leg.map(|leg| format!(", leg {leg}"));
        let status = self.leg_status.map(|status| format!(": {status}"));
        leg.unwrap_or_default() + &status.unwrap_or_default()
    }
}
