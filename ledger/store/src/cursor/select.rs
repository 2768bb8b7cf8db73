//! Which transfers a query wants.

use giro_base::filter::{AccountFilter, QueryFilter};
use giro_base::{Timestamp, Transfer, time};

use crate::segment::fields::Field;

/// A valid filter's conditions, without its window of time. 0 is any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// The account, if it is an account's transfers that are wanted.
    pub account: Option<AccountSides>,
    /// `user_data_128`
    pub user_data_128: u128,
    /// `user_data_64`
    pub user_data_64: u64,
    /// `user_data_32`
    pub user_data_32: u32,
    /// `code`
    pub code: u16,
    /// `ledger`
    pub ledger: u32,
}

/// An account, and the sides of it that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountSides {
    /// Its id.
    pub id: u128,
    /// Its slot.
    pub slot: u32,
    /// Transfers that debit it.
    pub debits: bool,
    /// Transfers that credit it.
    pub credits: bool,
}

/// The timestamps a query wants, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First (ns, inclusive).
    pub min: Timestamp,
    /// Last (ns, inclusive).
    pub max: Timestamp,
    /// Newest first.
    pub reversed: bool,
}

impl Window {
    /// All of time, oldest first.
    pub const ALL: Self = Self {
        min: 0,
        max: time::TIMESTAMP_MAX,
        reversed: false,
    };

    fn new(min: Timestamp, max: Timestamp, reversed: bool) -> Self {
        let max = if max == 0 { time::TIMESTAMP_MAX } else { max };
        Self { min, max, reversed }
    }

    /// That of a valid filter.
    #[must_use]
    pub fn of_account_filter(filter: &AccountFilter) -> Self {
        let reversed = filter.flags & AccountFilter::REVERSED != 0;
        Self::new(filter.timestamp_min, filter.timestamp_max, reversed)
    }

    /// That of a valid filter.
    #[must_use]
    pub fn of_query_filter(filter: &QueryFilter) -> Self {
        let reversed = filter.flags & QueryFilter::REVERSED != 0;
        Self::new(filter.timestamp_min, filter.timestamp_max, reversed)
    }
}

impl Select {
    /// What a valid filter wants of the account in `slot`.
    #[must_use]
    pub fn of_account_filter(filter: &AccountFilter, slot: u32) -> Self {
        Self {
            account: Some(AccountSides {
                id: filter.account_id,
                slot,
                debits: filter.flags & AccountFilter::DEBITS != 0,
                credits: filter.flags & AccountFilter::CREDITS != 0,
            }),
            user_data_128: filter.user_data_128,
            user_data_64: filter.user_data_64,
            user_data_32: filter.user_data_32,
            code: filter.code,
            ledger: 0,
        }
    }

    /// What a valid filter wants.
    #[must_use]
    pub fn of_query_filter(filter: &QueryFilter) -> Self {
        Self {
            account: None,
            user_data_128: filter.user_data_128,
            user_data_64: filter.user_data_64,
            user_data_32: filter.user_data_32,
            code: filter.code,
            ledger: filter.ledger,
        }
    }

    /// Whether it wants this transfer.
    #[must_use]
    pub fn wants(&self, t: &Transfer) -> bool {
        let account = self.account.is_none_or(|account| {
            (account.debits && t.debit_account_id == account.id)
                || (account.credits && t.credit_account_id == account.id)
        });
        account
            && any_or(self.user_data_128, t.user_data_128)
            && any_or(self.user_data_64, t.user_data_64)
            && any_or(self.user_data_32, t.user_data_32)
            && any_or(self.code, t.code)
            && any_or(self.ledger, t.ledger)
    }

    /// The indexed values it asks for, none 0.
    pub(super) fn fields(&self) -> impl Iterator<Item = (Field, u128)> {
        let all = [
            (Field::UserData128, self.user_data_128),
            (Field::UserData64, self.user_data_64.into()),
            (Field::UserData32, self.user_data_32.into()),
            (Field::Code, self.code.into()),
            (Field::Ledger, self.ledger.into()),
        ];
        all.into_iter().filter(|(_, value)| *value != 0)
    }
}

fn any_or<T: PartialEq + Default + Copy>(asked: T, stored: T) -> bool {
    asked == T::default() || asked == stored
}
