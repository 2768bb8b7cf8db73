//! The ledger as a participant of TCC transactions (`docs/reference/tcc.md`).
//!
//! A service that links Giro tries its branch, tells its coordinator, and confirms or cancels when
//! that says so. The branch is in the ledger's own log, so there is no fence table to keep and
//! nothing to register: after a crash the ledger knows which branches are open
//! ([`TccParticipant::open_branches`]), and [`TccParticipant::settle_open`] asks the coordinator
//! what is to become of them.

mod answer;
mod open;
mod watch;

use giro_base::branch::encode;
use giro_base::limits::BRANCHES_MAX;

use crate::error::Error;
use crate::ledger::{Asked, Ledger, Pending};

pub use self::answer::PendingBranch;
pub use self::open::{Open, OpenBranches};
pub use self::watch::{Coordinator, Decision, Settled, Watcher};
pub use giro_base::branch::{
    BranchAnswer, BranchId, BranchInfo, BranchKey, BranchRefusal, BranchState, BranchStatus,
    ConfirmBranch, Leg, TryBranch,
};

/// A handle on a ledger, for branches. Clones share the ledger.
///
/// Requests of all threads share operations and log writes. Each returns something to `wait()` for
/// or to `.await`. Those that are under way at the same time have no order among them, except
/// that what one thread asks of one branch takes effect as try, confirm, cancel.
#[derive(Clone)]
pub struct TccParticipant {
    ledger: Ledger,
}

impl TccParticipant {
    /// A participant in this ledger.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Reserves all legs of a branch, or none.
    pub fn try_(&self, branch: TryBranch) -> PendingBranch {
        PendingBranch::new(self.try_all(vec![branch]))
    }

    /// Posts what a branch has reserved, or part of it.
    pub fn confirm(&self, branch: ConfirmBranch) -> PendingBranch {
        PendingBranch::new(self.confirm_all(vec![branch]))
    }

    /// Gives back what a branch has reserved. One that was not tried never can be from then on.
    pub fn cancel(&self, key: BranchKey) -> PendingBranch {
        PendingBranch::new(self.cancel_all(vec![key]))
    }

    /// As [`try_`](Self::try_), for many branches, each for itself; at most 4,095, with at most
    /// 8,190 legs together. Answers are in their order.
    pub fn try_all(&self, branches: Vec<TryBranch>) -> Pending<Vec<BranchAnswer>> {
        self.ledger.branches(Asked::Try(branches), answer::answers)
    }

    /// As [`confirm`](Self::confirm), for many branches; at most 4,095. Beyond 126 those whose legs
    /// do not fit the operation are answered [`BranchStatus::RequestTooLarge`].
    pub fn confirm_all(&self, branches: Vec<ConfirmBranch>) -> Pending<Vec<BranchAnswer>> {
        self.ledger
            .branches(Asked::Confirm(branches), answer::answers)
    }

    /// As [`cancel`](Self::cancel), for many branches, as [`confirm_all`](Self::confirm_all).
    pub fn cancel_all(&self, keys: Vec<BranchKey>) -> Pending<Vec<BranchAnswer>> {
        self.ledger.branches(Asked::Cancel(keys), answer::answers)
    }

    /// Where branches stand, in the order of the keys; at most 4,095.
    pub fn lookup(&self, keys: &Vec<BranchKey>) -> Pending<Vec<BranchInfo>> {
        let wrong = keys.iter().find_map(|key| key.check().err());
        let wrong = wrong.map(Error::from);
        let too_many = (keys.len() > BRANCHES_MAX).then_some(Error::TooManyEvents {
            events: keys.len(),
            events_max: BRANCHES_MAX,
        });
        if let Some(error) = wrong.or(too_many) {
            return Pending::failed(error);
        }
        let body = encode(keys);
        let operation = giro_base::Operation::LookupBranches;
        self.ledger.ask(operation, body, answer::rows)
    }
}
