//! A ledger in memory for tests, with faults that no ledger should have.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use giro_base::{Account, CreateAccountStatus, CreateTransferStatus, Transfer};
use giro_client::{BranchKey, BranchState, BranchStatus, ConfirmBranch, Leg, TryBranch};

use super::books::Books;
use super::{Answered, StepError};
use crate::workload::expected;

/// Clones share it.
#[derive(Clone, Default)]
pub struct Fake {
    shared: Arc<Shared>,
}

/// What is wrong with it.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// A write takes so long, and takes effect at its end.
    pub(crate) takes: Duration,
    /// Tries are answered, and nothing is kept.
    pub(crate) forgets_tries: bool,
    /// Confirms are answered, and nothing is kept.
    pub(crate) forgets_confirms: bool,
    /// Tries of the first half take effect, and are not answered.
    pub(crate) halves_tries: bool,
    /// Confirms are answered so, and do nothing.
    pub(crate) to_confirms: Option<StepError>,
    /// Cancels are answered so, and do nothing.
    pub(crate) to_cancels: Option<StepError>,
    /// Look-ups leave out their last row.
    pub(crate) is_short: bool,
    /// Look-ups have their last row twice.
    pub(crate) is_long: bool,
}

#[derive(Default)]
struct Shared {
    faults: Mutex<Faults>,
    state: Mutex<State>,
    asked: AtomicUsize,
    written: AtomicUsize,
}

#[derive(Default)]
struct State {
    accounts: HashMap<u128, Account>,
    transfers: HashMap<u128, Transfer>,
    branches: HashMap<BranchKey, (BranchState, Vec<Leg>)>,
}

impl Fake {
    pub(crate) fn new(faults: Faults) -> Self {
        let fake = Self::default();
        fake.set(faults);
        fake
    }

    pub(crate) fn set(&self, faults: Faults) {
        *lock(&self.shared.faults) = faults;
    }

    /// Writes that began.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Writes that took effect.
    pub(crate) fn written(&self) -> usize {
        self.shared.written.load(Ordering::SeqCst)
    }

    fn faults(&self) -> Faults {
        lock(&self.shared.faults).clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// A write's time passes.
    async fn write(&self) -> (Faults, MutexGuard<'_, State>) {
        self.shared.asked.fetch_add(1, Ordering::SeqCst);
        let faults = self.faults();
        tokio::time::sleep(faults.takes).await;
        self.shared.written.fetch_add(1, Ordering::SeqCst);
        (faults, self.state())
    }

    fn looked_up<T: Clone>(&self, mut rows: Vec<T>) -> Vec<T> {
        let faults = self.faults();
        if faults.is_short {
            rows.pop();
        }
        if faults.is_long {
            rows.extend(rows.last().cloned());
        }
        rows
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Adds to both accounts, or takes away.
    fn book(&mut self, (debit, credit): (u128, u128), amount: u128, is_pending: bool, adds: bool) {
        let change = |of: &mut u128| *of = if adds { *of + amount } else { *of - amount };
        let debited = self.accounts.get_mut(&debit).unwrap();
        change(if is_pending {
            &mut debited.debits_pending
        } else {
            &mut debited.debits_posted
        });
        let credited = self.accounts.get_mut(&credit).unwrap();
        change(if is_pending {
            &mut credited.credits_pending
        } else {
            &mut credited.credits_posted
        });
    }

    fn reserve(&mut self, branch: &TryBranch) -> BranchStatus {
        match self.branches.get(&branch.key) {
            Some((BranchState::Suspended, _)) => return BranchStatus::Suspended,
            Some(_) => return BranchStatus::DoneBefore,
            None => {}
        }
        let legs: Vec<Leg> = branch.legs.iter().copied().collect();
        for leg in &legs {
            let ids = (leg.debit_account_id, leg.credit_account_id);
            self.book(ids, leg.amount, true, true);
        }
        let tried = (BranchState::Tried, legs);
        self.branches.insert(branch.key.clone(), tried);
        BranchStatus::Done
    }

    fn settle(&mut self, key: &BranchKey, to: BranchState) -> BranchStatus {
        let Some((state, legs)) = self.branches.get_mut(key) else {
            if to == BranchState::Confirmed {
                return BranchStatus::NotTried;
            }
            let suspended = (BranchState::Suspended, Vec::new());
            self.branches.insert(key.clone(), suspended);
            return BranchStatus::Done;
        };
        if *state != BranchState::Tried {
            return BranchStatus::DoneBefore;
        }
        *state = to;
        for leg in legs.clone() {
            let ids = (leg.debit_account_id, leg.credit_account_id);
            self.book(ids, leg.amount, true, false);
            if to == BranchState::Confirmed {
                self.book(ids, leg.amount, false, true);
            }
        }
        BranchStatus::Done
    }
}

impl Books for Fake {
    async fn create_accounts(&self, accounts: &[Account]) -> Answered<Vec<CreateAccountStatus>> {
        let mut state = self.state();
        state
            .accounts
            .extend(accounts.iter().map(|one| (one.id, *one)));
        Ok(vec![CreateAccountStatus::Created; accounts.len()])
    }

    async fn create_transfers(
        &self,
        transfers: &[Transfer],
    ) -> Answered<Vec<CreateTransferStatus>> {
        let (_, mut state) = self.write().await;
        let create = |transfer: &Transfer| {
            let status = expected(transfer);
            if status == CreateTransferStatus::Created {
                let ids = (transfer.debit_account_id, transfer.credit_account_id);
                state.book(ids, transfer.amount, transfer.flags != 0, true);
                state.transfers.insert(transfer.id, *transfer);
            }
            status
        };
        Ok(transfers.iter().map(create).collect())
    }

    async fn accounts(&self, ids: &[u128]) -> Answered<Vec<Account>> {
        let state = self.state();
        let found = ids.iter().filter_map(|id| state.accounts.get(id));
        Ok(found.copied().collect())
    }

    async fn transfers(&self, ids: &[u128]) -> Answered<Vec<Transfer>> {
        let state = self.state();
        let found = ids.iter().filter_map(|id| state.transfers.get(id));
        Ok(self.looked_up(found.copied().collect()))
    }

    async fn statement(&self, _: u128, _: u32) -> Answered<Vec<Transfer>> {
        Ok(Vec::new())
    }

    async fn try_branches(&self, branches: &Vec<TryBranch>) -> Answered<Vec<BranchStatus>> {
        let (faults, mut state) = self.write().await;
        if faults.forgets_tries {
            return Ok(vec![BranchStatus::Done; branches.len()]);
        }
        let part = if faults.halves_tries {
            &branches[..branches.len() / 2]
        } else {
            &branches[..]
        };
        let answers: Vec<_> = part.iter().map(|branch| state.reserve(branch)).collect();
        if faults.halves_tries {
            return Err(StepError::Unknown("it was cut off".into()));
        }
        Ok(answers)
    }

    async fn confirm_branches(&self, branches: &Vec<ConfirmBranch>) -> Answered<Vec<BranchStatus>> {
        let (faults, mut state) = self.write().await;
        if let Some(error) = faults.to_confirms {
            return Err(error);
        }
        if faults.forgets_confirms {
            return Ok(vec![BranchStatus::Done; branches.len()]);
        }
        let mut confirm =
            |branch: &ConfirmBranch| state.settle(&branch.key, BranchState::Confirmed);
        Ok(branches.iter().map(&mut confirm).collect())
    }

    async fn cancel_branches(&self, keys: &Vec<BranchKey>) -> Answered<Vec<BranchStatus>> {
        let (faults, mut state) = self.write().await;
        if let Some(error) = faults.to_cancels {
            return Err(error);
        }
        let mut cancel = |key: &BranchKey| state.settle(key, BranchState::Cancelled);
        Ok(keys.iter().map(&mut cancel).collect())
    }

    async fn branches(&self, keys: &Vec<BranchKey>) -> Answered<Vec<BranchState>> {
        let state = self.state();
        let stands = |key| {
            let known = state.branches.get(key);
            known.map_or(BranchState::None, |(state, _)| *state)
        };
        Ok(self.looked_up(keys.iter().map(stands).collect()))
    }
}
