//! Branches (`docs/reference/tcc.md`): a map from keys to what was tried, and the table of states
//! and requests.

use std::collections::BTreeMap;

use giro_base::branch::{BranchId, BranchKey, ConfirmBranch, LegKind, TryBranch};
use giro_base::{Account, Transfer};

use super::digest;
use super::exists;
use super::expires_at;
use super::state::{Phase, State};
use super::transfers::{LINKED, PENDING, POST, VOID, create_plain};
use crate::request::BranchRequests;

const BRANCH: u16 = 1 << 15;
const BRANCH_PARTIAL: u16 = 1 << 14;
const EVENTS_MAX: usize = 8190;
const NO_LEG: u16 = 0xFFFF;

pub(crate) const DONE: u16 = 1;
pub(crate) const DONE_BEFORE: u16 = 2;
pub(crate) const LEG_REFUSED: u16 = 3;
pub(crate) const DIFFERS: u16 = 4;
pub(crate) const CANCELLED: u16 = 5;
pub(crate) const SUSPENDED: u16 = 6;
pub(crate) const CONFIRMED: u16 = 7;
pub(crate) const EXPIRED: u16 = 8;
pub(crate) const NOT_TRIED: u16 = 9;
pub(crate) const AMOUNTS_DIFFER: u16 = 10;
pub(crate) const AMOUNTS_MISSING: u16 = 11;
pub(crate) const AMOUNT_EXCEEDS_RESERVED: u16 = 12;
pub(crate) const ID_TAKEN: u16 = 13;
pub(crate) const REQUEST_TOO_LARGE: u16 = 14;

/// What was tried under a key, and how it was settled.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    /// As they were reserved.
    pub(crate) legs: Vec<Transfer>,
    /// What each leg posted, and when.
    confirmed: Option<(Vec<u128>, u64)>,
    cancelled_at: Option<u64>,
}

/// All branches that were ever tried, by key.
pub(crate) type Branches = BTreeMap<(String, String), Branch>;

/// What a branch of a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BranchOutcome {
    pub(crate) status: u16,
    pub(crate) timestamp: u64,
    pub(crate) leg: u16,
    pub(crate) leg_status: u32,
}

/// One branch of a request, executed.
pub(super) struct Executed {
    pub(super) outcome: BranchOutcome,
    pub(super) id: u128,
    /// What each leg made or settled adds to the digest.
    pub(super) effects: Vec<u64>,
}

/// Where a branch stands.
enum Standing {
    None,
    Tried(Branch),
    Confirmed(Branch),
    Cancelled(Branch),
    Suspended,
    Expired(u64),
    IdTaken,
}

/// A status, whose first time it was if not now, and what leg it is about.
type Answer = (u16, Option<u64>, Option<(usize, u32)>);

fn just(status: u16) -> Answer {
    (status, None, None)
}

fn before(at: u64) -> Answer {
    (DONE_BEFORE, Some(at), None)
}

fn about(status: u16, leg: usize, leg_status: u32) -> Answer {
    (status, None, Some((leg, leg_status)))
}

pub(super) fn execute(state: &mut State, asked: &BranchRequests, timestamp: u64) -> Vec<Executed> {
    let mut total = 0;
    let mut places = Vec::new();
    for branch in 0..asked.len() {
        let events = events_of(state, asked, branch);
        let fits = total + events <= EVENTS_MAX;
        places.push(fits.then_some(total));
        total += if fits { events } else { 0 };
    }
    let first = timestamp + 1 - total as u64;
    let mut executed = Vec::new();
    for (branch, place) in places.into_iter().enumerate() {
        let key = asked.key(branch);
        let mut effects = Vec::new();
        let now = place.map_or(timestamp, |place| first + place as u64);
        let (status, since, leg) = match (place, asked) {
            (None, _) => just(REQUEST_TOO_LARGE),
            (_, BranchRequests::Try(tries)) => try_one(state, &tries[branch], now, &mut effects),
            (_, BranchRequests::Confirm(confirms)) => {
                confirm_one(state, &confirms[branch], now, &mut effects)
            }
            (_, BranchRequests::Cancel(keys)) => {
                cancel_one(state, &keys[branch], now, &mut effects)
            }
        };
        let (leg, leg_status) = leg.map_or((NO_LEG, 0), |(leg, why)| (leg as u16, why));
        executed.push(Executed {
            outcome: BranchOutcome {
                status,
                timestamp: since.unwrap_or(now),
                leg,
                leg_status,
            },
            id: id_of(key).value(),
            effects,
        });
    }
    executed
}

/// How many ids the branch is about, as the ledger stands before the request.
fn events_of(state: &State, asked: &BranchRequests, branch: usize) -> usize {
    let open = state.branch(asked.key(branch)).and_then(|known| {
        let phase = state.phase(known.legs[0].id);
        (phase == Some(Phase::Pending)).then_some(known.legs.len())
    });
    match asked {
        BranchRequests::Try(tries) => tries[branch].legs.len(),
        BranchRequests::Confirm(confirms) => {
            open.unwrap_or(1 + confirms[branch].amounts.len().max(1))
        }
        BranchRequests::Cancel(_) => open.unwrap_or(2),
    }
}

fn id_of(key: &BranchKey) -> BranchId {
    BranchId::of(&key.gid, &key.branch_id)
}

fn standing(state: &State, key: &BranchKey, now: u64) -> Standing {
    let first = id_of(key).leg(LegKind::Reserve, 0);
    let Some(branch) = state.branch(key).cloned() else {
        return if state.is_burned(first) {
            Standing::Suspended
        } else if state.transfer(first).is_some() {
            Standing::IdTaken
        } else {
            Standing::None
        };
    };
    let t = branch.legs[0];
    let due = expires_at(&t);
    match state.phase(first).expect("it was tried") {
        Phase::Posted => Standing::Confirmed(branch),
        Phase::Voided => Standing::Cancelled(branch),
        Phase::Expired => Standing::Expired(due),
        Phase::Pending if t.timeout != 0 && due <= now => Standing::Expired(due),
        Phase::Pending => Standing::Tried(branch),
    }
}

fn try_one(state: &mut State, t: &TryBranch, now: u64, effects: &mut Vec<u64>) -> Answer {
    let id = id_of(&t.key);
    let count = t.legs.len();
    let legs = t.legs.iter().enumerate().map(|(k, leg)| Transfer {
        id: id.leg(LegKind::Reserve, k),
        debit_account_id: leg.debit_account_id,
        credit_account_id: leg.credit_account_id,
        amount: leg.amount,
        user_data_128: leg.user_data_128,
        user_data_64: leg.user_data_64,
        user_data_32: leg.user_data_32,
        timeout: t.timeout,
        ledger: leg.ledger,
        code: leg.code,
        flags: PENDING | link(k, count),
        ..Transfer::default()
    });
    let legs: Vec<Transfer> = legs.collect();
    match standing(state, &t.key, now) {
        Standing::Tried(branch) | Standing::Confirmed(branch) => return compare(&legs, &branch),
        Standing::Cancelled(_) => return just(CANCELLED),
        Standing::Suspended => return just(SUSPENDED),
        Standing::Expired(_) => return just(EXPIRED),
        Standing::IdTaken => return about(ID_TAKEN, 0, 0),
        Standing::None => {}
    }
    if let Some(leg) = legs.iter().position(|leg| is_taken(state, leg.id)) {
        return about(ID_TAKEN, leg, 0);
    }
    state.savepoint();
    for (k, leg) in legs.iter().enumerate() {
        if let Err(status) = create_plain(state, leg, now + k as u64) {
            state.roll_back();
            effects.clear();
            return about(LEG_REFUSED, k, status);
        }
        effects.push(effect(state, leg.debit_account_id, leg.credit_account_id));
    }
    state.commit();
    let stored = legs.iter().map(|leg| state.transfer(leg.id));
    let stored = stored.map(|leg| leg.expect("just made")).collect();
    state.add_branch(
        &t.key,
        Branch {
            legs: stored,
            confirmed: None,
            cancelled_at: None,
        },
    );
    just(DONE)
}

/// A try of a branch that was tried.
fn compare(legs: &[Transfer], branch: &Branch) -> Answer {
    for (k, leg) in legs.iter().enumerate() {
        let Some(stored) = branch.legs.get(k) else {
            return just(DIFFERS);
        };
        let is_last = |k: usize, count: usize| k + 1 == count;
        if is_last(k, legs.len()) != is_last(k, branch.legs.len()) {
            return just(DIFFERS);
        }
        if leg.timeout != stored.timeout {
            return about(DIFFERS, k, 44);
        }
        let status = exists::compare_plain(leg, stored);
        if status != 46 {
            return about(DIFFERS, k, status);
        }
    }
    before(branch.legs[0].timestamp)
}

fn confirm_one(state: &mut State, c: &ConfirmBranch, now: u64, effects: &mut Vec<u64>) -> Answer {
    let mut branch = match standing(state, &c.key, now) {
        Standing::None => return just(NOT_TRIED),
        Standing::Cancelled(_) => return just(CANCELLED),
        Standing::Suspended => return just(SUSPENDED),
        Standing::Expired(_) => return just(EXPIRED),
        Standing::IdTaken => return about(ID_TAKEN, 0, 0),
        Standing::Confirmed(branch) => return compare_amounts(&c.amounts, &branch),
        Standing::Tried(branch) => branch,
    };
    let id = id_of(&c.key);
    let count = branch.legs.len();
    let ids: Vec<u128> = (0..count).map(|k| id.leg(LegKind::Confirm, k)).collect();
    if let Some(leg) = ids.iter().position(|id| is_taken(state, *id)) {
        return about(ID_TAKEN, leg, 0);
    }
    let mut amounts: Vec<u128> = branch.legs.iter().map(|leg| leg.amount).collect();
    if !c.amounts.is_empty() {
        if c.amounts.len() != count {
            return just(AMOUNTS_MISSING);
        }
        for (k, (asked, reserved)) in c.amounts.iter().zip(&amounts).enumerate() {
            if asked > reserved {
                return about(AMOUNT_EXCEEDS_RESERVED, k, 31);
            }
        }
        amounts = c.amounts.to_vec();
    }
    let is_whole = branch.legs.iter().map(|leg| leg.amount).eq(amounts.clone());
    for (k, amount) in amounts.iter().enumerate() {
        let partial = if is_whole { 0 } else { BRANCH_PARTIAL };
        let flags = POST | partial | link(k, count);
        settle(
            state,
            &branch.legs[k],
            (ids[k], flags),
            *amount,
            now + k as u64,
        );
        let leg = &branch.legs[k];
        effects.push(effect(state, leg.debit_account_id, leg.credit_account_id));
    }
    branch.confirmed = Some((amounts, now));
    state.add_branch(&c.key, branch);
    just(DONE)
}

fn compare_amounts(asked: &[u128], branch: &Branch) -> Answer {
    let (posted, at) = branch.confirmed.as_ref().expect("it was confirmed");
    let whole: Vec<u128> = branch.legs.iter().map(|leg| leg.amount).collect();
    if asked.is_empty() {
        return if *posted == whole {
            before(*at)
        } else {
            just(AMOUNTS_DIFFER)
        };
    }
    if asked.len() != posted.len() {
        return just(AMOUNTS_DIFFER);
    }
    match (0..asked.len()).find(|k| asked[*k] != posted[*k]) {
        Some(leg) => about(AMOUNTS_DIFFER, leg, 0),
        None => before(*at),
    }
}

fn cancel_one(state: &mut State, key: &BranchKey, now: u64, effects: &mut Vec<u64>) -> Answer {
    let id = id_of(key);
    let mut branch = match standing(state, key, now) {
        Standing::None => {
            state.burn(id.leg(LegKind::Reserve, 0));
            effects.push(0);
            return just(DONE);
        }
        Standing::Cancelled(branch) => return before(branch.cancelled_at.expect("it was")),
        Standing::Suspended => return just(DONE_BEFORE),
        Standing::Expired(due) => return before(due),
        Standing::IdTaken => return about(ID_TAKEN, 0, 0),
        Standing::Confirmed(_) => return just(CONFIRMED),
        Standing::Tried(branch) => branch,
    };
    let count = branch.legs.len();
    let ids: Vec<u128> = (0..count).map(|k| id.leg(LegKind::Cancel, k)).collect();
    if let Some(leg) = ids.iter().position(|id| is_taken(state, *id)) {
        return about(ID_TAKEN, leg, 0);
    }
    for (k, leg) in branch.legs.iter().enumerate() {
        let flags = VOID | link(k, count);
        settle(state, leg, (ids[k], flags), leg.amount, now + k as u64);
        effects.push(effect(state, leg.debit_account_id, leg.credit_account_id));
    }
    branch.cancelled_at = Some(now);
    state.add_branch(key, branch);
    just(DONE)
}

/// Posts or voids a leg, whatever its accounts say.
fn settle(state: &mut State, p: &Transfer, (id, flags): (u128, u16), amount: u128, now: u64) {
    let [mut dr, mut cr] = accounts(state, p.debit_account_id, p.credit_account_id);
    dr.debits_pending -= p.amount;
    cr.credits_pending -= p.amount;
    let is_post = flags & POST != 0;
    if is_post {
        dr.debits_posted += amount;
        cr.credits_posted += amount;
    }
    state.set_account(dr);
    state.set_account(cr);
    state.insert_transfer(Transfer {
        id,
        flags,
        amount,
        pending_id: p.id,
        timeout: 0,
        timestamp: now,
        ..*p
    });
    let phase = if is_post {
        Phase::Posted
    } else {
        Phase::Voided
    };
    state.set_phase(p.id, phase);
}

fn effect(state: &State, debit: u128, credit: u128) -> u64 {
    let [dr, cr] = accounts(state, debit, credit);
    digest::of_balances(&dr, &cr)
}

fn accounts(state: &State, debit: u128, credit: u128) -> [Account; 2] {
    [debit, credit].map(|id| state.account(id).expect("it exists"))
}

fn is_taken(state: &State, id: u128) -> bool {
    state.transfer(id).is_some() || state.is_burned(id)
}

fn link(leg: usize, count: usize) -> u16 {
    if leg + 1 == count {
        BRANCH
    } else {
        BRANCH | LINKED
    }
}
