//! Change events (specification section 8), each noted as it happens.

use giro_base::change::{ChangeEventsFilter, ChangedAccount, ChangesAfter};
use giro_base::{Account, ChangeEvent, Transfer};
use zerocopy::FromZeros;

use super::state::State;
use super::transfers::{PENDING, POST, VOID};

const TIMESTAMP_MAX: u64 = (1 << 63) - 1;

/// An event, as its consumers will see it.
#[derive(Clone, Copy)]
pub(crate) struct Change(ChangeEvent);

const EXPIRED: u8 = 4;

impl Change {
    pub(super) fn transfer(t: &Transfer, after: [&Account; 2]) -> Self {
        let kinds = [(PENDING, 1), (POST, 2), (VOID, 3)];
        let kind = kinds.iter().find(|(flag, _)| t.flags & flag != 0);
        let kind = kind.map_or(0, |(_, kind)| *kind);
        Self::new(t, kind, t.timestamp, after)
    }

    pub(super) fn expiry(pending: &Transfer, at: u64, after: [&Account; 2]) -> Self {
        Self::new(pending, EXPIRED, at, after)
    }

    fn new(t: &Transfer, kind: u8, timestamp: u64, [dr, cr]: [&Account; 2]) -> Self {
        let mut event = ChangeEvent::new_zeroed();
        event.transfer_id = t.id;
        event.transfer_amount = t.amount;
        event.transfer_pending_id = t.pending_id;
        event.transfer_user_data_128 = t.user_data_128;
        event.transfer_user_data_64 = t.user_data_64;
        event.transfer_user_data_32 = t.user_data_32;
        event.transfer_timeout = t.timeout;
        event.transfer_code = t.code;
        event.transfer_flags = t.flags;
        event.ledger = t.ledger;
        event.kind = kind;
        event.debit_account = changed(dr);
        event.credit_account = changed(cr);
        event.timestamp = timestamp;
        event.transfer_timestamp = t.timestamp;
        event.debit_account_timestamp = dr.timestamp;
        event.credit_account_timestamp = cr.timestamp;
        Self(event)
    }
}

fn changed(a: &Account) -> ChangedAccount {
    ChangedAccount {
        id: a.id,
        debits_pending: a.debits_pending,
        debits_posted: a.debits_posted,
        credits_pending: a.credits_pending,
        credits_posted: a.credits_posted,
        user_data_128: a.user_data_128,
        user_data_64: a.user_data_64,
        user_data_32: a.user_data_32,
        code: a.code,
        flags: a.flags,
    }
}

/// Events in a window of time, by their timestamps.
pub(super) fn by_time(state: &State, filter: &ChangeEventsFilter, max: usize) -> Vec<ChangeEvent> {
    let (from, to) = (filter.timestamp_min, filter.timestamp_max);
    let is_valid = from <= TIMESTAMP_MAX
        && to <= TIMESTAMP_MAX
        && (to == 0 || from <= to)
        && filter.limit != 0
        && filter.reserved == [0; 44];
    if !is_valid {
        return Vec::new();
    }
    let is_wanted = |e: &ChangeEvent| e.timestamp >= from && (to == 0 || e.timestamp <= to);
    let events = state.changes().iter().map(|change| change.0);
    let mut events: Vec<_> = events.filter(is_wanted).collect();
    events.sort_by_key(|event| event.timestamp);
    events.truncate(max.min(filter.limit as usize));
    events
}

/// Events a reader does not have, in the order they took effect.
pub(super) fn by_position(state: &State, filter: &ChangesAfter, max: usize) -> Vec<ChangeEvent> {
    let (transfers, expiries) = (filter.position.transfers, filter.position.expiries);
    let is_valid = transfers <= TIMESTAMP_MAX
        && expiries <= TIMESTAMP_MAX
        && filter.limit != 0
        && filter.reserved == [0; 44];
    if !is_valid {
        return Vec::new();
    }
    let is_wanted = |e: &ChangeEvent| {
        let reached = if e.kind == EXPIRED {
            expiries
        } else {
            transfers
        };
        e.timestamp > reached
    };
    let events = state.changes().iter().map(|change| change.0);
    let events = events.filter(is_wanted);
    events.take(max.min(filter.limit as usize)).collect()
}
