//! Copies of a running ledger: consistent, with everything that was acknowledged before.
#![cfg(not(loom))]

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use giro::backup::{BackupError, copy};
use giro::{Account, CreateTransferStatus as Status, Engine, Ledger, Options, Transfer};
use giro_core::Digest;
use giro_log::{Identity, SEGMENT_BYTES_MIN};

const BATCH: u128 = 40;

fn options(archive: bool) -> Options {
    Options {
        accounts_max: 1 << 16,
        transfers_max: 1 << 20,
        archive,
        generation_rows: 500,
        buffers: 16,
        sessions_max: 16,
        ..Options::default()
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn open(dir: &Path, archive: bool) -> Ledger {
    let identity = Identity {
        cluster: 5,
        replica: 0,
        replica_count: 1,
        incarnation: 0,
        hash_key: [1, 2],
        // So that the log outlasts the copying of it.
        segment_bytes: 4 * SEGMENT_BYTES_MIN,
    };
    giro_log::format(dir, &identity).unwrap();
    let ledger = Ledger::open(dir, options(archive)).unwrap();
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    };
    let made = ledger.create_accounts(&[account(1), account(2)]).wait();
    assert_eq!(made.unwrap().len(), 2);
    ledger
}

fn pay(ledger: &Ledger, number: u128) {
    let transfer = |id| Transfer {
        id,
        debit_account_id: 1,
        credit_account_id: 2,
        amount: id,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    };
    let ids = number * BATCH + 1..=(number + 1) * BATCH;
    let transfers: Vec<_> = ids.map(transfer).collect();
    let results = ledger.create_transfers(&transfers).wait().unwrap();
    assert!(
        results
            .iter()
            .all(|result| result.status == Status::Created)
    );
}

/// Pays until told to stop, and notes the digest after each op.
struct Payer {
    seen: Arc<Mutex<HashMap<u64, Digest>>>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u128>,
}

impl Payer {
    fn start(ledger: &Ledger, from: u128) -> Self {
        let (seen, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (ledger, seen, stop) = (ledger.clone(), Arc::clone(&seen), Arc::clone(&stop));
            move || {
                let seen: &Mutex<HashMap<u64, Digest>> = &seen;
                let mut number = from;
                while !stop.load(Ordering::Relaxed) {
                    pay(&ledger, number);
                    let (digest, op) = ledger.digest().wait().unwrap();
                    seen.lock().unwrap().insert(op, digest);
                    number += 1;
                }
                number
            }
        });
        Self { seen, stop, thread }
    }

    fn stop(self) -> (HashMap<u64, Digest>, u128) {
        self.stop.store(true, Ordering::Relaxed);
        let number = self.thread.join().unwrap();
        let seen = self.seen.lock().unwrap().clone();
        (seen, number)
    }
}

fn copies_of_a_running_ledger(archive: bool) {
    let (dir, copies) = (folder(), folder());
    let ledger = open(dir.path(), archive);
    let mut next = 0;
    for round in 0..4_u128 {
        let payer = Payer::start(&ledger, next);
        // Some time passes before the first copy, and generations with it.
        let target = 2 + (round as u64) * 60;
        while ledger.digest().wait().unwrap().1 < target {
            std::thread::yield_now();
        }
        let before = ledger.digest().wait().unwrap().1;
        let to = copies.path().join(round.to_string());
        let copied = copy(dir.path(), &to, &options(archive), &mut |_| {}).unwrap();
        let (seen, number) = payer.stop();
        next = number;
        assert!(copied.op >= before, "{} of {before} ops", copied.op);
        if let Some(digest) = seen.get(&copied.op) {
            assert_eq!(copied.digest, *digest, "op {}", copied.op);
        }
        // It is a ledger of its own, and goes on.
        let restored = copies.path().join(format!("{round}-restored"));
        let again = copy(&to, &restored, &options(archive), &mut |_| {}).unwrap();
        assert_eq!((again.op, again.digest), (copied.op, copied.digest));
        let other = Ledger::open(&restored, options(archive)).unwrap();
        assert_eq!(other.digest().wait().unwrap(), (copied.digest, copied.op));
        pay(&other, 1_000_000);
        drop(other);
        let verified = giro::verify::verify(&restored, &options(archive), &mut |_| {}).unwrap();
        assert_eq!(verified.engine.commit_op(), copied.op + 1);
        assert!(archive || verified.history.is_none());
    }
}

#[test]
fn a_copy_of_a_running_ledger_is_whole() {
    copies_of_a_running_ledger(true);
}

#[test]
fn a_ledger_that_is_all_in_memory_can_be_copied_too() {
    copies_of_a_running_ledger(false);
}

#[test]
fn a_copy_opens_with_the_options_of_the_ledger() {
    let (dir, copies) = (folder(), folder());
    let ledger = open(dir.path(), false);
    for number in 0..400 {
        pay(&ledger, number);
    }
    let stands = ledger.digest().wait().unwrap();
    drop(ledger);
    let (log, kept) = (dir.path().join("log"), copies.path().join("log"));
    copy_files(&log, &kept);
    drop(Ledger::open(dir.path(), options(true)).unwrap());
    // As a process leaves it that ends between a checkpoint and giving up the log before it.
    std::fs::remove_dir_all(&log).unwrap();
    copy_files(&kept, &log);
    // Now it leaves its history alone.
    let ledger = Ledger::open(dir.path(), options(false)).unwrap();
    assert_eq!(ledger.digest().wait().unwrap(), stands);
    let to = copies.path().join("copy");
    copy(dir.path(), &to, &options(false), &mut |_| {}).unwrap();
    let other = Ledger::open(&to, options(false)).unwrap();
    assert_eq!(other.digest().wait().unwrap(), stands);
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn a_directory_that_is_not_empty_is_left_alone() {
    let (dir, to) = (folder(), folder());
    let ledger = open(dir.path(), true);
    pay(&ledger, 0);
    std::fs::write(to.path().join("precious"), "yes").unwrap();
    let error = copy(dir.path(), to.path(), &options(true), &mut |_| {}).unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty { .. }), "{error}");
    assert!(
        error.to_string().contains(to.path().to_str().unwrap()),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 1);
}

#[test]
fn damage_is_not_copied() {
    let (dir, to) = (folder(), folder());
    let ledger = open(dir.path(), true);
    for number in 0..60 {
        pay(&ledger, number);
    }
    drop(ledger);
    let path = dir.path().join("history/0000000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5 * 4096 + 9] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let to = to.path().join("copy");
    let error = copy(dir.path(), &to, &options(true), &mut |_| {}).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains(path.to_str().unwrap()) && said.contains("20480"),
        "{said}"
    );
    // What there is of the copy is no ledger.
    assert!(Engine::replay_only(&to, &options(true), &mut |_| {}).is_err());
}
