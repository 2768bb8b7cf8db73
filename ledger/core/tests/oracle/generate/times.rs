//! Timestamps of imported events: around those of existing objects.

use giro_base::Account;
use rand::Rng;

use crate::model::State;

use super::Generator;

/// Where a batch lies in time, and where its imports have got to.
pub(super) struct ImportTimes {
    /// Timestamp of the batch's last event.
    pub(super) batch: u64,
    /// Largest timestamp of the kind of object that is imported.
    pub(super) cursor: u64,
}

impl ImportTimes {
    pub(super) fn of_accounts(state: &State, batch: u64) -> Self {
        let largest = state.account_times().keys().next_back();
        Self {
            batch,
            cursor: largest.copied().unwrap_or(0),
        }
    }

    pub(super) fn of_transfers(state: &State, batch: u64) -> Self {
        let largest = state.transfer_times().keys().next_back();
        Self {
            batch,
            cursor: largest.copied().unwrap_or(0),
        }
    }
}

impl Generator {
    /// A timestamp for an imported event; `accounts` are those it touches.
    pub(super) fn import_time(
        &mut self,
        state: &State,
        times: &mut ImportTimes,
        accounts: [Option<Account>; 2],
    ) -> u64 {
        let touched = accounts.map(|a| a.map_or(1, |a| a.timestamp));
        let latest = touched[0].max(touched[1]).max(times.cursor);
        let timestamp = match self.rng.random_range(0..40) {
            0 => times.cursor,
            1 => times.batch,
            2 => times.batch - 1,
            3 => self.one_of(&[0, 1, 1 << 63, u64::MAX]),
            // Newer than every transfer, older than an account.
            4..16 if touched[0].max(touched[1]) > times.cursor => {
                let newest = touched[0].max(touched[1]);
                self.rng.random_range(times.cursor + 1..=newest)
            }
            4..7 => touched[0] + self.rng.random_range(0..2),
            7..10 => touched[1] + self.rng.random_range(0..2),
            10..13 => self.existing_time(state, times.cursor),
            13..16 => {
                latest
                    + self
                        .rng
                        .random_range(1..=times.batch.saturating_sub(latest).max(1))
            }
            _ => latest + self.rng.random_range(1..=3),
        };
        if (times.cursor..times.batch).contains(&timestamp) {
            times.cursor = timestamp;
        }
        timestamp
    }

    /// The timestamp of an object that is there, beyond `after` where there is one.
    fn existing_time(&mut self, state: &State, after: u64) -> u64 {
        let account = state.account_times().range(after + 1..).next();
        let transfer = state.transfer_times().range(after + 1..).next();
        let newest = state.transfer_times().keys().next_back();
        self.one_of(&[
            account.map_or(1, |(at, _)| *at),
            transfer.map_or(1, |(at, _)| *at),
            newest.copied().unwrap_or(1),
        ])
    }
}
