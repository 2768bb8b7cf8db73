//! Every cell of the table in `docs/reference/tcc.md`: a state, a request, its answer. Each is
//! told to engines whose past is in memory and to ones whose past has left it.

use giro_base::branch::{BranchId, BranchKey, ConfirmBranch, Leg, LegKind, TryBranch};
use giro_base::{AccountFlags, Transfer};

use super::*;

pub(super) const DONE: u16 = 1;
pub(super) const DONE_BEFORE: u16 = 2;
const LEG_REFUSED: u16 = 3;
const DIFFERS: u16 = 4;
pub(super) const CANCELLED: u16 = 5;
pub(super) const SUSPENDED: u16 = 6;
pub(super) const CONFIRMED: u16 = 7;
const EXPIRED: u16 = 8;
pub(super) const NOT_TRIED: u16 = 9;
const AMOUNTS_DIFFER: u16 = 10;
const AMOUNTS_MISSING: u16 = 11;
const AMOUNT_EXCEEDS_RESERVED: u16 = 12;
const ID_TAKEN: u16 = 13;
const REQUEST_TOO_LARGE: u16 = 14;
const NO_LEG: u16 = 0xFFFF;

pub(super) fn key() -> BranchKey {
    BranchKey::new("gid-1", "01")
}

fn leg(debit: u128, credit: u128, amount: u128) -> Leg {
    Leg {
        debit_account_id: debit,
        credit_account_id: credit,
        amount,
        user_data_128: 7,
        ledger: 1,
        code: 1,
        ..Leg::default()
    }
}

/// 10 from account 1 to account 2, and 5 from 2 to 3.
pub(super) fn two_legs() -> TryBranch {
    TryBranch {
        key: key(),
        timeout: 0,
        legs: [leg(1, 2, 10), leg(2, 3, 5)].into_iter().collect(),
    }
}

impl Case {
    /// One try; the timestamp of its answer.
    pub(super) fn try_(&mut self, branch: &TryBranch, status: u16) -> u64 {
        self.try_leg(branch, (status, NO_LEG, 0))
    }

    fn try_leg(&mut self, branch: &TryBranch, expected: (u16, u16, u32)) -> u64 {
        self.ask(BranchRequests::Try(vec![branch.clone()]), &[expected])[0]
    }

    pub(super) fn confirm(&mut self, status: u16) -> u64 {
        self.confirm_amounts(&[], (status, NO_LEG, 0))
    }

    fn confirm_amounts(&mut self, amounts: &[u128], expected: (u16, u16, u32)) -> u64 {
        let confirm = ConfirmBranch {
            key: key(),
            amounts: amounts.into(),
        };
        self.ask(BranchRequests::Confirm(vec![confirm]), &[expected])[0]
    }

    pub(super) fn cancel(&mut self, status: u16) -> u64 {
        let expected = (status, NO_LEG, 0);
        self.ask(BranchRequests::Cancel(vec![key()]), &[expected])[0]
    }

    /// What accounts 1 to 3 have: debits pending and posted, credits pending and posted.
    pub(super) fn money(&self) -> [[u128; 4]; 3] {
        [1, 2, 3].map(|id| self.balances(id))
    }

    /// Enough transfers for everything before to leave memory where it ever does.
    pub(super) fn outlive(&mut self) {
        for n in 0..6 {
            let id = 1000 + self.clock as u128 * 10 + n;
            let other = Transfer {
                debit_account_id: 4,
                credit_account_id: 3,
                amount: 0,
                ..transfer(id, 0)
            };
            self.transfers(&[other], &[CREATED]);
        }
    }
}

pub(super) const NOTHING: [[u128; 4]; 3] = [[0; 4]; 3];
pub(super) const RESERVED: [[u128; 4]; 3] = [[10, 0, 0, 0], [5, 0, 10, 0], [0, 0, 5, 0]];
pub(super) const POSTED: [[u128; 4]; 3] = [[0, 10, 0, 0], [0, 5, 0, 10], [0, 0, 0, 5]];

/// A case in each state, settled so long ago that it has left memory, or just now.
fn cases(reach: impl Fn(&mut Case)) -> [Case; 2] {
    [false, true].map(|is_old| {
        let mut case = Case::new();
        reach(&mut case);
        if is_old {
            case.outlive();
        }
        case
    })
}

fn tried(case: &mut Case) {
    case.try_(&two_legs(), DONE);
}

fn suspended(case: &mut Case) {
    case.cancel(DONE);
}

#[test]
fn none_and_try_reserves_all_legs() {
    for mut case in cases(|_| {}) {
        case.try_(&two_legs(), DONE);
        assert_eq!(case.money(), RESERVED);
        case.check_everywhere();
    }
}

#[test]
fn none_and_a_try_that_is_refused_keeps_nothing_and_may_succeed_later() {
    let mut case = Case::new();
    let limited = Account {
        flags: AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS,
        ..account(5)
    };
    case.accounts(&[limited], &[CREATED]);
    let mut branch = two_legs();
    branch.legs[1].debit_account_id = 5;
    let exceeds_credits = (LEG_REFUSED, 1, 54);
    case.try_leg(&branch, exceeds_credits);
    assert_eq!(case.money(), NOTHING);
    case.outlive();
    case.try_leg(&branch, exceeds_credits);
    let funds = Transfer {
        credit_account_id: 5,
        ..transfer(1, 0)
    };
    case.transfers(&[funds], &[CREATED]);
    case.try_(&branch, DONE);
    // Legs see those before them: 5 has 5 left.
    let mut other = two_legs();
    other.key = BranchKey::new("gid-2", "01");
    other.legs = [leg(5, 1, 3), leg(5, 1, 3)].into_iter().collect();
    case.try_leg(&other, exceeds_credits);
    other.legs[1].amount = 2;
    case.try_(&other, DONE);
    case.check_everywhere();
}

#[test]
fn none_and_a_try_with_what_is_wrong_names_leg_and_reason() {
    let mut case = Case::new();
    let mut check = |change: &dyn Fn(&mut Leg), status| {
        let mut branch = two_legs();
        change(&mut branch.legs[1]);
        case.try_leg(&branch, (LEG_REFUSED, 1, status));
        assert_eq!(case.money(), NOTHING);
    };
    check(&|leg| leg.debit_account_id = 0, 8);
    check(&|leg| leg.credit_account_id = u128::MAX, 11);
    check(&|leg| leg.credit_account_id = leg.debit_account_id, 12);
    check(&|leg| leg.ledger = 0, 19);
    check(&|leg| leg.code = 0, 20);
    check(&|leg| leg.debit_account_id = 99, 21);
    check(&|leg| leg.credit_account_id = 99, 22);
    check(&|leg| leg.ledger = 2, 24);
    let too_much = |leg: &mut Leg| (leg.debit_account_id, leg.amount) = (1, u128::MAX - 9);
    check(&too_much, 47);
    // None of them burned an id.
    case.try_(&two_legs(), DONE);
    case.check_everywhere();
}

#[test]
fn none_and_confirm_is_an_anomaly_and_moves_nothing() {
    for mut case in cases(|_| {}) {
        case.confirm(NOT_TRIED);
        case.confirm_amounts(&[10, 5], (NOT_TRIED, NO_LEG, 0));
        assert_eq!(case.money(), NOTHING);
        case.try_(&two_legs(), DONE);
        case.check_everywhere();
    }
}

#[test]
fn none_and_cancel_suspends() {
    for mut case in cases(|_| {}) {
        case.cancel(DONE);
        case.try_(&two_legs(), SUSPENDED);
        assert_eq!(case.money(), NOTHING);
        case.check_everywhere();
    }
}

#[test]
fn tried_and_the_same_try_has_the_first_result() {
    let mut first = 0;
    for mut case in cases(tried) {
        first = first.max(case.requests[1].timestamp - 1);
        assert_eq!(case.try_(&two_legs(), DONE_BEFORE), first);
        assert_eq!(case.money(), RESERVED);
        case.check_everywhere();
    }
}

/// What can differ about a try, and what the answer says.
fn others() -> Vec<(TryBranch, (u16, u16, u32))> {
    let mut others = Vec::new();
    let mut other = |change: &dyn Fn(&mut TryBranch), leg, status| {
        let mut branch = two_legs();
        change(&mut branch);
        others.push((branch, (DIFFERS, leg, status)));
    };
    other(&|b| b.timeout = 9, 0, 44);
    other(&|b| b.legs[1].debit_account_id = 4, 1, 37);
    other(&|b| b.legs[0].credit_account_id = 4, 0, 38);
    other(&|b| b.legs[1].amount = 4, 1, 39);
    other(&|b| b.legs[0].user_data_128 = 0, 0, 41);
    other(&|b| b.legs[0].user_data_64 = 1, 0, 42);
    other(&|b| b.legs[0].user_data_32 = 1, 0, 43);
    other(&|b| b.legs[1].ledger = 2, 1, 67);
    other(&|b| b.legs[1].code = 2, 1, 45);
    other(&|b| b.legs.truncate(1), NO_LEG, 0);
    other(&|b| b.legs.push(leg(1, 2, 1)), NO_LEG, 0);
    others
}

#[test]
fn tried_and_another_try_says_what_differs() {
    for mut case in cases(tried) {
        for (other, expected) in others() {
            case.try_leg(&other, expected);
        }
        assert_eq!(case.money(), RESERVED);
        case.check_everywhere();
    }
}

#[test]
fn tried_and_confirm_posts_all_legs() {
    for mut case in cases(tried) {
        case.confirm(DONE);
        assert_eq!(case.money(), POSTED);
        case.check_everywhere();
    }
}

#[test]
fn tried_and_confirm_of_a_part_gives_the_rest_back() {
    for mut case in cases(tried) {
        case.confirm_amounts(&[10], (AMOUNTS_MISSING, NO_LEG, 0));
        case.confirm_amounts(&[10, 5, 1], (AMOUNTS_MISSING, NO_LEG, 0));
        case.confirm_amounts(&[10, 6], (AMOUNT_EXCEEDS_RESERVED, 1, 31));
        case.confirm_amounts(&[u128::MAX, 5], (AMOUNT_EXCEEDS_RESERVED, 0, 31));
        assert_eq!(case.money(), RESERVED);
        case.confirm_amounts(&[4, 0], (DONE, NO_LEG, 0));
        assert_eq!(case.money(), [[0, 4, 0, 0], [0, 0, 0, 4], [0; 4]]);
        case.check_everywhere();
    }
}

#[test]
fn tried_and_confirm_needs_nothing_but_the_reservation() {
    let mut case = Case::new();
    case.try_(&two_legs(), DONE);
    // Both accounts are closed meanwhile.
    let closing = transfer(1, PENDING | CLOSING_DEBIT | CLOSING_CREDIT);
    case.transfers(&[closing], &[CREATED]);
    case.confirm(DONE);
    assert_eq!(case.balances(3), [0, 0, 0, 5]);
    case.check_everywhere();
}

#[test]
fn tried_and_cancel_gives_all_legs_back() {
    for mut case in cases(tried) {
        case.cancel(DONE);
        assert_eq!(case.money(), NOTHING);
        case.check_everywhere();
    }
}

#[test]
fn tried_and_an_ordinary_post_or_void_of_a_leg_is_refused() {
    for mut case in cases(tried) {
        let key = key();
        let id = BranchId::of(&key.gid, &key.branch_id);
        let events = [
            resolve(1, id.leg(LegKind::Reserve, 0), POST),
            resolve(2, id.leg(LegKind::Reserve, 1), VOID),
            transfer(id.leg(LegKind::Reserve, 0), PENDING | 1 << 15),
            transfer(id.leg(LegKind::Reserve, 1), PENDING),
        ];
        case.transfers(&events, &[26, 26, 4, 36]);
        assert_eq!(case.money(), RESERVED);
        case.confirm(DONE);
        case.check_everywhere();
    }
}

/// A branch that was tried and confirmed; when it was confirmed.
fn confirmed(case: &mut Case) {
    case.try_(&two_legs(), DONE);
    case.confirm(DONE);
}

#[test]
fn confirmed_and_try_has_the_first_result_or_differs() {
    for mut case in cases(confirmed) {
        let first = case.requests[1].timestamp - 1;
        assert_eq!(case.try_(&two_legs(), DONE_BEFORE), first);
        for (other, expected) in others() {
            case.try_leg(&other, expected);
        }
        assert_eq!(case.money(), POSTED);
        case.check_everywhere();
    }
}

#[test]
fn confirmed_and_the_same_confirm_has_the_first_result() {
    for mut case in cases(confirmed) {
        let first = case.requests[2].timestamp - 1;
        assert_eq!(case.confirm(DONE_BEFORE), first);
        // Everything, said in another way.
        let at = case.confirm_amounts(&[10, 5], (DONE_BEFORE, NO_LEG, 0));
        assert_eq!(at, first);
        assert_eq!(case.money(), POSTED);
        case.check_everywhere();
    }
}

#[test]
fn confirmed_and_other_amounts_differ() {
    for mut case in cases(confirmed) {
        case.confirm_amounts(&[10, 4], (AMOUNTS_DIFFER, 1, 0));
        case.confirm_amounts(&[11, 5], (AMOUNTS_DIFFER, 0, 0));
        case.confirm_amounts(&[10], (AMOUNTS_DIFFER, NO_LEG, 0));
        case.confirm_amounts(&[10, 5, 0], (AMOUNTS_DIFFER, NO_LEG, 0));
        assert_eq!(case.money(), POSTED);
        case.check_everywhere();
    }
    let part = |case: &mut Case| {
        case.try_(&two_legs(), DONE);
        case.confirm_amounts(&[10, 4], (DONE, NO_LEG, 0));
    };
    for mut case in cases(part) {
        case.confirm(AMOUNTS_DIFFER);
        case.confirm_amounts(&[10, 4], (DONE_BEFORE, NO_LEG, 0));
        case.check_everywhere();
    }
}

#[test]
fn confirmed_and_cancel_is_an_anomaly_and_moves_nothing() {
    for mut case in cases(confirmed) {
        case.cancel(CONFIRMED);
        assert_eq!(case.money(), POSTED);
        case.check_everywhere();
    }
}

fn cancelled(case: &mut Case) {
    case.try_(&two_legs(), DONE);
    case.cancel(DONE);
}

#[test]
fn cancelled_and_try_is_refused_whatever_it_says() {
    for mut case in cases(cancelled) {
        case.try_(&two_legs(), CANCELLED);
        for (other, _) in others() {
            case.try_(&other, CANCELLED);
        }
        assert_eq!(case.money(), NOTHING);
        case.check_everywhere();
    }
}

#[test]
fn cancelled_and_confirm_is_an_anomaly_and_moves_nothing() {
    for mut case in cases(cancelled) {
        case.confirm(CANCELLED);
        case.confirm_amounts(&[10, 5], (CANCELLED, NO_LEG, 0));
        assert_eq!(case.money(), NOTHING);
        case.check_everywhere();
    }
}

#[test]
fn cancelled_and_cancel_has_the_first_result() {
    for mut case in cases(cancelled) {
        let first = case.requests[2].timestamp - 1;
        assert_eq!(case.cancel(DONE_BEFORE), first);
        assert_eq!(case.money(), NOTHING);
        case.check_everywhere();
    }
}

#[test]
fn suspended_and_try_is_refused_for_ever() {
    for mut case in cases(suspended) {
        case.try_(&two_legs(), SUSPENDED);
        case.outlive();
        case.try_(&two_legs(), SUSPENDED);
        assert_eq!(case.money(), NOTHING);
        case.check_everywhere();
    }
}

#[test]
fn suspended_and_confirm_is_an_anomaly_and_moves_nothing() {
    for mut case in cases(suspended) {
        case.confirm(SUSPENDED);
        case.confirm_amounts(&[10, 5], (SUSPENDED, NO_LEG, 0));
        assert_eq!(case.money(), NOTHING);
        case.check_everywhere();
    }
}

#[test]
fn suspended_and_cancel_is_done_already() {
    for mut case in cases(suspended) {
        case.cancel(DONE_BEFORE);
        case.check_everywhere();
    }
}

fn timed() -> TryBranch {
    TryBranch {
        timeout: 1,
        ..two_legs()
    }
}

/// Branches whose time is over: the pulse has run or not, and it was long ago or not.
fn expired() -> Vec<(Case, u64)> {
    let due = |case: &Case| case.requests[1].timestamp - 1 + SECOND;
    let mut expired = Vec::new();
    for is_pulsed in [false, true] {
        let reach = |case: &mut Case| {
            case.try_(&timed(), DONE);
            case.wait(SECOND);
            if is_pulsed {
                case.pulse();
                assert_eq!(case.money(), NOTHING);
            }
        };
        expired.extend(cases(reach).map(|case| (due(&case), case)));
    }
    expired.into_iter().map(|(due, case)| (case, due)).collect()
}

#[test]
fn expired_and_try_is_refused() {
    for (mut case, _) in expired() {
        case.try_(&timed(), EXPIRED);
        case.try_(&two_legs(), EXPIRED);
        case.check_everywhere();
    }
}

#[test]
fn expired_and_confirm_is_an_anomaly_and_moves_nothing() {
    for (mut case, _) in expired() {
        case.confirm(EXPIRED);
        case.confirm_amounts(&[1, 1], (EXPIRED, NO_LEG, 0));
        case.pulse();
        assert_eq!(case.money(), NOTHING);
        case.check_everywhere();
    }
}

#[test]
fn expired_and_cancel_is_done_when_it_was_due() {
    for (mut case, due) in expired() {
        assert_eq!(case.cancel(DONE_BEFORE), due);
        case.pulse();
        assert_eq!(case.cancel(DONE_BEFORE), due);
        assert_eq!(case.money(), NOTHING);
        case.check_everywhere();
    }
}

#[test]
fn a_branch_with_a_timeout_can_be_settled_until_it_is_due() {
    // A confirm has 65 timestamps, of which its legs take the last two.
    for (late, status) in [(0, DONE), (1, EXPIRED)] {
        let mut case = Case::new();
        let due = case.try_(&timed(), DONE) + SECOND;
        case.clock = due - 65 + late;
        assert_eq!(case.confirm(status), due - 1 + late);
        case.check_everywhere();
    }
}

#[test]
fn an_ordinary_transfer_with_the_id_of_a_leg_is_in_the_way() {
    let key = key();
    let id = BranchId::of(&key.gid, &key.branch_id);
    for leg in 0..2_u16 {
        let reserve = transfer(id.leg(LegKind::Reserve, leg.into()), 0);
        for mut case in cases(|case| case.transfers(&[reserve], &[CREATED])) {
            case.try_leg(&two_legs(), (ID_TAKEN, leg, 0));
            case.check_everywhere();
        }
        for kind in [LegKind::Confirm, LegKind::Cancel] {
            let taken = transfer(id.leg(kind, leg.into()), 0);
            let mut case = Case::new();
            case.try_(&two_legs(), DONE);
            case.transfers(&[taken], &[CREATED]);
            case.outlive();
            // The other way out is open.
            if kind == LegKind::Confirm {
                case.confirm_amounts(&[], (ID_TAKEN, leg, 0));
                case.cancel(DONE);
            } else {
                let asked = BranchRequests::Cancel(vec![super::branches::key()]);
                case.ask(asked, &[(ID_TAKEN, leg, 0)]);
                case.confirm(DONE);
            }
            case.check_everywhere();
        }
    }
}

#[test]
fn repeats_in_one_request_are_repeats() {
    let mut case = Case::new();
    let tries = vec![two_legs(), two_legs(), timed()];
    let done = [(DONE, NO_LEG, 0), (DONE_BEFORE, NO_LEG, 0)];
    let differs = (DIFFERS, 0, 44);
    case.ask(BranchRequests::Try(tries), &[done[0], done[1], differs]);
    let confirms = vec![ConfirmBranch::whole(key()), ConfirmBranch::whole(key())];
    case.ask(BranchRequests::Confirm(confirms), &done);
    let mut other = two_legs();
    other.key = BranchKey::new("gid-1", "02");
    case.try_(&other, DONE);
    let both = || vec![other.key.clone(), other.key.clone()];
    case.ask(BranchRequests::Cancel(both()), &done);
    let never = BranchKey::new("gid-1", "03");
    let never = vec![never.clone(), never];
    case.ask(BranchRequests::Cancel(never), &done);
    case.check_everywhere();
}

#[test]
fn branches_whose_legs_do_not_fit_a_request_are_left_alone() {
    const BRANCHES: u32 = 130;
    let wide = |n: u32| TryBranch {
        key: BranchKey::new(format!("gid-{n}"), "01"),
        timeout: 0,
        legs: vec![leg(1, 2, 1); 64].into(),
    };
    let mut case = Case::new();
    let half = BRANCHES / 2;
    let done = (DONE, NO_LEG, 0);
    for start in [0, half] {
        let tries = (start..start + half).map(wide).collect();
        case.ask(BranchRequests::Try(tries), &vec![done; half as usize]);
    }
    let keys = || (0..BRANCHES).map(|n| wide(n).key);
    let confirms: Vec<_> = keys().map(ConfirmBranch::whole).collect();
    let mut expected = vec![done; 127];
    expected.extend([(REQUEST_TOO_LARGE, NO_LEG, 0); 3]);
    case.ask(BranchRequests::Confirm(confirms), &expected);
    assert_eq!(case.balances(1), [3 * 64, 127 * 64, 0, 0]);
    let rest: Vec<_> = keys().skip(127).collect();
    case.ask(BranchRequests::Cancel(rest), &[done; 3]);
    case.check_everywhere();
}

#[test]
fn an_empty_request_is_nothing_and_has_no_answers() {
    let mut case = Case::new();
    case.ask(BranchRequests::Try(Vec::new()), &[]);
    case.ask(BranchRequests::Confirm(Vec::new()), &[]);
    case.ask(BranchRequests::Cancel(Vec::new()), &[]);
    case.check_everywhere();
}
