//! Executing transfers allocates nothing once a ledger is warm.
//!
//! What is left out, by warming up first: the queue of expiries grows with the number of pending
//! transfers that have a timeout, and the table of a batch's ids grows to the largest batch seen.
//! Tables and indexes lie in mapped memory, which is not the allocator's: an index that doubles
//! asks the system for memory, and no allocation shows it here.

mod counting;

use std::collections::BTreeSet;

use giro_base::limits::CREATE_REPLY_BYTES_MAX;
use giro_base::{Operation, Transfer, TransferFlags};
use giro_core::Batch;
use zerocopy::IntoBytes;

use counting::{allocations, machine};

const EVENTS: usize = 2000;
const ROUNDS: u64 = 40;

/// Rounds after which nothing may be allocated any more.
const WARM_ROUNDS: usize = 4;

/// A batch of every kind of transfer: single, pending, posts and voids, chains that hold and that
/// break, repeats, and failures that burn their id.
fn events(round: u64) -> Vec<Transfer> {
    let first = u128::from(round) * EVENTS as u128 + 1;
    (0..EVENTS).map(|i| event(first, i)).collect()
}

fn event(first: u128, i: usize) -> Transfer {
    let id = first + i as u128;
    let single = Transfer {
        id,
        debit_account_id: 1 + (i as u128 / 10) % 3,
        credit_account_id: 4,
        amount: 5,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    };
    let resolving = |flags, amount| Transfer {
        id,
        pending_id: id - 2,
        amount,
        flags,
        ..Transfer::default()
    };
    match i % 10 {
        0 | 1 => Transfer {
            timeout: 1,
            flags: TransferFlags::PENDING,
            ..single
        },
        2 => resolving(TransferFlags::POST_PENDING_TRANSFER, u128::MAX),
        // Some stay pending, and expire.
        3 if i % 20 == 3 => resolving(TransferFlags::VOID_PENDING_TRANSFER, 0),
        // A chain of two that holds, and one of three that sometimes breaks.
        4 | 6 | 7 => Transfer {
            flags: TransferFlags::LINKED,
            ..single
        },
        8 if i % 50 == 8 => Transfer {
            debit_account_id: 99,
            ..single
        },
        9 => Transfer {
            id: id - 4,
            ..single
        },
        _ => single,
    }
}

#[test]
fn executing_transfers_on_a_warm_ledger_allocates_nothing() {
    for shards in [1, 3] {
        let mut machine = machine(shards);
        let bodies: Vec<_> = (0..ROUNDS).map(events).collect();
        let mut out = vec![0; CREATE_REPLY_BYTES_MAX];
        let mut statuses = BTreeSet::new();
        let mut counts = Vec::with_capacity(ROUNDS as usize);
        for (round, body) in bodies.iter().enumerate() {
            let timestamp = 10_000_000_000 * (round as u64 + 1);
            let before = allocations();
            let operation = Operation::CreateTransfersUnbatched;
            let batch = Batch::parse(operation, timestamp, body.as_bytes()).unwrap();
            let len = machine.execute(&batch, &mut out);
            // All that is due goes, so the queue never gets longer than one round makes it.
            machine.expire(timestamp + 5_000_000_000);
            counts.push(allocations() - before);
            let failures = out[..len].chunks_exact(8);
            statuses.extend(failures.map(|f| u32::from_le_bytes([f[4], f[5], f[6], f[7]])));
        }
        // The batches did what they are for, and the counter counts.
        assert_eq!(statuses, BTreeSet::from([1, 21, 46]));
        assert_eq!(machine.next_expiry(), None);
        assert!(counts[0] > 0);
        let warm = &counts[WARM_ROUNDS..];
        assert_eq!(warm, vec![0; warm.len()], "{shards} shards");
    }
}
