//! Expiry of pending transfers, by a pulse of its own between operations.

use giro_base::Timestamp;
use giro_base::limits::EXPIRIES_PER_PULSE_MAX;

use super::effects::{Direction, effect_on};
use crate::digest::Digest;
use crate::tables::{Expiry, Links, Phase, Tables};

/// Expires pending transfers that are due at the pulse's `timestamp` (ns), oldest due first, at
/// most [`EXPIRIES_PER_PULSE_MAX`]. `due` is working memory.
pub fn expire(tables: &mut Tables, timestamp: Timestamp, due: &mut Vec<u32>, digest: &mut Digest) {
    due.clear();
    while due.len() < EXPIRIES_PER_PULSE_MAX
        && let Some(row) = tables.due.pop_due(timestamp)
    {
        // Posted or voided meanwhile; its entry only now comes up.
        if tables.phase(row) == Phase::Pending {
            due.push(row);
        }
    }
    digest.add(timestamp, due.len() as u64);
    for (k, row) in due.iter().enumerate() {
        let timestamp = timestamp - due.len() as u64 + k as u64 + 1;
        tables.release(*row, true, Direction::Forward);
        tables.phases[*row as usize] = Phase::Expired as u8;
        tables.expiries.push(Expiry {
            timestamp,
            row: *row,
            reserved: 0,
        });
        let Links { debit, credit, .. } = tables.links[*row as usize];
        let effect = effect_on(
            &tables.accounts[debit as usize],
            &tables.accounts[credit as usize],
        );
        digest.add(timestamp, effect);
    }
    tables.totals.assert_balanced();
}
