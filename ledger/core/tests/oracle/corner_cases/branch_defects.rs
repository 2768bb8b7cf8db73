//! The defects that fence tables beside a balance have, one by one: none is possible here.

use giro_base::branch::ConfirmBranch;

use super::branches::{
    CANCELLED, CONFIRMED, DONE, DONE_BEFORE, NOT_TRIED, NOTHING, POSTED, RESERVED, SUSPENDED, key,
    two_legs,
};
use super::*;

/// A try that threw on its way never came; its cancel must not be lost on that account.
#[test]
fn a_cancel_without_a_try_is_done_and_remembered() {
    let mut case = Case::new();
    case.cancel(DONE);
    case.outlive();
    case.try_(&two_legs(), SUSPENDED);
    case.cancel(DONE_BEFORE);
    assert_eq!(case.money(), NOTHING);
    case.check_everywhere();
}

/// Nobody waits for a lock that another one holds: cancels have an order, and the first one does
/// it.
#[test]
fn any_number_of_cancels_at_once_are_one() {
    let mut case = Case::new();
    case.try_(&two_legs(), DONE);
    let none = u16::MAX;
    let mut expected = vec![(DONE_BEFORE, none, 0); 100];
    expected[0] = (DONE, none, 0);
    case.ask(BranchRequests::Cancel(vec![key(); 100]), &expected);
    for _ in 0..10 {
        case.cancel(DONE_BEFORE);
    }
    assert_eq!(case.money(), NOTHING);
    case.check_everywhere();
}

#[test]
fn a_late_try_is_refused_and_never_confirmed() {
    let mut case = Case::new();
    case.cancel(DONE);
    case.try_(&two_legs(), SUSPENDED);
    case.confirm(SUSPENDED);
    case.outlive();
    case.try_(&two_legs(), SUSPENDED);
    case.confirm(SUSPENDED);
    assert_eq!(case.money(), NOTHING);
    case.check_everywhere();
}

/// There is no moment at which one of both is there: at each request's end money and answer agree,
/// and a record of the log has whole requests.
#[test]
fn a_fence_and_its_money_are_in_one_record() {
    let mut case = Case::new();
    case.try_(&two_legs(), DONE);
    assert_eq!(
        (case.money(), case.try_(&two_legs(), DONE_BEFORE) > 0),
        (RESERVED, true)
    );
    case.confirm(DONE);
    assert_eq!(
        (case.money(), case.confirm(DONE_BEFORE) > 0),
        (POSTED, true)
    );
    case.cancel(CONFIRMED);
    assert_eq!(case.money(), POSTED);
    case.check_everywhere();
}

#[test]
fn an_empty_cancel_is_done_at_the_first_attempt() {
    let mut case = Case::new();
    case.cancel(DONE);
    for _ in 0..5 {
        case.outlive();
        case.cancel(DONE_BEFORE);
    }
    case.check_everywhere();
}

#[test]
fn a_confirm_without_a_try_moves_nothing() {
    let mut case = Case::new();
    case.confirm(NOT_TRIED);
    case.ask(
        BranchRequests::Confirm(vec![ConfirmBranch::whole(key()); 3]),
        &[(NOT_TRIED, u16::MAX, 0); 3],
    );
    assert_eq!(case.money(), NOTHING);
    // It left nothing behind: the try may still come.
    case.try_(&two_legs(), DONE);
    case.cancel(DONE);
    case.confirm(CANCELLED);
    assert_eq!(case.money(), NOTHING);
    case.check_everywhere();
}
