//! Imported events: timestamps of the user's choice.

use giro_base::Transfer;

use super::*;

fn imported_account(id: u128, timestamp: u64) -> Account {
    Account {
        flags: 16,
        timestamp,
        ..account(id)
    }
}

fn imported(t: Transfer, timestamp: u64) -> Transfer {
    Transfer {
        flags: t.flags | IMPORTED,
        timestamp,
        ..t
    }
}

/// Accounts 1 and 2, imported at 100 and 200 ns; the clock stands at 1,000 ns.
fn import_case() -> Case {
    let mut case = Case::empty(998);
    let accounts = [imported_account(1, 100), imported_account(2, 200)];
    case.accounts(&accounts, &[CREATED, CREATED]);
    case
}

#[test]
fn imported_timestamps_lie_after_everything_they_touch() {
    let mut case = import_case();
    case.transfers(&[imported(transfer(1, 0), 90), transfer(2, 0)], &[61, 56]);
    let events = [
        imported(transfer(1, 0), 200),
        imported(transfer(1, 0), 150),
        imported(transfer(1, 0), 201),
        imported(transfer(2, 0), 201),
        imported(transfer(2, 0), 202),
        imported(transfer(3, 0), 1 << 63),
        imported(transfer(3, 0), 0),
        imported(transfer(3, 0), 1009),
        imported(transfer(1, 0), 500),
    ];
    case.transfers(
        &events,
        &[60, 62, CREATED, 60, CREATED, 58, 58, CREATED, 46],
    );
    case.check();
}

#[test]
fn an_account_shares_no_timestamp_with_a_transfer() {
    let mut case = import_case();
    case.transfers(
        &[imported(transfer(1, 0), 300), imported(transfer(0, 0), 1)],
        &[CREATED, 5],
    );
    let accounts = [
        imported_account(3, 200),
        imported_account(3, 300),
        imported_account(3, 301),
        imported_account(4, 1005),
        imported_account(4, 1006),
    ];
    case.accounts(&accounts, &[26, 26, CREATED, CREATED, 21]);
    case.check();
}

#[test]
fn a_chain_taken_back_frees_its_imported_timestamps() {
    let mut case = import_case();
    let events = [
        imported(transfer(1, LINKED), 500),
        imported(transfer(0, 0), 501),
        imported(transfer(2, 0), 400),
        imported(transfer(1, 0), 500),
    ];
    case.transfers(&events, &[1, 5, CREATED, CREATED]);
    case.check();
}

#[test]
fn an_imported_post_follows_the_newest_transfer() {
    let mut case = import_case();
    case.transfers(
        &[
            imported(transfer(1, PENDING), 300),
            imported(transfer(2, 0), 400),
        ],
        &[CREATED, CREATED],
    );
    let events = [
        imported(resolve(3, 1, POST), 400),
        imported(resolve(3, 1, POST), 401),
        imported(transfer(4, 0), 402),
    ];
    case.transfers(&events, &[60, CREATED, CREATED]);
    case.check();
}

/// The peer stops here; we take it for what it says.
#[test]
fn an_imported_post_of_a_pending_transfer_with_timeout_is_a_post() {
    let mut case = Case::empty(0);
    case.accounts(&[account(1), account(2)], &[CREATED, CREATED]);
    let timed = Transfer {
        timeout: 10,
        ..transfer(1, PENDING)
    };
    case.transfers(&[timed], &[CREATED]);
    case.wait(100);
    let events = [
        imported(resolve(2, 1, POST), 50),
        imported(resolve(3, 1, VOID), 51),
    ];
    case.transfers(&events, &[CREATED, 33]);
    case.wait(20 * SECOND);
    case.pulse();
    assert_eq!(case.balances(1), [0, 10, 0, 0]);
    case.check();
}

/// The peer stops here too.
#[test]
fn a_batch_may_import_where_the_one_before_does_not() {
    let mut case = Case::empty(100);
    let batches = vec![
        vec![account(0)],
        vec![imported_account(1, 5), imported_account(2, 102)],
        vec![imported_account(3, 6), account(3)],
        vec![account(3), imported_account(4, 7)],
    ];
    let action = Action::CreateAccounts(Form::Dense, batches);
    assert_eq!(
        case.execute(7, action),
        [6, CREATED, CREATED, 26, 22, CREATED, 23]
    );
    case.check();
}
