//! Deciding: the one serial walk over an operation's events, in order.
//!
//! Everything an event names has been resolved to a place, so what is left is comparing and
//! adding. Rows are written here, in timestamp order; a broken chain takes its rows back.

mod accounts;
mod chain;
mod effects;
mod exists;
mod expire;
mod transfers;
mod two_phase;
mod walk;

use giro_base::result::CreateResult;

use crate::batch::{Batch, Events};
use crate::digest::Digest;
use crate::place::NONE;
use crate::scratch::{Decided, Scratch};
use crate::tables::Tables;

pub use self::expire::expire;
pub(crate) use self::transfers::expires_at;

use self::walk::walk;

/// Decides every event of a batch that has been resolved: changes `tables`, fills
/// `scratch.decided`, and continues the digest.
///
/// # Panics
/// When debits and credits differ afterwards: a bug, and no state to go on with.
pub fn decide(tables: &mut Tables, batch: &Batch<'_>, scratch: &mut Scratch, digest: &mut Digest) {
    let Scratch {
        found,
        decided,
        past,
    } = scratch;
    assert!(!found.has_asked(), "the history was asked");
    let rows_before = tables.window.end_row();
    let closings_before = tables.window.open().closings.len();
    match batch.events {
        Events::Accounts(events) => {
            walk(
                &mut accounts::AccountDecider {
                    tables,
                    found,
                    decided,
                    events,
                },
                batch,
            );
            tables.window.note_accounts(&tables.accounts);
        }
        Events::Transfers(events) => {
            walk(
                &mut transfers::TransferDecider {
                    tables,
                    found,
                    decided,
                    past,
                    events,
                },
                batch,
            );
            tables.window.note_ends(closings_before);
            tables.pendings.sweep();
        }
    }
    if let Events::Transfers(events) = batch.events
        && events.iter().any(|event| event.timeout != 0)
    {
        schedule_expiries(tables, rows_before);
    }
    tables.totals.assert_balanced();
    add_to_digest(digest, batch, decided);
}

/// Pending transfers enter the queue only now, when no chain can take them back any more.
fn schedule_expiries(tables: &mut Tables, rows_before: u64) {
    for row in rows_before..tables.window.end_row() {
        let transfer = tables.window.transfer(row);
        if transfer.timeout != 0 {
            let expires_at = expires_at(transfer);
            tables.due.push(expires_at, row);
        }
    }
}

fn add_to_digest(digest: &mut Digest, batch: &Batch<'_>, decided: &Decided) {
    digest.add(batch.timestamp, batch.len() as u64);
    for i in 0..batch.len() {
        let CreateResult {
            timestamp, status, ..
        } = decided.results[i];
        let made = decided.place[i] != NONE;
        let effect = if made { decided.effect[i] } else { 0 };
        digest.add(timestamp ^ u64::from(status) << 32, effect);
    }
}
