//! Linked events.

use giro_base::Transfer;

use super::*;

#[test]
fn exists_breaks_a_chain() {
    let mut case = Case::new();
    case.transfers(&[transfer(1, LINKED), transfer(9, 0)], &[CREATED, CREATED]);
    let chain = [transfer(2, LINKED), transfer(1, LINKED), transfer(3, 0)];
    case.transfers(&chain, &[1, 46, 1]);
    assert_eq!(case.balances(1), [0, 20, 0, 0]);
    case.check();
}

#[test]
fn chain_broken_and_left_open_burns_only_the_breaking_id() {
    let mut case = Case::new();
    let lost = Transfer {
        debit_account_id: 99,
        ..transfer(2, LINKED)
    };
    let chain = [transfer(1, LINKED), lost, transfer(3, LINKED)];
    case.transfers(&chain, &[1, 21, 2]);
    let again = [transfer(1, 0), transfer(2, 0), transfer(3, 0)];
    case.transfers(&again, &[CREATED, 68, CREATED]);
    case.check();
}

#[test]
fn a_single_linked_event_is_an_open_chain_whatever_else_is_wrong() {
    let mut case = Case::new();
    case.transfers(&[transfer(1, LINKED)], &[2]);
    case.transfers(&[transfer(0, LINKED)], &[2]);
    case.transfers(&[transfer(1, 0)], &[CREATED]);
    case.check();
}

#[test]
fn a_chain_does_not_reach_into_the_next_batch() {
    let mut case = Case::new();
    let open = [transfer(1, 0), transfer(2, LINKED)];
    case.batches(
        &[&[], &open, &[], &[transfer(3, 0)]],
        &[CREATED, 2, CREATED],
    );
    case.check();
}

#[test]
fn events_behind_a_broken_chain_run() {
    let mut case = Case::new();
    let events = [
        transfer(1, LINKED),
        transfer(0, 0),
        transfer(1, LINKED),
        transfer(2, 0),
        transfer(3, 0),
    ];
    case.transfers(&events, &[1, 5, CREATED, CREATED, CREATED]);
    assert_eq!(case.balances(2), [0, 0, 0, 30]);
    case.check();
}

#[test]
fn a_broken_chain_reopens_what_it_posted_and_voided() {
    let mut case = Case::new();
    let pendings = [
        transfer(1, PENDING),
        Transfer {
            debit_account_id: 3,
            credit_account_id: 4,
            ..transfer(2, PENDING | CLOSING_DEBIT)
        },
    ];
    case.transfers(&pendings, &[CREATED; 2]);
    let chain = [
        resolve(11, 1, POST | LINKED),
        resolve(12, 2, VOID | LINKED),
        transfer(0, 0),
    ];
    case.transfers(&chain, &[1, 1, 5]);
    assert_eq!(case.balances(1), [10, 0, 0, 0]);
    assert_eq!(case.state().account(3).map(|a| a.flags), Some(32));
    let again = [resolve(11, 1, VOID), resolve(12, 2, VOID)];
    case.transfers(&again, &[CREATED, CREATED]);
    assert_eq!(case.state().account(3).map(|a| a.flags), Some(0));
    case.check();
}

#[test]
fn a_pending_transfer_of_a_broken_chain_never_was() {
    let mut case = Case::new();
    let timed = Transfer {
        timeout: 1,
        ..transfer(1, PENDING | LINKED | CLOSING_DEBIT)
    };
    case.transfers(&[timed, transfer(0, 0), resolve(2, 1, POST)], &[1, 5, 25]);
    assert_eq!(case.state().account(1).map(|a| a.flags), Some(0));
    case.wait(2 * SECOND);
    case.pulse();
    case.transfers(&[transfer(1, PENDING), resolve(2, 1, POST)], &[CREATED, 68]);
    case.check();
}

#[test]
fn an_id_of_a_broken_chain_is_free_in_the_same_batch() {
    let mut case = Case::new();
    let other = Transfer {
        amount: 7,
        ..transfer(1, PENDING)
    };
    let events = [
        transfer(1, PENDING | LINKED),
        resolve(2, 1, POST | LINKED),
        transfer(0, 0),
        other,
        resolve(2, 1, POST),
        resolve(3, 1, VOID),
        resolve(2, 1, POST),
    ];
    case.transfers(&events, &[1, 1, 5, CREATED, CREATED, 33, 46]);
    assert_eq!(case.balances(1), [0, 7, 0, 0]);
    case.check();
}

#[test]
fn accounts_of_a_broken_chain_are_taken_back() {
    let mut case = Case::empty(0);
    let linked = |id| Account {
        flags: LINKED,
        ..account(id)
    };
    case.accounts(&[linked(1), linked(2), account(0)], &[1, 1, 6]);
    assert!(case.state().accounts().is_empty());
    case.accounts(
        &[linked(2), account(1), account(1), account(2)],
        &[CREATED, CREATED, 21, 15],
    );
    case.check();
}
