//! What filters demand, and which rows satisfy it.

use std::ops::Range;

use giro_base::filter::{AccountFilter, QueryFilter};
use giro_base::{Account, Timestamp, Transfer, time};
use zerocopy::FromBytes;

/// An [`AccountFilter`] that makes sense.
#[derive(Clone, Copy)]
pub struct AccountQuery {
    /// The filter.
    pub filter: AccountFilter,
    pub(super) bounds: Bounds,
    /// Most rows of the answer.
    pub limit: usize,
    /// Newest first.
    pub reversed: bool,
}

/// A [`QueryFilter`] that makes sense.
#[derive(Clone, Copy)]
pub struct Query {
    /// The filter.
    pub filter: QueryFilter,
    pub(super) bounds: Bounds,
    /// Most rows of the answer.
    pub limit: usize,
    /// Newest first.
    pub reversed: bool,
}

impl AccountQuery {
    /// What these bytes ask for; none when it makes no sense. An answer has room for `rows_max`.
    #[must_use]
    pub fn parse(bytes: &[u8], rows_max: usize) -> Option<Self> {
        let filter = AccountFilter::read_from_bytes(bytes).ok()?;
        Some(Self {
            filter,
            bounds: Bounds::of_account_filter(&filter)?,
            limit: rows_max.min(filter.limit as usize),
            reversed: filter.flags & AccountFilter::REVERSED != 0,
        })
    }
}

impl Query {
    /// As [`AccountQuery::parse`].
    #[must_use]
    pub fn parse(bytes: &[u8], rows_max: usize) -> Option<Self> {
        let filter = QueryFilter::read_from_bytes(bytes).ok()?;
        Some(Self {
            filter,
            bounds: Bounds::of_query_filter(&filter)?,
            limit: rows_max.min(filter.limit as usize),
            reversed: filter.flags & QueryFilter::REVERSED != 0,
        })
    }
}

/// An inclusive window of timestamps (ns).
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) timestamp_min: Timestamp,
    pub(super) timestamp_max: Timestamp,
}

impl Bounds {
    fn new(min: Timestamp, max: Timestamp) -> Option<Self> {
        let valid = |timestamp| timestamp == 0 || time::is_valid(timestamp);
        if !valid(min) || !valid(max) || (max != 0 && min > max) {
            return None;
        }
        let timestamp_max = if max == 0 { time::TIMESTAMP_MAX } else { max };
        Some(Self {
            timestamp_min: min,
            timestamp_max,
        })
    }

    /// The window of a valid filter; none when the filter makes no sense.
    pub(super) fn of_account_filter(filter: &AccountFilter) -> Option<Self> {
        let sides = AccountFilter::DEBITS | AccountFilter::CREDITS;
        let valid = filter.account_id != 0
            && filter.account_id != u128::MAX
            && filter.limit != 0
            && filter.flags & sides != 0
            && filter.flags & !(sides | AccountFilter::REVERSED) == 0
            && filter.reserved == [0; 58];
        valid
            .then(|| Self::new(filter.timestamp_min, filter.timestamp_max))
            .flatten()
    }

    /// As [`Self::of_account_filter`].
    pub(super) fn of_query_filter(filter: &QueryFilter) -> Option<Self> {
        let valid = filter.limit != 0
            && filter.flags & !QueryFilter::REVERSED == 0
            && filter.reserved == [0; 6];
        valid
            .then(|| Self::new(filter.timestamp_min, filter.timestamp_max))
            .flatten()
    }

    /// The rows within the window, of which `first_from` finds the first of a time or later.
    pub(super) fn rows(&self, first_from: impl Fn(Timestamp) -> u64) -> Range<u64> {
        first_from(self.timestamp_min)..first_from(self.timestamp_max.saturating_add(1))
    }

    pub(super) fn contains(&self, timestamp: Timestamp) -> bool {
        (self.timestamp_min..=self.timestamp_max).contains(&timestamp)
    }

    /// The places within the window, of `len` whose timestamps rise.
    pub(super) fn range(&self, len: usize, timestamp: impl Fn(usize) -> Timestamp) -> Range<usize> {
        let first_from = |bound: Timestamp| {
            let (mut low, mut high) = (0, len);
            while low < high {
                let middle = usize::midpoint(low, high);
                if timestamp(middle) < bound {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low
        };
        first_from(self.timestamp_min)..first_from(self.timestamp_max.saturating_add(1))
    }
}

/// Whether a filter selects a transfer of its account. Zero is any.
pub(super) fn selects(filter: &AccountFilter, t: &Transfer) -> bool {
    let debit =
        filter.flags & AccountFilter::DEBITS != 0 && t.debit_account_id == filter.account_id;
    let credit =
        filter.flags & AccountFilter::CREDITS != 0 && t.credit_account_id == filter.account_id;
    (debit || credit)
        && any_or(filter.user_data_128, t.user_data_128)
        && any_or(filter.user_data_64, t.user_data_64)
        && any_or(filter.user_data_32, t.user_data_32)
        && any_or(filter.code, t.code)
}

/// Whether a filter selects an account.
pub(super) fn matches_account(filter: &QueryFilter, a: &Account) -> bool {
    any_or(filter.user_data_128, a.user_data_128)
        && any_or(filter.user_data_64, a.user_data_64)
        && any_or(filter.user_data_32, a.user_data_32)
        && any_or(filter.ledger, a.ledger)
        && any_or(filter.code, a.code)
}

/// Whether a filter selects a transfer.
pub(super) fn matches_transfer(filter: &QueryFilter, t: &Transfer) -> bool {
    any_or(filter.user_data_128, t.user_data_128)
        && any_or(filter.user_data_64, t.user_data_64)
        && any_or(filter.user_data_32, t.user_data_32)
        && any_or(filter.ledger, t.ledger)
        && any_or(filter.code, t.code)
}

fn any_or<T: PartialEq + Default + Copy>(asked: T, stored: T) -> bool {
    asked == T::default() || asked == stored
}
