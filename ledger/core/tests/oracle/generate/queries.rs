//! Lookups and queries.

use giro_base::Position;
use giro_base::change::{ChangeEventsFilter, ChangesAfter};
use giro_base::filter::{AccountFilter, QueryFilter};
use rand::Rng;

use crate::model::State;
use crate::request::{Action, Request};

use super::{Generator, account_id};

impl Generator {
    pub(super) fn query(&mut self, state: &State) -> Request {
        let rows_max = self.one_of(&[3, 100, 8189, 8190]);
        let action = match self.rng.random_range(0..7) {
            0 => Action::LookupAccounts(self.account_ids()),
            1 => Action::LookupTransfers(self.transfer_ids(state)),
            2 => Action::AccountTransfers(self.account_filter(state), rows_max),
            3 => Action::QueryAccounts(self.query_filter(state), rows_max),
            4 => Action::QueryTransfers(self.query_filter(state), rows_max),
            5 => Action::ChangeEvents(self.changes_filter(state), self.one_of(&[3, 100, 2730])),
            _ => Action::ChangesAfter(self.changes_after(state), self.one_of(&[3, 100, 2730])),
        };
        Request {
            timestamp: self.advance(0),
            action,
        }
    }

    fn account_ids(&mut self) -> Vec<u128> {
        let mut ids = vec![0, u128::MAX];
        for _ in 0..self.rng.random_range(0..12) {
            ids.push(account_id(self.rng.random_range(1..=self.accounts + 2)));
        }
        ids
    }

    fn transfer_ids(&mut self, state: &State) -> Vec<u128> {
        let mut ids = vec![0, u128::MAX];
        for _ in 0..self.rng.random_range(0..12) {
            ids.extend(self.history.transfer(&mut self.rng).map(|t| t.id));
            ids.extend(self.history.pending(&mut self.rng).map(|t| t.id));
        }
        ids.extend(state.burned().first());
        ids
    }

    fn account_filter(&mut self, state: &State) -> AccountFilter {
        let (timestamp_min, timestamp_max) = self.range(state);
        let mut filter = AccountFilter {
            account_id: account_id(self.rng.random_range(1..=self.accounts + 2)),
            user_data_128: self.filter_data().into(),
            user_data_64: self.filter_data(),
            user_data_32: self.filter_data() as u32,
            code: self.one_of(&[0, 0, 0, 1, 2]),
            reserved: [0; 58],
            timestamp_min,
            timestamp_max,
            limit: self.one_of(&[1, 2, 10, 8189, 8190, u32::MAX]),
            flags: self.one_of(&[1, 2, 3, 3, 5, 6, 7, 7]),
        };
        match self.rng.random_range(0..30) {
            0 => filter.account_id = self.one_of(&[0, u128::MAX]),
            1 => filter.reserved[self.rng.random_range(0..58)] = 1,
            2 => filter.limit = 0,
            3 => filter.flags = self.one_of(&[0, 4, 8, 11, 1 << 31]),
            _ => {}
        }
        filter
    }

    fn query_filter(&mut self, state: &State) -> QueryFilter {
        let (timestamp_min, timestamp_max) = self.range(state);
        let mut filter = QueryFilter {
            user_data_128: self.filter_data().into(),
            user_data_64: self.filter_data(),
            user_data_32: self.filter_data() as u32,
            ledger: self.one_of(&[0, 0, 1, 2]),
            code: self.one_of(&[0, 0, 0, 1, 2]),
            reserved: [0; 6],
            timestamp_min,
            timestamp_max,
            limit: self.one_of(&[1, 2, 10, 8189, 8190, u32::MAX]),
            flags: self.one_of(&[0, 1]),
        };
        match self.rng.random_range(0..30) {
            0 => filter.reserved[self.rng.random_range(0..6)] = 1,
            1 => filter.limit = 0,
            2 => filter.flags = self.one_of(&[2, 3, 1 << 31]),
            _ => {}
        }
        filter
    }

    fn changes_filter(&mut self, state: &State) -> ChangeEventsFilter {
        let (timestamp_min, timestamp_max) = self.range(state);
        let mut filter = ChangeEventsFilter {
            timestamp_min,
            timestamp_max,
            limit: self.one_of(&[1, 2, 10, 2730, u32::MAX]),
            reserved: [0; 44],
        };
        match self.rng.random_range(0..30) {
            0 => filter.reserved[self.rng.random_range(0..44)] = 1,
            1 => filter.limit = 0,
            _ => {}
        }
        filter
    }

    /// Sometimes a position that no reader would come to.
    fn changes_after(&mut self, state: &State) -> ChangesAfter {
        let (transfers, expiries) = self.range(state);
        let position = Position {
            transfers,
            expiries,
        };
        let mut filter = ChangesAfter {
            position,
            limit: self.one_of(&[1, 2, 10, 2730, u32::MAX]),
            reserved: [0; 44],
        };
        match self.rng.random_range(0..30) {
            0 => filter.reserved[self.rng.random_range(0..44)] = 1,
            1 => filter.limit = 0,
            _ => {}
        }
        filter
    }

    fn filter_data(&mut self) -> u64 {
        self.one_of(&[0, 0, 0, 0, 0, 1, 2])
    }

    /// Both ends of a time range, mostly open, sometimes wrong.
    fn range(&mut self, state: &State) -> (u64, u64) {
        let newest = self.last;
        let oldest = state.account_times().keys().next().map_or(1, |at| *at);
        let exact = self.history.transfer(&mut self.rng).map_or(0, |t| t.id);
        let exact = state.transfer(exact).map_or(oldest, |t| t.timestamp);
        let some = self.rng.random_range(oldest.min(newest)..=newest + 1);
        let ends = [
            0,
            0,
            0,
            1,
            oldest,
            exact,
            exact + 1,
            some,
            newest,
            1 << 63,
            u64::MAX,
        ];
        (self.one_of(&ends), self.one_of(&ends))
    }
}
