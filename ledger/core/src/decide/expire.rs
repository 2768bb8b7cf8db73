//! Expiry of pending transfers, by a pulse of its own between operations.

use giro_base::branch::{BranchId, LegKind};
use giro_base::limits::EXPIRIES_PER_PULSE_MAX;
use giro_base::{Timestamp, Transfer, TransferFlags as Flags};

use super::effects::{Direction, effect_on};
use crate::digest::Digest;
use crate::generation::Expiry;
use crate::pendings::Pending;
use crate::phase::Phase;
use crate::tables::Tables;

/// Expires pending transfers that are due at the pulse's `timestamp` (ns), oldest due first, at
/// most [`EXPIRIES_PER_PULSE_MAX`]. `due` is working memory.
pub fn expire(
    tables: &mut Tables,
    timestamp: Timestamp,
    due: &mut Vec<Pending>,
    digest: &mut Digest,
) {
    take_due(tables, timestamp, due);
    digest.add(timestamp, due.len() as u64);
    for (k, pending) in due.iter().enumerate() {
        if let Some(ahead) = due.get(k + AHEAD) {
            tables.fetch_accounts([ahead.debit, ahead.credit]);
            tables.pendings.prefetch_close(ahead);
        }
        let timestamp = timestamp - due.len() as u64 + k as u64 + 1;
        expire_one(tables, timestamp, pending);
        let effect = effect_on(
            &tables.accounts[pending.debit as usize],
            &tables.accounts[pending.credit as usize],
        );
        digest.add(timestamp, effect);
    }
    tables.pendings.sweep();
    tables.totals.assert_balanced();
}

/// Fills `due` with what is due and open. They lie anywhere in memory, so some are asked for while
/// others are taken.
fn take_due(tables: &mut Tables, timestamp: Timestamp, due: &mut Vec<Pending>) {
    due.clear();
    let mut rows = [0; ROWS];
    loop {
        let mut count = 0;
        while count < ROWS.min(EXPIRIES_PER_PULSE_MAX - due.len())
            && let Some(row) = tables.due.pop_due(timestamp)
        {
            tables.prefetch_pending(row);
            rows[count] = row;
            count += 1;
        }
        let rows = &rows[..count];
        if rows.is_empty() {
            return;
        }
        for row in rows {
            tables.pendings.prefetch_found(*row);
        }
        // Those that were posted or voided meanwhile come up only now.
        due.extend(rows.iter().filter_map(|row| tables.open_pending(*row)));
    }
}

/// Rows that are taken together.
const ROWS: usize = 32;
/// Expiries between asking for memory and using it.
const AHEAD: usize = 8;

fn expire_one(tables: &mut Tables, timestamp: Timestamp, pending: &Pending) {
    let Pending {
        transfer,
        row,
        debit,
        credit,
        ..
    } = pending;
    tables.note_opening(*debit);
    tables.note_opening(*credit);
    tables.release(pending, true, Direction::Forward);
    tables.close_pending_row(*row, Phase::Expired);
    if is_first_leg(transfer) {
        tables.branches.remove(BranchId::of_leg(transfer.id));
    }
    let expiry = Expiry {
        timestamp,
        before_row: tables.window.end_row(),
        pending_row: *row,
        pending_id: transfer.id,
        amount: transfer.amount,
        debit: *debit,
        credit: *credit,
        pending_flags: transfer.flags,
        ..Expiry::default()
    };
    tables.window.note_expiry(expiry);
}

/// Whether a transfer is what a branch's state shows in.
fn is_first_leg(transfer: &Transfer) -> bool {
    let first = BranchId::of_leg(transfer.id).leg(LegKind::Reserve, 0);
    transfer.flags & Flags::BRANCH != 0 && transfer.id == first
}
