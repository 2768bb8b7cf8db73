//! Deciding: the one serial walk over an operation's events, in order.
//!
//! Everything an event names has been resolved to a place, so what is left is comparing and
//! adding. Rows are written here, in timestamp order; a broken chain takes its rows back.

mod accounts;
mod branches;
mod chain;
mod effects;
mod exists;
mod expire;
mod transfers;
mod two_phase;
mod walk;

use giro_base::result::CreateResult;

use crate::batch::{Batch, Events};
use crate::branches::Expanded;
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
    decided.has_timeouts = false;
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
        Events::Branches(branches, expanded) => {
            let legs = transfers::TransferDecider {
                tables,
                found,
                decided,
                past,
                events: &expanded.events,
            };
            branches::BranchDecider {
                legs,
                branches,
                spans: &expanded.spans,
            }
            .walk(batch);
            tables.window.note_ends(closings_before);
            tables.pendings.sweep();
        }
    }
    if decided.has_timeouts {
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
            let (expires_at, timeout) = (expires_at(transfer), transfer.timeout);
            tables.due.push(expires_at, timeout, row);
        }
    }
}

fn add_to_digest(digest: &mut Digest, batch: &Batch<'_>, decided: &Decided) {
    if let Events::Branches(branches, expanded) = batch.events {
        digest.add(batch.timestamp, branches.len() as u64);
        return add_branches_to_digest(digest, expanded, decided);
    }
    digest.add(batch.timestamp, batch.len() as u64);
    let len = batch.len();
    let results = decided.results[..len].iter();
    let places = decided.place[..len].iter();
    for ((result, place), effect) in results.zip(places).zip(&decided.effect[..len]) {
        let CreateResult {
            timestamp, status, ..
        } = *result;
        let effect = if *place == NONE { 0 } else { *effect };
        digest.add(timestamp ^ u64::from(status) << 32, effect);
    }
}

/// A branch adds its id and its outcome, and then what each leg that was made or settled did.
fn add_branches_to_digest(digest: &mut Digest, expanded: &Expanded, decided: &Decided) {
    for (span, result) in expanded.spans().iter().zip(&decided.branches) {
        let id = span.id.value();
        let outcome = u64::from(result.status) << 32 ^ u64::from(result.leg) << 48;
        let id = id as u64 ^ (id >> 64) as u64;
        digest.add(
            result.timestamp ^ outcome,
            id ^ u64::from(result.leg_status),
        );
        let events = (span.first..span.first + span.events).map(|event| event as usize);
        for event in events.filter(|event| decided.place[*event] != NONE) {
            digest.add(0, decided.effect[event]);
        }
    }
}
