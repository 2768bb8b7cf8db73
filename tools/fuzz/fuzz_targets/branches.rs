//! Requests about branches with any content against the ledger: raw bodies, most of which are
//! no archives, and bodies that are, about few keys and accounts. Nothing panics, every branch has
//! a result, a body that is not valid leaves no trace, and debits equal credits after each.
#![no_main]

use giro::{Account, Engine, Operation, Options};
use giro_base::branch::{BranchKey, ConfirmBranch, Leg, TryBranch, encode};
use giro_base::multi_batch::{Body, trailer_bytes, write_trailer};
use giro_core::conservation::Totals;
use giro_fuzz::{run, write};
use giro_log::MemoryDisk;
use libfuzzer_sys::fuzz_target;
use zerocopy::IntoBytes;

const ACCOUNTS: u128 = 4;
const OPERATIONS: [Operation; 5] = [
    Operation::TryBranches,
    Operation::ConfirmBranches,
    Operation::CancelBranches,
    Operation::LookupBranches,
    Operation::ListBranches,
];

fuzz_target!(|input: &[u8]| {
    let options = Options {
        buffers: 8,
        sessions_max: 2,
        pin: false,
        accounts_max: 1 << 14,
        transfers_max: 1 << 16,
        ..Options::default()
    };
    let mut engine = Engine::in_memory(&options).expect("memory for a small ledger");
    let mut disk = MemoryDisk::default();
    let mut out = vec![0; 1 << 20];
    let mut now = 1_u64;
    write(
        &mut engine,
        &mut disk,
        now,
        Operation::CreateAccounts,
        &accounts(),
    );
    let mut rest = input;
    while let [kind, time, length, more @ ..] = rest {
        now += u64::from(*time) << (time % 32);
        let operation = OPERATIONS[usize::from(*kind) % OPERATIONS.len()];
        let (bytes, more) = more.split_at(usize::from(*length).min(more.len()));
        rest = more;
        let body = if *kind < 128 || operation == Operation::ListBranches {
            bytes.to_vec()
        } else {
            made(operation, bytes)
        };
        if let Ok(parsed) = Body::parse(operation, &body) {
            if operation.is_write() {
                write(&mut engine, &mut disk, now, operation, &body);
            } else {
                let read = engine.read(0, operation, &parsed, &mut out);
                assert!(read.expect("all is in memory") <= out.len());
            }
        }
        engine.tick(now);
        run(&mut engine, &mut disk);
        Totals::of(&engine.machine().tables().accounts).assert_balanced();
    }
});

/// A valid body, or nearly, from any bytes.
fn made(operation: Operation, bytes: &[u8]) -> Vec<u8> {
    let key = |byte: u8| BranchKey::new(format!("g{}", byte % 8), "b");
    let branches = bytes.chunks(6);
    let byte = |chunk: &[u8], at: usize| chunk.get(at).copied().unwrap_or(1);
    let body = match operation {
        Operation::TryBranches => {
            let tries = branches.map(|chunk| {
                let leg = |n: u8| Leg {
                    debit_account_id: u128::from(byte(chunk, 1) % 5),
                    credit_account_id: u128::from(byte(chunk, 2).wrapping_add(n) % 6),
                    amount: u128::from(byte(chunk, 3)) << (byte(chunk, 4) % 128),
                    ledger: 1,
                    code: 1,
                    ..Leg::default()
                };
                TryBranch {
                    key: key(byte(chunk, 0)),
                    timeout: u32::from(byte(chunk, 5) % 4),
                    legs: (0..byte(chunk, 5) / 4).map(leg).collect(),
                }
            });
            encode(&tries.collect::<Vec<_>>())
        }
        Operation::ConfirmBranches => {
            let confirms = branches.map(|chunk| ConfirmBranch {
                key: key(byte(chunk, 0)),
                amounts: chunk[1..]
                    .iter()
                    .map(|amount| u128::from(*amount))
                    .collect(),
            });
            encode(&confirms.collect::<Vec<_>>())
        }
        _ => encode(&bytes.iter().map(|byte| key(*byte)).collect::<Vec<_>>()),
    };
    body
}

fn accounts() -> Vec<u8> {
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    };
    let accounts: Vec<Account> = (1..=ACCOUNTS).map(account).collect();
    let mut body = accounts.as_bytes().to_vec();
    let payload = body.len();
    body.resize(payload + trailer_bytes(1, 128), 0);
    write_trailer(&mut body, payload, 128, [accounts.len()].into_iter());
    body
}
