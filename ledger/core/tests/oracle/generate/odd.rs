//! Single fields changed to something else, often something wrong.

use giro_base::{Account, Transfer};
use rand::Rng;

use super::{Generator, account_id};

impl Generator {
    /// Changes one field of an account.
    pub(super) fn change_account(&mut self, account: &mut Account) {
        let small = self.rng.random_range(0..4_u8);
        match self.rng.random_range(0..13) {
            0 => account.id = self.one_of(&[0, u128::MAX, 1, 1 << 64]),
            1 => account.debits_pending = u128::from(small),
            2 => account.debits_posted = u128::from(small),
            3 => account.credits_pending = u128::from(small) << 100,
            4 => account.credits_posted = u128::from(small),
            5 => account.user_data_128 = self.user_data().into(),
            6 => account.user_data_64 = self.user_data(),
            7 => account.user_data_32 = self.user_data() as u32,
            8 => account.reserved = u32::from(small),
            9 => account.ledger = self.one_of(&[0, 1, 2, 3, 77]),
            10 => account.code = self.one_of(&[0, 1, 2, u16::MAX]),
            11 => account.flags ^= 1 << self.rng.random_range(0..16),
            _ => account.timestamp = self.odd_timestamp(account.timestamp),
        }
    }

    /// Changes one field of a transfer.
    pub(super) fn change_transfer(&mut self, t: &mut Transfer) {
        let some_account = account_id(self.rng.random_range(0..self.accounts + 3));
        let some_id = self.history.transfer(&mut self.rng).map_or(1, |t| t.id);
        match self.rng.random_range(0..15) {
            0 => t.id = self.one_of(&[0, u128::MAX, some_id]),
            1 => t.debit_account_id = self.one_of(&[0, u128::MAX, t.credit_account_id]),
            2 => t.credit_account_id = self.one_of(&[0, u128::MAX, t.debit_account_id]),
            3 => t.debit_account_id = some_account,
            4 => t.credit_account_id = some_account,
            5 => t.amount = self.amount_near(t.amount),
            6 => t.pending_id = self.one_of(&[0, u128::MAX, t.id, some_id, 99]),
            7 => t.user_data_128 = self.user_data().into(),
            8 => t.user_data_64 = self.user_data(),
            9 => t.user_data_32 = self.user_data() as u32,
            10 => t.timeout = self.one_of(&[0, 1, 2, 10_000_000, u32::MAX]),
            11 => t.ledger = self.one_of(&[0, 1, 2, 3, 77]),
            12 => t.code = self.one_of(&[0, 1, 2, u16::MAX]),
            13 => t.flags ^= 1 << self.rng.random_range(0..16),
            _ => t.timestamp = self.odd_timestamp(t.timestamp),
        }
    }

    /// A value that often repeats, so that filters find several.
    pub(super) fn user_data(&mut self) -> u64 {
        self.one_of(&[0, 0, 1, 2, 3, u64::MAX])
    }

    /// An amount by the seed's taste.
    pub(super) fn amount(&mut self) -> u128 {
        if !self.chance(self.profile.large_amounts) {
            return self.rng.random_range(0..=12);
        }
        let edge = self.one_of(&[
            1 << 64,
            u128::from(u64::MAX),
            1 << 127,
            u128::MAX,
            u128::MAX / 3,
        ]);
        self.amount_near(edge)
    }

    /// This amount, or one at its edges.
    pub(super) fn amount_near(&mut self, amount: u128) -> u128 {
        self.one_of(&[
            amount,
            amount.wrapping_add(1),
            amount.wrapping_sub(1),
            amount / 2,
            0,
            u128::MAX,
        ])
    }

    fn odd_timestamp(&mut self, timestamp: u64) -> u64 {
        self.one_of(&[0, 1, 1 << 63, u64::MAX, timestamp.wrapping_add(1)])
    }
}
