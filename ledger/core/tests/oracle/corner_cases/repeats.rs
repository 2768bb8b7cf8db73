//! The same id again.

use giro_base::Transfer;

use super::*;

#[test]
fn an_id_that_failed_for_want_of_an_account_stays_failed_in_its_batch() {
    let mut case = Case::new();
    let lost = Transfer {
        credit_account_id: 99,
        ..transfer(1, 0)
    };
    case.transfers(&[lost, transfer(1, 0)], &[22, 68]);
    case.accounts(&[account(99)], &[CREATED]);
    case.transfers(&[lost], &[68]);
    // Checks of the request alone still come first.
    case.transfers(&[transfer(1, 1 << 15)], &[4]);
    case.check();
}

#[test]
fn posting_all_and_posting_the_amount_are_the_same_request() {
    let mut case = Case::new();
    let with = |amount| Transfer {
        amount,
        ..resolve(2, 1, POST)
    };
    let events = [
        transfer(1, PENDING),
        with(u128::MAX),
        with(10),
        with(9),
        with(0),
    ];
    case.transfers(&events, &[CREATED, CREATED, 46, 39, 39]);
    case.check();
}

#[test]
fn a_partial_post_repeats_only_with_its_own_amount() {
    let mut case = Case::new();
    let with = |amount| Transfer {
        amount,
        ..resolve(2, 1, POST)
    };
    let events = [
        transfer(1, PENDING),
        with(4),
        with(4),
        with(10),
        with(u128::MAX),
    ];
    case.transfers(&events, &[CREATED, CREATED, 46, 39, 39]);
    case.check();
}

#[test]
fn a_balancing_transfer_repeats_with_any_amount_not_below_what_moved() {
    let mut case = Case::new();
    let back = Transfer {
        debit_account_id: 2,
        credit_account_id: 1,
        amount: 6,
        ..transfer(1, 0)
    };
    let with = |amount| Transfer {
        amount,
        ..transfer(2, BALANCING_DEBIT)
    };
    let events = [back, with(u128::MAX), with(6), with(7), with(5)];
    case.transfers(&events, &[CREATED, CREATED, 46, 46, 39]);
    assert_eq!(case.balances(1), [0, 6, 0, 6]);
    // Nothing is left, and nothing is what moves.
    case.transfers(&[transfer(3, BALANCING_DEBIT)], &[CREATED]);
    assert_eq!(case.balances(1), [0, 6, 0, 6]);
    case.check();
}

#[test]
fn inherited_user_data_repeats_as_zero_or_as_itself() {
    let mut case = Case::new();
    let pending = Transfer {
        user_data_128: 7,
        user_data_64: 8,
        user_data_32: 9,
        ..transfer(1, PENDING)
    };
    let with = |data: u128| Transfer {
        user_data_128: data,
        ..resolve(2, 1, POST)
    };
    let events = [pending, with(0), with(0), with(7), with(6)];
    case.transfers(&events, &[CREATED, CREATED, 46, 46, 41]);
    let own = Transfer {
        user_data_128: 6,
        ..resolve(4, 3, VOID)
    };
    let events = [transfer(3, PENDING), own, resolve(4, 3, VOID)];
    case.transfers(&events, &[CREATED, CREATED, 41]);
    case.check();
}
