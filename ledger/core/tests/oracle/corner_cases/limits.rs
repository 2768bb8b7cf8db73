//! The edges of amounts, of time, and of batches.

use giro_base::Transfer;

use super::*;

const TIMESTAMP_MAX: u64 = (1 << 63) - 1;

#[test]
fn amounts_fill_an_account_to_the_last_unit() {
    let mut case = Case::new();
    let of = |id, flags, amount, debit, credit| Transfer {
        amount,
        debit_account_id: debit,
        credit_account_id: credit,
        ..transfer(id, flags)
    };
    let most = u128::MAX - 1;
    let events = [
        of(1, PENDING, most, 1, 2),
        of(2, PENDING, 2, 1, 3),
        of(3, PENDING, 2, 3, 2),
        of(4, 0, 2, 1, 3),
        of(5, 0, 2, 3, 2),
        of(6, PENDING, 1, 1, 2),
        of(7, 0, 1, 1, 3),
        resolve(8, 1, POST),
        of(9, 0, 2, 1, 3),
        of(10, 0, 2, 3, 2),
        of(11, 0, 0, 1, 2),
    ];
    let statuses = [
        CREATED, 47, 48, 51, 52, CREATED, 51, CREATED, 49, 50, CREATED,
    ];
    case.transfers(&events, &statuses);
    assert_eq!(case.balances(1), [1, most, 0, 0]);
    case.check();
}

#[test]
fn limits_count_pending_debits_and_clamped_amounts() {
    let mut case = Case::empty(0);
    let limited = Account {
        flags: 2,
        ..account(1)
    };
    case.accounts(&[limited, account(2)], &[CREATED, CREATED]);
    let fund = Transfer {
        debit_account_id: 2,
        credit_account_id: 1,
        ..transfer(1, 0)
    };
    let of = |id, flags, amount| Transfer {
        amount,
        ..transfer(id, flags)
    };
    let events = [
        fund,
        of(2, PENDING, 4),
        of(3, 0, 7),
        of(4, BALANCING_DEBIT, u128::MAX),
        of(3, 0, 1),
        of(5, 0, 1),
        of(6, 0, 0),
    ];
    case.transfers(&events, &[CREATED, CREATED, 54, CREATED, 68, 54, CREATED]);
    assert_eq!(case.balances(1), [4, 6, 0, 10]);
    case.check();
}

#[test]
fn a_timeout_may_end_with_time_itself_but_not_after() {
    let mut case = Case::empty(TIMESTAMP_MAX - 10 * SECOND - 4);
    case.accounts(&[account(1), account(2)], &[CREATED, CREATED]);
    let timed = |id, timeout| Transfer {
        timeout,
        ..transfer(id, PENDING)
    };
    // The first is made 10 s and 1 ns before the end of time, the second 10 s before it.
    let events = [timed(1, 10), timed(2, 10), timed(3, 10), timed(4, u32::MAX)];
    case.transfers(&events, &[CREATED, CREATED, 53, 53]);
    case.check();
}

#[test]
fn the_largest_requests_of_each_form_run() {
    for (form, count) in [
        (Form::Dense, 8189),
        (Form::Sparse, 8189),
        (Form::Unbatched, 8190),
    ] {
        let mut case = Case::new();
        // Every third id comes twice.
        let make = |i: u128| transfer(1 + i - u128::from(i % 3 == 2), 0);
        let events: Vec<_> = (0..count).map(make).collect();
        let statuses = case.execute(events.len(), Action::CreateTransfers(form, vec![events]));
        let repeats = statuses.iter().filter(|status| **status == 46).count();
        assert_eq!(repeats, count as usize / 3);
        case.check();
    }
}

#[test]
fn as_many_batches_as_events_and_more() {
    let mut case = Case::new();
    let events: Vec<Vec<Transfer>> = (0..3000)
        .map(|i| match i % 3 {
            0 => vec![],
            1 => vec![transfer(i, 0)],
            _ => vec![transfer(i, LINKED)],
        })
        .collect();
    let statuses = case.execute(2000, Action::CreateTransfers(Form::Sparse, events));
    assert_eq!(statuses.iter().filter(|status| **status == 2).count(), 1000);
    case.check();
}
