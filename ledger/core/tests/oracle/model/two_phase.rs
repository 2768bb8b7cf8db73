//! Posting and voiding a pending transfer (specification section 5.2).

use giro_base::Transfer;

use super::batch::Event;
use super::expires_at;
use super::state::{Phase, State};
use super::transfers::{
    BALANCING_CREDIT, BALANCING_DEBIT, CLOSING_CREDIT, CLOSING_DEBIT, PENDING, POST, VOID,
    check_open, first_failure, regresses, reopen,
};

pub(super) fn create(state: &mut State, t: &Transfer, now: u64) -> Result<u64, u32> {
    check_shape(t)?;
    let p = state.transfer(t.pending_id).ok_or(25_u32)?;
    if p.flags & PENDING == 0 || p.flags & 0x8000 != 0 {
        return Err(26);
    }
    check_same(t, &p)?;
    let is_void = t.flags & VOID != 0;
    let amount = match (is_void, t.amount) {
        (true, 0) | (false, u128::MAX) => p.amount,
        (_, literal) => literal,
    };
    if amount > p.amount {
        return Err(31);
    }
    if is_void && amount < p.amount {
        return Err(32);
    }
    match state.phase(p.id).expect("pending transfers have a phase") {
        Phase::Pending => {}
        Phase::Posted => return Err(33),
        Phase::Voided => return Err(34),
        Phase::Expired => return Err(35),
    }
    if p.timeout != 0 && expires_at(&p) <= now {
        return Err(35);
    }
    let mut timestamp = now;
    if t.is_imported() {
        if regresses(state, t.timestamp) {
            return Err(60);
        }
        timestamp = t.timestamp;
    }
    let mut dr = state.account(p.debit_account_id).expect("it exists");
    let mut cr = state.account(p.credit_account_id).expect("it exists");
    if !is_void {
        check_open(&dr, &cr)?;
    }

    dr.debits_pending -= p.amount;
    cr.credits_pending -= p.amount;
    if is_void {
        reopen(&p, &mut dr, &mut cr);
    } else {
        dr.debits_posted += amount;
        cr.credits_posted += amount;
    }
    state.set_account(dr);
    state.set_account(cr);
    state.insert_transfer(stored(t, &p, amount, timestamp));
    let phase = if is_void {
        Phase::Voided
    } else {
        Phase::Posted
    };
    state.set_phase(p.id, phase);
    Ok(timestamp)
}

fn check_shape(t: &Transfer) -> Result<(), u32> {
    let others = PENDING | BALANCING_DEBIT | BALANCING_CREDIT | CLOSING_DEBIT | CLOSING_CREDIT;
    first_failure(&[
        (t.flags & POST != 0 && t.flags & VOID != 0, 7),
        (t.flags & others != 0, 7),
        (t.pending_id == 0, 14),
        (t.pending_id == u128::MAX, 15),
        (t.pending_id == t.id, 16),
        (t.timeout != 0, 17),
    ])
}

fn check_same(t: &Transfer, p: &Transfer) -> Result<(), u32> {
    let debit = t.debit_account_id;
    let credit = t.credit_account_id;
    first_failure(&[
        (debit != 0 && debit != p.debit_account_id, 27),
        (credit != 0 && credit != p.credit_account_id, 28),
        (t.ledger != 0 && t.ledger != p.ledger, 29),
        (t.code != 0 && t.code != p.code, 30),
    ])
}

/// What is kept of a post or void: its own fields, and the pending transfer's where it has none.
fn stored(t: &Transfer, p: &Transfer, amount: u128, timestamp: u64) -> Transfer {
    Transfer {
        id: t.id,
        debit_account_id: p.debit_account_id,
        credit_account_id: p.credit_account_id,
        amount,
        pending_id: t.pending_id,
        user_data_128: if t.user_data_128 != 0 {
            t.user_data_128
        } else {
            p.user_data_128
        },
        user_data_64: if t.user_data_64 != 0 {
            t.user_data_64
        } else {
            p.user_data_64
        },
        user_data_32: if t.user_data_32 != 0 {
            t.user_data_32
        } else {
            p.user_data_32
        },
        timeout: 0,
        ledger: p.ledger,
        code: p.code,
        flags: t.flags,
        timestamp,
    }
}
