//! Lookups and queries (specification section 8).

use giro_base::filter::{AccountFilter, QueryFilter};
use giro_base::{Account, Transfer};

use super::state::State;

const TIMESTAMP_MAX: u64 = (1 << 63) - 1;

pub(super) fn lookup_accounts(state: &State, ids: &[u128]) -> Vec<Account> {
    ids.iter().filter_map(|id| state.account(*id)).collect()
}

pub(super) fn lookup_transfers(state: &State, ids: &[u128]) -> Vec<Transfer> {
    ids.iter().filter_map(|id| state.transfer(*id)).collect()
}

/// At most `rows_max` transfers of one account.
pub(super) fn account_transfers(
    state: &State,
    filter: &AccountFilter,
    rows_max: usize,
) -> Vec<Transfer> {
    let (debits, credits) = (filter.flags & 1 != 0, filter.flags & 2 != 0);
    let is_valid = filter.account_id != 0
        && filter.account_id != u128::MAX
        && is_range(filter.timestamp_min, filter.timestamp_max)
        && filter.limit != 0
        && (debits || credits)
        && filter.flags < 8
        && filter.reserved == [0; 58];
    if !is_valid || state.account(filter.account_id).is_none() {
        return Vec::new();
    }
    let is_wanted = |t: &Transfer| {
        let is_side = debits && t.debit_account_id == filter.account_id
            || credits && t.credit_account_id == filter.account_id;
        is_side
            && matches(filter.user_data_128, t.user_data_128)
            && matches(filter.user_data_64, t.user_data_64)
            && matches(filter.user_data_32, t.user_data_32)
            && matches(filter.code, t.code)
            && is_within(filter.timestamp_min, filter.timestamp_max, t.timestamp)
    };
    let rows = state.transfer_times().values();
    let rows = rows.map(|id| state.transfers()[id]).filter(is_wanted);
    take(rows, filter.flags & 4 != 0, filter.limit, rows_max)
}

/// At most `rows_max` accounts.
pub(super) fn query_accounts(state: &State, filter: &QueryFilter, rows_max: usize) -> Vec<Account> {
    if !is_valid(filter) {
        return Vec::new();
    }
    let is_wanted = |a: &Account| {
        matches(filter.user_data_128, a.user_data_128)
            && matches(filter.user_data_64, a.user_data_64)
            && matches(filter.user_data_32, a.user_data_32)
            && matches(filter.ledger, a.ledger)
            && matches(filter.code, a.code)
            && is_within(filter.timestamp_min, filter.timestamp_max, a.timestamp)
    };
    let rows = state.account_times().values();
    let rows = rows.map(|id| state.accounts()[id]).filter(is_wanted);
    take(rows, filter.flags & 1 != 0, filter.limit, rows_max)
}

/// At most `rows_max` transfers.
pub(super) fn query_transfers(
    state: &State,
    filter: &QueryFilter,
    rows_max: usize,
) -> Vec<Transfer> {
    if !is_valid(filter) {
        return Vec::new();
    }
    let is_wanted = |t: &Transfer| {
        matches(filter.user_data_128, t.user_data_128)
            && matches(filter.user_data_64, t.user_data_64)
            && matches(filter.user_data_32, t.user_data_32)
            && matches(filter.ledger, t.ledger)
            && matches(filter.code, t.code)
            && is_within(filter.timestamp_min, filter.timestamp_max, t.timestamp)
    };
    let rows = state.transfer_times().values();
    let rows = rows.map(|id| state.transfers()[id]).filter(is_wanted);
    take(rows, filter.flags & 1 != 0, filter.limit, rows_max)
}

fn is_valid(filter: &QueryFilter) -> bool {
    is_range(filter.timestamp_min, filter.timestamp_max)
        && filter.limit != 0
        && filter.flags < 2
        && filter.reserved == [0; 6]
}

/// Whether both ends are 0 or valid timestamps, and in order.
fn is_range(min: u64, max: u64) -> bool {
    min <= TIMESTAMP_MAX && max <= TIMESTAMP_MAX && (max == 0 || min <= max)
}

fn is_within(min: u64, max: u64, timestamp: u64) -> bool {
    timestamp >= min && (max == 0 || timestamp <= max)
}

/// Whether a row's field passes the filter's, where 0 lets all through.
fn matches<T: Copy + Default + PartialEq>(wanted: T, value: T) -> bool {
    wanted == T::default() || wanted == value
}

/// The first rows, or the last ones newest first.
fn take<R>(
    rows: impl DoubleEndedIterator<Item = R>,
    is_reversed: bool,
    limit: u32,
    rows_max: usize,
) -> Vec<R> {
    let count = rows_max.min(limit as usize);
    if is_reversed {
        rows.rev().take(count).collect()
    } else {
        rows.take(count).collect()
    }
}
