//! Creating a transfer (specification section 5), except posting and voiding.

use giro_base::{Account, Transfer};

use super::batch::{CREATED, Event, Outcome};
use super::digest;
use super::exists;
use super::state::{Phase, State};
use super::two_phase;

pub(super) const LINKED: u16 = 1 << 0;
pub(super) const PENDING: u16 = 1 << 1;
pub(super) const POST: u16 = 1 << 2;
pub(super) const VOID: u16 = 1 << 3;
pub(super) const BALANCING_DEBIT: u16 = 1 << 4;
pub(super) const BALANCING_CREDIT: u16 = 1 << 5;
pub(super) const CLOSING_DEBIT: u16 = 1 << 6;
pub(super) const CLOSING_CREDIT: u16 = 1 << 7;
const IMPORTED: u16 = 1 << 8;
/// Bits 9 to 15 have no meaning.
const RESERVED: u16 = !0x1FF;

const ACCOUNT_CLOSED: u16 = 1 << 5;
const ACCOUNT_DEBITS_LIMITED: u16 = 1 << 1;
const ACCOUNT_CREDITS_LIMITED: u16 = 1 << 2;

impl Event for Transfer {
    const IMPORTED_EVENT_EXPECTED: u32 = 56;
    const IMPORTED_EVENT_NOT_EXPECTED: u32 = 57;
    const IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE: u32 = 58;
    const IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE: u32 = 59;

    fn id(&self) -> u128 {
        self.id
    }

    fn timestamp(&self) -> u64 {
        self.timestamp
    }

    fn is_linked(&self) -> bool {
        self.flags & LINKED != 0
    }

    fn is_imported(&self) -> bool {
        self.flags & IMPORTED != 0
    }

    fn burns(status: u32) -> bool {
        [21, 22, 25, 54, 55, 65, 66].contains(&status)
    }

    fn effect(&self, state: &State) -> u64 {
        let stored = state.transfer(self.id).expect("it was created");
        let debit = state.account(stored.debit_account_id).expect("it exists");
        let credit = state.account(stored.credit_account_id).expect("it exists");
        digest::of_balances(&debit, &credit)
    }

    fn create(&self, state: &mut State, now: u64) -> Outcome {
        let refused = |status| Outcome {
            status,
            timestamp: now,
        };
        if self.flags & RESERVED != 0 {
            return refused(4);
        }
        if self.id == 0 {
            return refused(5);
        }
        if self.id == u128::MAX {
            return refused(6);
        }
        if let Some(existing) = state.transfer(self.id) {
            let status = exists::compare(state, self, &existing);
            return Outcome {
                status,
                timestamp: if status == 46 {
                    existing.timestamp
                } else {
                    now
                },
            };
        }
        if state.is_burned(self.id) {
            return refused(68);
        }
        let created = if self.flags & (POST | VOID) != 0 {
            two_phase::create(state, self, now)
        } else {
            create_plain(state, self, now)
        };
        match created {
            Ok(timestamp) => Outcome {
                status: CREATED,
                timestamp,
            },
            Err(status) => refused(status),
        }
    }
}

/// Creates a single-phase or pending transfer.
pub(super) fn create_plain(state: &mut State, t: &Transfer, now: u64) -> Result<u64, u32> {
    check_shape(t)?;
    let mut dr = state.account(t.debit_account_id).ok_or(21_u32)?;
    let mut cr = state.account(t.credit_account_id).ok_or(22_u32)?;
    if dr.ledger != cr.ledger {
        return Err(23);
    }
    if t.ledger != dr.ledger {
        return Err(24);
    }
    let mut timestamp = now;
    if t.is_imported() {
        check_import(state, t, &dr, &cr)?;
        timestamp = t.timestamp;
    }
    check_open(&dr, &cr)?;
    let amount = clamp(t, &dr, &cr);
    let is_pending = t.flags & PENDING != 0;
    check_overflow(&dr, &cr, amount, is_pending)?;
    if u128::from(timestamp) + u128::from(t.timeout) * 1_000_000_000 > (1 << 63) - 1 {
        return Err(53);
    }
    check_limits(&dr, &cr, amount)?;

    if is_pending {
        dr.debits_pending += amount;
        cr.credits_pending += amount;
    } else {
        dr.debits_posted += amount;
        cr.credits_posted += amount;
    }
    if t.flags & CLOSING_DEBIT != 0 {
        dr.flags |= ACCOUNT_CLOSED;
    }
    if t.flags & CLOSING_CREDIT != 0 {
        cr.flags |= ACCOUNT_CLOSED;
    }
    state.set_account(dr);
    state.set_account(cr);
    state.insert_transfer(Transfer {
        amount,
        timestamp,
        ..*t
    });
    if is_pending {
        state.set_phase(t.id, Phase::Pending);
    }
    Ok(timestamp)
}

fn check_shape(t: &Transfer) -> Result<(), u32> {
    let is_pending = t.flags & PENDING != 0;
    let closes = t.flags & (CLOSING_DEBIT | CLOSING_CREDIT) != 0;
    let ladder = [
        (t.debit_account_id == 0, 8),
        (t.debit_account_id == u128::MAX, 9),
        (t.credit_account_id == 0, 10),
        (t.credit_account_id == u128::MAX, 11),
        (t.debit_account_id == t.credit_account_id, 12),
        (t.pending_id != 0, 13),
        (!is_pending && t.timeout != 0, 17),
        (!is_pending && closes, 64),
        (t.ledger == 0, 19),
        (t.code == 0, 20),
    ];
    first_failure(&ladder)
}

/// The status of the first check that fails.
pub(super) fn first_failure(ladder: &[(bool, u32)]) -> Result<(), u32> {
    match ladder.iter().find(|(fails, _)| *fails) {
        Some((_, status)) => Err(*status),
        None => Ok(()),
    }
}

/// Whether an imported transfer cannot have this timestamp, given what exists.
pub(super) fn regresses(state: &State, timestamp: u64) -> bool {
    let largest = state.transfer_times().keys().next_back();
    largest.is_some_and(|largest| timestamp <= *largest)
        || state.account_times().contains_key(&timestamp)
}

fn check_import(state: &State, t: &Transfer, dr: &Account, cr: &Account) -> Result<(), u32> {
    first_failure(&[
        (regresses(state, t.timestamp), 60),
        (t.timestamp <= dr.timestamp, 61),
        (t.timestamp <= cr.timestamp, 62),
        (t.timeout != 0, 63),
    ])
}

pub(super) fn check_open(dr: &Account, cr: &Account) -> Result<(), u32> {
    first_failure(&[
        (dr.flags & ACCOUNT_CLOSED != 0, 65),
        (cr.flags & ACCOUNT_CLOSED != 0, 66),
    ])
}

/// The amount that moves: all of it, or what a balancing side has left.
fn clamp(t: &Transfer, dr: &Account, cr: &Account) -> u128 {
    let mut amount = t.amount;
    if t.flags & BALANCING_DEBIT != 0 {
        let used = dr.debits_posted + dr.debits_pending;
        amount = amount.min(dr.credits_posted.saturating_sub(used));
    }
    if t.flags & BALANCING_CREDIT != 0 {
        let used = cr.credits_posted + cr.credits_pending;
        amount = amount.min(cr.debits_posted.saturating_sub(used));
    }
    amount
}

fn check_overflow(dr: &Account, cr: &Account, amount: u128, is_pending: bool) -> Result<(), u32> {
    let overflows = |balance: u128| amount.checked_add(balance).is_none();
    first_failure(&[
        (is_pending && overflows(dr.debits_pending), 47),
        (is_pending && overflows(cr.credits_pending), 48),
        (overflows(dr.debits_posted), 49),
        (overflows(cr.credits_posted), 50),
        (overflows(dr.debits_pending + dr.debits_posted), 51),
        (overflows(cr.credits_pending + cr.credits_posted), 52),
    ])
}

fn check_limits(dr: &Account, cr: &Account, amount: u128) -> Result<(), u32> {
    let debits = dr.debits_pending + dr.debits_posted + amount;
    let credits = cr.credits_pending + cr.credits_posted + amount;
    first_failure(&[
        (
            dr.flags & ACCOUNT_DEBITS_LIMITED != 0 && debits > dr.credits_posted,
            54,
        ),
        (
            cr.flags & ACCOUNT_CREDITS_LIMITED != 0 && credits > cr.debits_posted,
            55,
        ),
    ])
}

/// Gives back what closing did: the accounts of a pending transfer that was voided or expired.
pub(super) fn reopen(p: &Transfer, dr: &mut Account, cr: &mut Account) {
    if p.flags & CLOSING_DEBIT != 0 {
        dr.flags &= !ACCOUNT_CLOSED;
    }
    if p.flags & CLOSING_CREDIT != 0 {
        cr.flags &= !ACCOUNT_CLOSED;
    }
}
