//! A ledger that lost the newest piece of its checkpoint, and what becomes of the files behind it.
#![cfg(not(loom))]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use giro::{Account, Ledger, Options, Transfer};
use giro_log::{Identity, SEGMENT_BYTES_MIN};

/// Transfers of a request: several fill a segment of the log.
const BATCH: u128 = 2000;
const TIME: Duration = Duration::from_secs(20);

fn options() -> Options {
    Options {
        accounts_max: 1 << 16,
        archive: true,
        // A generation takes some segments of the log.
        generation_rows: 40_000,
        buffers: 16,
        sessions_max: 16,
        ..Options::default()
    }
}

/// All files below a directory, with their lengths.
fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = path.metadata().unwrap().len();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

fn pay(ledger: &Ledger, number: u128) {
    let transfer = |id| Transfer {
        id,
        debit_account_id: 1,
        credit_account_id: 2,
        amount: 1,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    };
    let ids = number * BATCH + 1..=(number + 1) * BATCH;
    let transfers: Vec<_> = ids.map(transfer).collect();
    ledger.create_transfers(&transfers).wait().unwrap();
}

fn begun() -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let identity = Identity {
        cluster: 5,
        replica: 0,
        replica_count: 1,
        incarnation: 0,
        hash_key: [1, 2],
        segment_bytes: SEGMENT_BYTES_MIN,
    };
    giro_log::format(dir.path(), &identity).unwrap();
    let ledger = Ledger::open(dir.path(), options()).unwrap();
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

#[test]
fn a_history_that_cannot_be_listed_is_not_taken_for_none() {
    let (dir, ledger) = begun();
    pay(&ledger, 0);
    drop(ledger);
    let verify = || giro::verify::verify(dir.path(), &options(), &mut |_| {});
    assert!(
        verify().unwrap().history.is_none(),
        "nothing is on disk yet"
    );
    let pieces = dir.path().join("history/checkpoints");
    std::fs::remove_dir(&pieces).unwrap();
    std::fs::write(&pieces, "no directory").unwrap();
    let error = verify().err().expect("the directory cannot be listed");
    let said = error.to_string();
    assert!(said.contains(pieces.to_str().unwrap()), "{said}");
}

#[test]
fn without_the_log_that_makes_it_again_no_generation_is_removed() {
    let (dir, ledger) = begun();
    let first = dir.path().join("log/0000000000000001.log");
    let start = Instant::now();
    let mut number = 0;
    while first.exists() {
        assert!(start.elapsed() < TIME, "no segment is released");
        pay(&ledger, number);
        number += 1;
    }
    drop(ledger);
    // Segments and runs now look like those that a crash cut short. The newest piece alone may not
    // be the one that let the log's segment go.
    for (piece, _) in files(&dir.path().join("history/checkpoints")) {
        std::fs::remove_file(piece).unwrap();
    }
    let before = files(&dir.path().join("history"));
    let error = Ledger::open(dir.path(), options()).err();
    let said = error.expect("its log has a part only").to_string();
    // Of pieces that were merged the log is not asked: too much would have to be made again.
    let is_named = said.contains(".log") || said.contains("piece of generation 0");
    assert!(is_named, "{said}");
    assert_eq!(files(&dir.path().join("history")), before);
}
