//! Expiry of pending transfers (specification section 7).

use super::changes::Change;
use super::digest;
use super::state::{Phase, State};
use super::transfers::reopen;

/// Most transfers that one pulse expires.
const PULSE_MAX: usize = 8190;

/// Expires what is due at `timestamp`, oldest due first; returns what each adds to the
/// digest, in that order.
pub(super) fn pulse(state: &mut State, timestamp: u64) -> Vec<u64> {
    let due = state.due().iter();
    let due = due.take_while(|(expires_at, ..)| *expires_at <= timestamp);
    let ids: Vec<u128> = due.take(PULSE_MAX).map(|(.., id)| *id).collect();
    let mut effects = Vec::new();
    for (k, id) in ids.iter().enumerate() {
        let p = state.transfer(*id).expect("due transfers exist");
        let mut dr = state.account(p.debit_account_id).expect("it exists");
        let mut cr = state.account(p.credit_account_id).expect("it exists");
        dr.debits_pending -= p.amount;
        cr.credits_pending -= p.amount;
        reopen(&p, &mut dr, &mut cr);
        state.set_account(dr);
        state.set_account(cr);
        state.set_phase(*id, Phase::Expired);
        let at = timestamp - ids.len() as u64 + k as u64 + 1;
        state.note_change(Change::expiry(&p, at, [&dr, &cr]));
        effects.push(digest::of_balances(&dr, &cr));
    }
    effects
}
