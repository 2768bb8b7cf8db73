//! A ledger whose history lags behind: writes wait, all else goes on.
#![cfg(not(loom))]

use std::time::Duration;

use giro::{Account, CreateTransferStatus as Status, Error, Ledger, Options, Transfer};

/// What the history rests after each file: two of them a generation.
const REST: Duration = Duration::from_millis(100);
const BATCH: u128 = 100;

fn options(rest: Duration) -> Options {
    Options {
        accounts_max: 1 << 16,
        archive: true,
        generation_rows: 100,
        buffers: 16,
        sessions_max: 16,
        history: giro_store::Options {
            queue_max: 1,
            rest,
            ..giro_store::Options::default()
        },
        ..Options::default()
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn open(rest: Duration) -> (tempfile::TempDir, Ledger) {
    let dir = folder();
    let ledger = Ledger::open(dir.path(), options(rest)).unwrap();
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    };
    let made = ledger.create_accounts(&[account(1), account(2)]).wait();
    assert_eq!(made.unwrap().len(), 2);
    (dir, ledger)
}

fn batch(number: u128) -> Vec<Transfer> {
    let transfer = |id| Transfer {
        id,
        debit_account_id: 1,
        credit_account_id: 2,
        amount: 1,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    };
    (number * BATCH + 1..=(number + 1) * BATCH)
        .map(transfer)
        .collect()
}

/// Many generations' worth of writes, one after the other.
fn write(ledger: &Ledger, batches: u128) {
    for number in 0..batches {
        let results = ledger.create_transfers(&batch(number)).wait().unwrap();
        let created = |status| status == Status::Created;
        assert!(results.iter().all(|result| created(result.status)));
    }
}

#[test]
fn reads_go_on_while_writes_wait_for_the_history() {
    let (_dir, ledger) = open(REST);
    let writer = std::thread::spawn({
        let ledger = ledger.clone();
        move || write(&ledger, 8)
    });
    // Reads that waited for room would be as few as the generations.
    let mut reads = 0;
    while !writer.is_finished() {
        let found = ledger.lookup_accounts(&[1, 2]).wait().unwrap();
        assert_eq!(found.len(), 2);
        reads += 1;
    }
    assert!(reads > 200, "only {reads} reads were answered");
    writer.join().unwrap();
}

#[test]
fn a_stopped_ledger_tells_everybody_who_asks() {
    let (dir, ledger) = open(Duration::ZERO);
    write(&ledger, 12);
    while ledger.lookup_transfers(&[1]).wait().is_ok() {
        for entry in std::fs::read_dir(dir.path().join("history"))
            .unwrap()
            .flatten()
        {
            let path = entry.path();
            let inside: Vec<_> = if path.is_dir() {
                std::fs::read_dir(&path)
                    .unwrap()
                    .flatten()
                    .map(|e| e.path())
                    .collect()
            } else {
                vec![path]
            };
            for file in inside
                .iter()
                .filter(|f| f.extension().is_some_and(|e| e == "seg"))
            {
                let mut bytes = std::fs::read(file).unwrap();
                bytes
                    .chunks_exact_mut(4096)
                    .skip(1)
                    .for_each(|page| page[40] ^= 0x10);
                std::fs::write(file, bytes).unwrap();
            }
        }
    }
    for number in 0..100 {
        let result = ledger.create_transfers(&batch(1000 + number)).wait();
        assert!(matches!(result, Err(Error::Unknown)), "{result:?}");
    }
}

#[test]
fn more_transfers_than_memory_is_to_hold_are_named_when_a_ledger_is_opened() {
    let (dir, ledger) = open(Duration::ZERO);
    write(&ledger, 20);
    drop(ledger);
    let options = Options {
        archive: false,
        transfers_max: 1000,
        ..options(Duration::ZERO)
    };
    let error = Ledger::open(dir.path(), options).map(drop).unwrap_err();
    assert!(matches!(error, Error::Full), "{error}");
}
