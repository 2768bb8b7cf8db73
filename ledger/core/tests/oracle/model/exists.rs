//! A transfer whose id is taken: the same again, or another (specification section 5.3).

use giro_base::Transfer;

use super::state::State;
use super::transfers::{BALANCING_CREDIT, BALANCING_DEBIT, POST, VOID};

/// Status of `t` where `old` has its id.
pub(super) fn compare(state: &State, t: &Transfer, old: &Transfer) -> u32 {
    if t.flags != old.flags {
        36
    } else if t.pending_id != old.pending_id {
        40
    } else if t.timeout != old.timeout {
        44
    } else if t.flags & (POST | VOID) == 0 {
        compare_plain(t, old)
    } else {
        let p = state.transfer(old.pending_id).expect("it was posted");
        compare_two_phase(t, old, &p)
    }
}

/// The same where flags, pending id and timeout are equal, and it is no post or void.
pub(super) fn compare_plain(t: &Transfer, old: &Transfer) -> u32 {
    let is_balancing = t.flags & (BALANCING_DEBIT | BALANCING_CREDIT) != 0;
    let amount_differs = if is_balancing {
        t.amount < old.amount
    } else {
        t.amount != old.amount
    };
    first_difference(&[
        (t.debit_account_id != old.debit_account_id, 37),
        (t.credit_account_id != old.credit_account_id, 38),
        (amount_differs, 39),
        (t.user_data_128 != old.user_data_128, 41),
        (t.user_data_64 != old.user_data_64, 42),
        (t.user_data_32 != old.user_data_32, 43),
        (t.ledger != old.ledger, 67),
        (t.code != old.code, 45),
    ])
}

fn compare_two_phase(t: &Transfer, old: &Transfer, p: &Transfer) -> u32 {
    let means_all = if t.flags & VOID != 0 { 0 } else { u128::MAX };
    let amount = if t.amount == means_all {
        p.amount
    } else {
        t.amount
    };
    let data_128 = or(t.user_data_128, p.user_data_128);
    let data_64 = or(t.user_data_64, p.user_data_64);
    let data_32 = or(t.user_data_32, p.user_data_32);
    first_difference(&[
        (
            or(t.debit_account_id, old.debit_account_id) != old.debit_account_id,
            37,
        ),
        (
            or(t.credit_account_id, old.credit_account_id) != old.credit_account_id,
            38,
        ),
        (amount != old.amount, 39),
        (data_128 != old.user_data_128, 41),
        (data_64 != old.user_data_64, 42),
        (data_32 != old.user_data_32, 43),
        (or(t.ledger, old.ledger) != old.ledger, 67),
        (or(t.code, old.code) != old.code, 45),
    ])
}

/// A field of a post or void: 0 is "the same as".
fn or<T: Default + PartialEq>(value: T, same_as: T) -> T {
    if value == T::default() {
        same_as
    } else {
        value
    }
}

fn first_difference(ladder: &[(bool, u32)]) -> u32 {
    let first = ladder.iter().find(|(differs, _)| *differs);
    first.map_or(46, |(_, status)| *status)
}
