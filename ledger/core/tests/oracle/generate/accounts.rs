//! Requests that create accounts.

use giro_base::{Account, AccountFlags};
use rand::Rng;

use crate::model::State;
use crate::request::{Action, Request};

use super::times::ImportTimes;
use super::{Generator, account_id};

impl Generator {
    pub(super) fn create_accounts(&mut self, state: &State) -> Request {
        let form = self.form();
        let sizes = self.sizes(form);
        let events: usize = sizes.iter().sum();
        let timestamp = self.advance(events as u64);
        let mut end = timestamp - events as u64;
        let mut batches = Vec::new();
        for size in sizes {
            end += size as u64;
            let mut times = ImportTimes::of_accounts(state, end);
            let is_imported = self.chance(self.profile.imported);
            let make = |_| self.account(state, is_imported, &mut times);
            batches.push((0..size).map(make).collect());
        }
        Request {
            timestamp,
            action: Action::CreateAccounts(form, batches),
        }
    }

    fn account(&mut self, state: &State, is_imported: bool, times: &mut ImportTimes) -> Account {
        let mut account = self.fresh_account(state, is_imported, times);
        if self.chance(self.profile.repeat)
            && let Some(earlier) = self.history.account(&mut self.rng)
            && (earlier.flags & AccountFlags::IMPORTED != 0) == is_imported
        {
            account = earlier;
            if self.chance(70) {
                self.change_account(&mut account);
            }
        }
        while self.chance(self.profile.wrong / 2) {
            self.change_account(&mut account);
        }
        self.history.add_account(account);
        account
    }

    fn fresh_account(
        &mut self,
        state: &State,
        is_imported: bool,
        times: &mut ImportTimes,
    ) -> Account {
        let n = (0..3)
            .map(|_| self.rng.random_range(1..=self.accounts))
            .find(|n| state.account(account_id(*n)).is_none());
        let n = n.unwrap_or(self.accounts);
        let mut flags = 0;
        if self.is_linked() {
            flags |= AccountFlags::LINKED;
        }
        if self.chance(self.profile.limited) {
            flags |= self.one_of(&[
                AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS,
                AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS,
            ]);
        }
        if self.chance(1) {
            flags |= AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS
                | AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS;
        }
        if self.chance(20) {
            flags |= AccountFlags::HISTORY;
        }
        if self.chance(self.profile.closing) {
            flags |= AccountFlags::CLOSED;
        }
        let mut timestamp = 0;
        if is_imported {
            flags |= AccountFlags::IMPORTED;
            timestamp = self.import_time(state, times, [None, None]);
        }
        Account {
            id: account_id(n),
            user_data_128: self.user_data().into(),
            user_data_64: self.user_data(),
            user_data_32: self.user_data() as u32,
            ledger: self.ledger_of(n),
            code: self.rng.random_range(1..4),
            flags,
            timestamp,
            ..Account::default()
        }
    }

    /// The ledger that account number `n` usually has.
    pub(super) fn ledger_of(&self, n: u64) -> u32 {
        (n % self.profile.ledgers) as u32 + 1
    }
}
