//! Checking a stopped ledger, all of it: the history and the checkpoint in themselves, the log
//! against the history where it has both, and what is behind the checkpoint by executing it.

mod branches;

use std::path::Path;
use std::sync::Arc;

use giro_base::branch::Branches;
use giro_base::{Operation, Timestamp, Transfer, TransferFlags};
use giro_core::Batch;
use giro_core::batch::Events;
use giro_log::storage::{RealStorage, Storage};
use giro_log::{LogOptions, OpHeader, Recovery, ops, read_identity};
use giro_store::verify::{Verified as VerifiedHistory, VerifyProgress, verify as verify_history};
use giro_store::{Catalog, History, Reader};

use self::branches::Legs;
use crate::engine::Engine;
use crate::error::Error;
use crate::open::{Options, Progress, read_history, whose};

/// How far a verification is.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// Every page of the history.
    History(VerifyProgress),
    /// The log's older records, against the history.
    Compare(Progress),
    /// The log behind the checkpoint.
    Replay(Progress),
}

/// What a verification went through.
pub struct Verified {
    /// The history; none where there is none.
    pub history: Option<VerifiedHistory>,
    /// Transfers that were found equal in log and history.
    pub compared: u64,
    /// Records behind the checkpoint that were executed.
    pub records: u64,
    /// The ledger as it is at its last op; takes no requests.
    pub engine: Engine,
}

/// Reads everything the ledger in `dir` has on disk and checks it. Nothing is changed.
///
/// # Errors
/// The first thing that is wrong, by file and offset or by record and op; and the system's.
pub fn verify(
    dir: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Stage),
) -> Result<Verified, Error> {
    let identity = read_identity(dir)?;
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let (mut checked, mut compared) = (None, 0);
    if let Some(mut history) = read_history(&storage, dir, &identity)? {
        let catalog = Arc::clone(history.catalog());
        let step = |at| progress(Stage::History(at));
        let verified = verify_history(&catalog, history.reader(), whose(&identity), step)?;
        checked = Some(verified);
        let log = LogOptions {
            first_index: Recovery::oldest_index(&storage, dir, &identity)?,
            ..options.log.clone()
        };
        let recovery = Recovery::open(dir, &identity, &log)?;
        compared = compare(recovery, &mut history, &mut |at| {
            progress(Stage::Compare(at));
        })?;
    }
    let mut records = 0;
    let engine = Engine::replay_only(dir, options, &mut |at| {
        records = at.records;
        progress(Stage::Replay(at));
    })?;
    Ok(Verified {
        history: checked,
        compared,
        records,
        engine,
    })
}

/// Compares the log's ops that the checkpoint holds with the history; says how many transfers were
/// in both.
fn compare(
    mut recovery: Recovery,
    history: &mut History,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, Error> {
    let catalog = Arc::clone(history.catalog());
    let last_op = catalog.checkpoint().map_or(0, |whole| whole.state().op);
    let pool = giro_base::BufferPool::new(1).map_err(|source| Error::Memory {
        what: "a message buffer",
        source,
    })?;
    let mut buffer = pool.take().expect("a new pool has a buffer");
    let mut compared = 0;
    let mut at = Progress {
        records: 0,
        ops: 0,
        bytes: 0,
        bytes_total: recovery.bytes_total(),
    };
    while let Some(record) = recovery.next(&mut buffer)? {
        if record.first_op > last_op {
            break;
        }
        for (header, body) in ops(&buffer).filter(|(header, _)| header.op <= last_op) {
            let op = (header, &buffer[body]);
            compared += compare_op(record.index, op, &catalog, history.reader())?;
        }
        at.records += 1;
        at.ops += u64::from(record.op_count);
        at.bytes += record.padded_bytes() as u64;
        progress(at);
    }
    Ok(compared)
}

/// Compares one op of this record with the history: each transfer that was made by it is one of its
/// events. Says how many there were.
///
/// # Errors
/// The first difference, and the history's.
pub fn compare_op(
    record: u64,
    (header, body): (&OpHeader, &[u8]),
    catalog: &Catalog,
    reader: &mut Reader,
) -> Result<u64, Error> {
    let Ok(operation) = Operation::try_from(header.operation) else {
        let (index, operation) = (record, header.operation);
        return Err(Error::UnknownOperation { index, operation });
    };
    let end = header.timestamp;
    let Some((count, asked)) = Asked::by(operation, end, body).filter(|(count, _)| *count > 0)
    else {
        return Ok(0);
    };
    let first = end - count as u64 + 1;
    let Some(row) = catalog.row_at_or_after(reader, first)? else {
        return Ok(0);
    };
    // As many rows as there are timestamps, at most.
    let rows: Vec<u64> = (row..row + count as u64).collect();
    let made = catalog.transfers_at(reader, &rows)?;
    let made = made.iter().flatten();
    let mut compared = 0;
    for transfer in made.take_while(|transfer| transfer.timestamp <= end) {
        // Imported ones bring their timestamps: such a transfer is another op's.
        if transfer.flags & TransferFlags::IMPORTED != 0 {
            continue;
        }
        if !asked.made(transfer, (transfer.timestamp - first) as usize) {
            return Err(Error::LogAndHistoryDiffer {
                record,
                op: header.op,
                id: transfer.id,
                timestamp: transfer.timestamp,
            });
        }
        compared += 1;
    }
    Ok(compared)
}

/// What an op asked for.
enum Asked<'a> {
    Transfers(&'a [Transfer]),
    Branches(Legs<'a>),
}

impl<'a> Asked<'a> {
    /// What an op asked for that can make transfers, and how many timestamps it took.
    fn by(operation: Operation, timestamp: Timestamp, body: &'a [u8]) -> Option<(usize, Self)> {
        if operation.kind().settles_branches() {
            let branches = Branches::parse(operation.kind(), body).ok()?;
            return Some((branches.ticks(), Self::Branches(Legs::of(branches))));
        }
        let batch = Batch::parse(operation, timestamp, body).ok()?;
        match batch.events {
            Events::Transfers(events) => Some((events.len(), Self::Transfers(events))),
            _ => None,
        }
    }

    /// Whether the op can have made a transfer, which has the timestamp in this place of its own.
    fn made(&self, transfer: &Transfer, place: usize) -> bool {
        match self {
            Self::Transfers(events) => is_of(transfer, &events[place]),
            Self::Branches(legs) => legs.has(transfer),
        }
    }
}

/// Whether a stored transfer can have come of this event. What a post or void leaves out is the
/// pending transfer's.
fn is_of(transfer: &Transfer, event: &Transfer) -> bool {
    let closes = TransferFlags::POST_PENDING_TRANSFER | TransferFlags::VOID_PENDING_TRANSFER;
    let fills = event.flags & closes != 0;
    let same = |stored: u128, asked: u128| stored == asked || fills && asked == 0;
    (transfer.id, transfer.flags, transfer.pending_id) == (event.id, event.flags, event.pending_id)
        && transfer.timeout == event.timeout
        && is_amount_of(transfer.amount, event)
        && same(transfer.debit_account_id, event.debit_account_id)
        && same(transfer.credit_account_id, event.credit_account_id)
        && same(transfer.user_data_128, event.user_data_128)
        && same(transfer.user_data_64.into(), event.user_data_64.into())
        && same(transfer.user_data_32.into(), event.user_data_32.into())
        && same(transfer.ledger.into(), event.ledger.into())
        && same(transfer.code.into(), event.code.into())
}

/// Whether the event can have moved this amount: its own, but less where it balances an account,
/// and any where it asks for all that is pending.
fn is_amount_of(amount: u128, event: &Transfer) -> bool {
    let has = |flags: u16| event.flags & flags != 0;
    if has(TransferFlags::BALANCING_DEBIT | TransferFlags::BALANCING_CREDIT) {
        return amount <= event.amount;
    }
    let asks_for_all = has(TransferFlags::POST_PENDING_TRANSFER) && event.amount == u128::MAX
        || has(TransferFlags::VOID_PENDING_TRANSFER) && event.amount == 0;
    asks_for_all || amount == event.amount
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_amount_is_one_that_the_event_can_have_moved() {
        let event = |flags, amount| Transfer {
            id: 1,
            flags,
            amount,
            ..Transfer::default()
        };
        let post = TransferFlags::POST_PENDING_TRANSFER;
        let void = TransferFlags::VOID_PENDING_TRANSFER;
        let balancing = TransferFlags::BALANCING_DEBIT;
        for (flags, asked, stored, expected) in [
            (0, 5, 5, true),
            (0, 5, 4, false),
            (0, u128::MAX, 5, false),
            (TransferFlags::PENDING, 5, 6, false),
            (post, u128::MAX, 5, true),
            (post, 5, 5, true),
            (post, 5, 4, false),
            (void, 0, 5, true),
            (void, 5, 6, false),
            (balancing, 5, 3, true),
            (balancing, 5, 6, false),
        ] {
            let is_it = is_of(&event(flags, stored), &event(flags, asked));
            assert_eq!(is_it, expected, "flags {flags}, {asked}, {stored}");
        }
    }
}
