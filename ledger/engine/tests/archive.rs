//! A ledger whose transfers leave memory for the history on disk: over restarts, in step with one
//! that keeps them, and with damage to what left.
#![cfg(not(loom))]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use giro::{
    Account, CreateAccountStatus, CreateTransferStatus as Status, Error, Ledger, Options, Transfer,
    TransferFlags,
};

/// Transfers of a request.
const BATCH: u128 = 50;

fn options(archive: bool) -> Options {
    Options {
        accounts_max: 1 << 16,
        transfers_max: 1 << 16,
        archive,
        generation_rows: 200,
        buffers: 16,
        sessions_max: 16,
        ..Options::default()
    }
}

fn open(dir: &Path, archive: bool) -> Ledger {
    Ledger::open(dir, options(archive)).unwrap()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn transfer(id: u128, flags: u16, pending_id: u128) -> Transfer {
    let closes = pending_id != 0;
    let (debit_account_id, credit_account_id) = if closes { (0, 0) } else { (1, 2) };
    Transfer {
        id,
        debit_account_id,
        credit_account_id,
        amount: if closes { u128::MAX } else { id },
        pending_id,
        ledger: u32::from(!closes),
        code: u16::from(!closes),
        flags,
        ..Transfer::default()
    }
}

fn create(ledger: &Ledger, transfers: &[Transfer]) -> Vec<Status> {
    let results = ledger.create_transfers(transfers).wait().unwrap();
    results.iter().map(|result| result.status).collect()
}

fn open_accounts(ledger: &Ledger) {
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    };
    let results = ledger.create_accounts(&[account(1), account(2)]).wait();
    let created = |r: &giro::ledger::AccountResult| r.status == CreateAccountStatus::Created;
    assert!(results.unwrap().iter().all(created));
}

/// Single transfers with the ids of this batch.
fn batch(number: u128) -> Vec<Transfer> {
    let ids = number * BATCH + 1..=(number + 1) * BATCH;
    ids.map(|id| transfer(id, 0, 0)).collect()
}

/// Files of the history below the ledger's directory with this ending.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.join("history")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Fills the ledger with some forty generations' worth, waiting for the history on the way.
fn fill(ledger: &Ledger, batches: u128) {
    for number in 0..batches {
        assert!(
            create(ledger, &batch(number))
                .iter()
                .all(|s| *s == Status::Created)
        );
    }
}

#[test]
fn what_left_memory_is_known_over_restarts() {
    const PENDING: u128 = 1 << 100;
    let dir = folder();
    let ledger = open(dir.path(), true);
    open_accounts(&ledger);
    let pendings: Vec<_> = (0..4)
        .map(|i| transfer(PENDING + i, TransferFlags::PENDING, 0))
        .collect();
    assert_eq!(create(&ledger, &pendings), [Status::Created; 4]);
    let close = |id, flags, pending| transfer(id, flags, PENDING + pending);
    let (post, void) = (
        TransferFlags::POST_PENDING_TRANSFER,
        TransferFlags::VOID_PENDING_TRANSFER,
    );
    fill(&ledger, 80);
    assert_eq!(
        create(&ledger, &[close(1 << 90, post, 0)]),
        [Status::Created]
    );
    let (digest, op) = ledger.digest().wait().unwrap();
    drop(ledger);
    assert!(
        files(dir.path(), "seg").len() >= 10,
        "generations left memory"
    );

    for round in 0..3_u128 {
        let ledger = open(dir.path(), true);
        if round == 0 {
            assert_eq!(ledger.digest().wait().unwrap(), (digest, op));
        }
        let again = create(&ledger, &batch(3));
        assert!(
            again.iter().all(|status| *status == Status::Exists),
            "{again:?}"
        );
        let other = Transfer {
            amount: 1,
            ..transfer(77, 0, 0)
        };
        assert_eq!(
            create(&ledger, &[other]),
            [Status::ExistsWithDifferentAmount]
        );
        let found = ledger
            .lookup_transfers(&[77, 4000, PENDING, 5])
            .wait()
            .unwrap();
        let found: Vec<u128> = found.iter().map(|t| t.id).collect();
        assert_eq!(found, [77, 4000, PENDING, 5]);
        let id = (1 << 91) + round;
        assert_eq!(
            create(&ledger, &[close(id, post, 0)]),
            [Status::PendingTransferAlreadyPosted]
        );
        let open_one = close((1 << 92) + round, void, 1 + round);
        let open_one = Transfer {
            amount: 0,
            ..open_one
        };
        assert_eq!(create(&ledger, &[open_one]), [Status::Created]);
    }
    let ledger = open(dir.path(), true);
    let late = close(1 << 93, post, 2);
    assert_eq!(
        create(&ledger, &[late]),
        [Status::PendingTransferAlreadyVoided]
    );
}

#[test]
fn with_or_without_a_history_the_ledger_is_the_same() {
    let dir = folder();
    let ledger = open(dir.path(), true);
    open_accounts(&ledger);
    fill(&ledger, 60);
    let with = ledger.digest().wait().unwrap();
    drop(ledger);
    let ledger = open(dir.path(), false);
    assert_eq!(ledger.digest().wait().unwrap(), with);
    assert_eq!(create(&ledger, &batch(100))[0], Status::Created);
    let without = ledger.digest().wait().unwrap();
    drop(ledger);
    let ledger = open(dir.path(), true);
    assert_eq!(ledger.digest().wait().unwrap(), without);
    assert_eq!(create(&ledger, &batch(0))[0], Status::Exists);
}

#[test]
fn a_damaged_page_stops_the_ledger_before_it_answers_from_it() {
    let dir = folder();
    let ledger = open(dir.path(), true);
    open_accounts(&ledger);
    fill(&ledger, 60);
    assert_eq!(ledger.lookup_transfers(&[3]).wait().unwrap().len(), 1);
    // One bit of every page behind the header.
    let path = files(dir.path(), "seg")[0].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    for page in bytes.chunks_exact_mut(4096).skip(1) {
        page[40] ^= 0x10;
    }
    std::fs::write(&path, bytes).unwrap();
    let result = ledger.lookup_transfers(&[3]).wait();
    assert!(matches!(result, Err(Error::Unknown)), "{result:?}");
    let result = ledger.create_transfers(&batch(500)).wait();
    assert!(matches!(result, Err(Error::Unknown)), "{result:?}");
    drop(ledger);
    let error = Ledger::open(dir.path(), options(true)).err();
    let named = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(named.contains(path.to_str().unwrap()), "{named}");
}

/// Each has a record of the log of its own, a sector at least: 4,096 bytes for 384. A start would
/// have to read ten times as much otherwise.
#[test]
fn payments_one_at_a_time_end_generations_by_what_they_take_of_the_log() {
    let dir = folder();
    let options = Options {
        generation_rows: 2000,
        ..options(true)
    };
    let ledger = Ledger::open(dir.path(), options).unwrap();
    open_accounts(&ledger);
    // A generation has 1 MiB of the log.
    for id in 1..=600 {
        assert_eq!(create(&ledger, &[transfer(id, 0, 0)]), [Status::Created]);
    }
    let start = Instant::now();
    while files(dir.path(), "seg").len() < 2 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "no generation is written"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
