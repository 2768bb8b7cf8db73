//! Pending transfers: posting, voiding, closing, expiry.

use giro_base::Transfer;

use super::*;

#[test]
fn closing_both_accounts_stops_all_but_the_void() {
    let mut case = Case::new();
    let closing = transfer(1, PENDING | CLOSING_DEBIT | CLOSING_CREDIT);
    case.transfers(&[transfer(9, PENDING), closing], &[CREATED, CREATED]);
    let from_2 = Transfer {
        debit_account_id: 3,
        ..transfer(3, 0)
    };
    case.transfers(
        &[
            transfer(2, 0),
            from_2,
            resolve(4, 1, POST),
            resolve(5, 9, POST),
        ],
        &[65, 66, 65, 65],
    );
    case.transfers(&[resolve(6, 1, VOID), transfer(7, 0)], &[CREATED, CREATED]);
    case.transfers(&[resolve(8, 9, POST)], &[CREATED]);
    case.check();
}

#[test]
fn an_account_closed_meanwhile_differs_from_its_request() {
    let mut case = Case::new();
    case.transfers(&[transfer(1, PENDING | CLOSING_DEBIT)], &[CREATED]);
    case.accounts(&[account(1), account(2)], &[15, 21]);
    case.check();
}

#[test]
fn amounts_of_posts_and_voids_are_taken_literally() {
    let mut case = Case::new();
    let with = |amount, t| Transfer { amount, ..t };
    case.transfers(&[transfer(1, PENDING), transfer(2, PENDING)], &[CREATED; 2]);
    let events = [
        with(11, resolve(11, 1, POST)),
        with(u128::MAX, resolve(12, 1, VOID)),
        with(9, resolve(13, 1, VOID)),
        with(0, resolve(14, 1, POST)),
        with(10, resolve(15, 2, VOID)),
    ];
    case.transfers(&events, &[31, 31, 32, CREATED, CREATED]);
    assert_eq!(case.balances(1), [0; 4]);
    case.check();
}

#[test]
fn due_is_expired_for_a_post_before_the_pulse_runs() {
    let mut case = Case::new();
    let timed = Transfer {
        timeout: 1,
        ..transfer(1, PENDING)
    };
    case.transfers(&[timed], &[CREATED]);
    case.wait(SECOND - 2);
    case.transfers(&[transfer(0, 0), resolve(2, 1, POST)], &[5, 35]);
    assert_eq!(case.balances(1), [10, 0, 0, 0]);
    case.pulse();
    assert_eq!(case.balances(1), [0; 4]);
    case.transfers(&[resolve(3, 1, VOID)], &[35]);
    case.check();
}

#[test]
fn a_post_one_nanosecond_before_due_succeeds() {
    let mut case = Case::new();
    let timed = Transfer {
        timeout: 1,
        ..transfer(1, PENDING)
    };
    case.transfers(&[timed], &[CREATED]);
    case.wait(SECOND - 2);
    case.transfers(&[resolve(2, 1, POST)], &[CREATED]);
    case.wait(SECOND);
    case.pulse();
    assert_eq!(case.balances(1), [0, 10, 0, 0]);
    case.check();
}

#[test]
fn a_pulse_at_the_very_time_that_is_due_expires() {
    let mut case = Case::new();
    let timed = |id| Transfer {
        timeout: 1,
        ..transfer(id, PENDING)
    };
    // Due one nanosecond apart; the pulse takes up 8,190.
    case.transfers(&[timed(1), timed(2)], &[CREATED; 2]);
    case.wait(SECOND - 8190 - 1);
    case.pulse();
    assert_eq!(case.balances(1), [10, 0, 0, 0]);
    case.check();
}

#[test]
fn expiry_reopens_closed_accounts() {
    let mut case = Case::new();
    let timed = Transfer {
        timeout: 1,
        ..transfer(1, PENDING | CLOSING_DEBIT | CLOSING_CREDIT)
    };
    case.transfers(&[timed, transfer(2, 0)], &[CREATED, 65]);
    case.wait(SECOND);
    case.transfers(&[transfer(3, 0)], &[65]);
    case.pulse();
    case.transfers(&[transfer(4, 0)], &[CREATED]);
    case.check();
}

#[test]
fn more_than_a_pulse_can_take_expire_in_the_order_they_are_due() {
    let mut case = Case::new();
    for batch in 0..2_u128 {
        // Later transfers are due earlier, so that both orders show.
        let make = |i: u128| Transfer {
            timeout: if i < 3000 { 2 } else { 1 },
            amount: i,
            ..transfer(1 + batch * 8000 + i, PENDING)
        };
        let events: Vec<_> = (0..8000).map(make).collect();
        case.transfers(&events, &[CREATED; 8000]);
    }
    case.wait(5 * SECOND);
    for open in [16_000 - 8190, 0, 0] {
        case.pulse();
        assert_eq!(case.state().due().len(), open);
    }
    assert_eq!(case.balances(1), [0; 4]);
    case.check();
}

#[test]
fn a_post_may_name_a_pending_transfer_of_its_own_batch() {
    let mut case = Case::new();
    let events = [
        resolve(2, 1, POST),
        transfer(1, PENDING),
        resolve(2, 1, POST),
        resolve(3, 1, POST),
        resolve(4, 1, VOID),
        resolve(5, 3, VOID),
    ];
    case.transfers(&events, &[25, CREATED, 68, CREATED, 33, 26]);
    case.check();
}

#[test]
fn a_burned_id_is_no_pending_transfer() {
    let mut case = Case::new();
    let lost = Transfer {
        credit_account_id: 99,
        ..transfer(1, PENDING)
    };
    case.transfers(
        &[lost, transfer(1, PENDING), resolve(2, 1, POST)],
        &[22, 68, 25],
    );
    case.transfers(&[resolve(3, 1, VOID)], &[25]);
    case.check();
}
