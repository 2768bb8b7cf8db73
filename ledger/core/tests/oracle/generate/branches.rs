//! Requests about branches: few keys, so that every request meets every state.

use giro_base::Transfer;
use giro_base::branch::{BranchId, BranchKey, ConfirmBranch, Leg, LegKind, TryBranch};
use rand::Rng;

use crate::model::State;
use crate::request::{Action, BranchRequests, Request};

use super::Generator;

impl Generator {
    pub(super) fn branches(&mut self, state: &State) -> Request {
        let max = self.profile.events_max.min(400);
        let count = match self.rng.random_range(0..12) {
            0 => 0,
            1..4 => 1,
            _ => self.rng.random_range(1..=max),
        };
        let asked = match self.rng.random_range(0..10) {
            0..5 => BranchRequests::Try((0..count).map(|_| self.try_branch(state)).collect()),
            5..8 => BranchRequests::Confirm((0..count).map(|_| self.confirm()).collect()),
            _ => BranchRequests::Cancel((0..count).map(|_| self.key()).collect()),
        };
        Request {
            timestamp: self.advance(asked.ticks() as u64),
            action: Action::Branches(asked),
        }
    }

    fn try_branch(&mut self, state: &State) -> TryBranch {
        if self.chance(self.profile.repeat + 5)
            && let Some(earlier) = self.history.earlier_try(&mut self.rng)
        {
            let mut branch = earlier.clone();
            if self.chance(40) {
                self.change_try(&mut branch, state);
            }
            return branch;
        }
        let legs = match self.rng.random_range(0..20) {
            0..10 => 1,
            10..16 => 2,
            16..19 => self.rng.random_range(1..=5),
            _ => self.rng.random_range(1..=64),
        };
        let mut branch = TryBranch {
            key: self.new_key(),
            timeout: 0,
            legs: (0..legs).map(|_| self.leg(state)).collect(),
        };
        if self.chance(self.profile.timeout / 2) {
            branch.timeout = self.one_of(&[1, 1, 1, 2, 5, 3600, u32::MAX]);
        }
        while self.chance(self.profile.wrong / 2) {
            self.change_try(&mut branch, state);
        }
        self.history.add_try(branch.clone());
        branch
    }

    fn leg(&mut self, state: &State) -> Leg {
        let t = self.plain_transfer(state);
        Leg {
            debit_account_id: t.debit_account_id,
            credit_account_id: t.credit_account_id,
            amount: t.amount,
            user_data_128: t.user_data_128,
            user_data_64: t.user_data_64,
            user_data_32: t.user_data_32,
            ledger: t.ledger,
            code: t.code,
        }
    }

    fn change_try(&mut self, branch: &mut TryBranch, state: &State) {
        let at = self.rng.random_range(..branch.legs.len());
        match self.rng.random_range(0..6) {
            0 => branch.key = self.new_key(),
            1 => branch.timeout = self.one_of(&[0, 1, 2, u32::MAX]),
            2 if branch.legs.len() > 1 => branch.legs.truncate(branch.legs.len() - 1),
            3 if branch.legs.len() < 64 => branch.legs.push(self.leg(state)),
            _ => {
                let leg = branch.legs[at];
                let mut t = Transfer {
                    debit_account_id: leg.debit_account_id,
                    credit_account_id: leg.credit_account_id,
                    amount: leg.amount,
                    user_data_128: leg.user_data_128,
                    user_data_64: leg.user_data_64,
                    user_data_32: leg.user_data_32,
                    ledger: leg.ledger,
                    code: leg.code,
                    ..Transfer::default()
                };
                self.change_transfer(&mut t);
                branch.legs[at] = Leg {
                    debit_account_id: t.debit_account_id,
                    credit_account_id: t.credit_account_id,
                    amount: t.amount,
                    user_data_128: t.user_data_128,
                    user_data_64: t.user_data_64,
                    user_data_32: t.user_data_32,
                    ledger: t.ledger,
                    code: t.code,
                };
            }
        }
    }

    fn confirm(&mut self) -> ConfirmBranch {
        let tried = self.history.earlier_try(&mut self.rng).cloned();
        let key = match &tried {
            Some(tried) if self.chance(95) => tried.key.clone(),
            _ => self.key(),
        };
        let mut confirm = ConfirmBranch::whole(key);
        if let Some(tried) = tried
            && self.chance(50)
        {
            confirm.amounts = tried.legs.iter().map(|leg| leg.amount).collect();
            let at = self.rng.random_range(..confirm.amounts.len());
            match self.rng.random_range(0..8) {
                0..3 => confirm.amounts[at] = self.amount_near(confirm.amounts[at]),
                3 => confirm.amounts[at] /= 2,
                4 if confirm.amounts.len() < 64 => confirm.amounts.push(1),
                5 => confirm.amounts.truncate(confirm.amounts.len() - 1),
                _ => {}
            }
        }
        confirm
    }

    /// A key that was used, or will be.
    fn key(&mut self) -> BranchKey {
        match self.history.earlier_try(&mut self.rng) {
            Some(tried) if self.rng.random_ratio(8, 10) => tried.key.clone(),
            _ => self.new_key(),
        }
    }

    /// One of some keys, of which there are more as time goes by.
    fn new_key(&mut self) -> BranchKey {
        let n = self.transfer_count / 8 + self.rng.random_range(0..20);
        let mut gid = format!("gid-{n}");
        if n.is_multiple_of(5) {
            gid.push_str(&"x".repeat(n as usize % 120));
        }
        BranchKey::new(gid, ["01", "02", "b"][n as usize % 3])
    }

    /// Seldom, an ordinary transfer has an id of a branch, or wants to settle a leg of one.
    pub(super) fn meddle_with_branches(&mut self, t: &mut Transfer) {
        if self.profile.branches == 0 || !self.chance(3) {
            return;
        }
        let key = self.key();
        let id = BranchId::of(&key.gid, &key.branch_id);
        let kind = self.one_of(&[LegKind::Reserve, LegKind::Confirm, LegKind::Cancel]);
        let leg = self.one_of(&[0, 0, 1]);
        if t.pending_id != 0 {
            t.pending_id = id.leg(LegKind::Reserve, leg);
        } else if self.chance(30) {
            t.id = id.leg(kind, leg);
        }
    }
}
