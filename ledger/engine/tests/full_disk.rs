//! A history whose disk is full, or slow: what can go on does, and what cannot says so.
#![cfg(not(loom))]

#[allow(dead_code)]
#[path = "../../store/tests/support/faults.rs"]
mod faults;

use std::sync::Arc;
use std::time::{Duration, Instant};

use giro::{Account, Executor, Past, Transfer};
use giro_base::Operation;
use giro_base::multi_batch::{trailer_bytes, write_trailer};
use giro_core::{Batch, Options, StateMachine};
use giro_log::storage::RealStorage;
use giro_store::History;
use zerocopy::{Immutable, IntoBytes};

use faults::Faults;

const KEY: [u64; 2] = [5, 6];
const ROWS: usize = 50;

struct Bench {
    executor: Executor,
    faults: Faults,
    op: u64,
    out: Vec<u8>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with(giro_store::Options::default())
    }

    fn with(options: giro_store::Options) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let faults = Faults::new();
        History::create(&RealStorage, dir.path()).unwrap();
        let identity = giro_store::Identity {
            cluster: 0,
            hash_key: KEY,
        };
        let storage = Arc::new(faults.clone());
        let history = History::open(storage, dir.path(), identity, options).unwrap();
        let past = Past::new(history, KEY, Some(ROWS)).unwrap();
        let options = Options {
            hash_key: KEY,
            accounts_max: 1 << 10,
            transfers_max: ROWS + (1 << 14),
            is_archived: true,
            ..Options::default()
        };
        let machine = StateMachine::new(&options).unwrap();
        let mut bench = Self {
            executor: Executor::new(machine, Some(past), 1, false).unwrap(),
            faults,
            op: 0,
            out: vec![0; 1 << 20],
            _dir: dir,
        };
        let account = |id| Account {
            id,
            ledger: 1,
            code: 1,
            ..Account::default()
        };
        bench.create(Operation::CreateAccounts, &[account(1), account(2)]);
        bench
    }

    fn create<E: IntoBytes + Immutable>(&mut self, operation: Operation, events: &[E]) {
        let payload = events.as_bytes();
        let bytes = payload.len() + trailer_bytes(1, size_of::<E>());
        let mut aligned = vec![0_u128; bytes.div_ceil(16)];
        let body = &mut aligned.as_mut_bytes()[..bytes];
        body[..payload.len()].copy_from_slice(payload);
        write_trailer(
            body,
            payload.len(),
            size_of::<E>(),
            [events.len()].into_iter(),
        );
        self.op += 1;
        let batch = Batch::parse(operation, self.op * 10_000, body).unwrap();
        self.executor
            .execute(self.op, &batch, &mut self.out)
            .unwrap();
        let mark = |_| giro_store::Mark::default();
        self.executor.turn_over((0, bytes), mark).unwrap();
    }

    /// A generation's worth of transfers.
    fn generation(&mut self, number: u128) {
        let ids = number * ROWS as u128 + 1..=(number + 1) * ROWS as u128;
        let transfer = |id| Transfer {
            id,
            debit_account_id: 1,
            credit_account_id: 2,
            amount: 1,
            ledger: 1,
            code: 1,
            ..Transfer::default()
        };
        let transfers: Vec<_> = ids.map(transfer).collect();
        self.create(Operation::CreateTransfers, &transfers);
    }
}

#[test]
fn catching_up_on_a_full_disk_fails_instead_of_waiting_for_ever() {
    let mut bench = Bench::new();
    bench.faults.set_free(0);
    (0..10).for_each(|number| bench.generation(number));
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let error = bench.executor.catch_up().unwrap_err();
        done.send(error.to_string()).unwrap();
    });
    let error = is_done.recv_timeout(Duration::from_secs(10));
    assert!(error.expect("it waits").contains("no room"));
}

#[test]
fn a_start_does_not_wait_for_the_history_to_write_what_was_in_memory_before() {
    let mut bench = Bench::with(giro_store::Options {
        rest: Duration::from_secs(3600),
        ..giro_store::Options::default()
    });
    (0..4).for_each(|number| bench.generation(number));
    assert!(bench.executor.is_behind(), "requests would wait");
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        done.send(bench.executor.catch_up().is_ok()).unwrap();
        // The history's thread rests for an hour, and would be waited for.
        std::mem::forget(bench);
    });
    let caught_up = is_done.recv_timeout(Duration::from_secs(10));
    assert!(caught_up.expect("it waits"));
}

#[test]
fn what_was_executed_on_a_full_disk_is_kept_and_goes_to_disk_when_there_is_room() {
    let mut bench = Bench::new();
    bench.faults.set_free(0);
    (0..8).for_each(|number| bench.generation(number));
    assert!(bench.executor.is_behind());
    wait_for(|| {
        bench.executor.keep_up().unwrap();
        bench.executor.is_starved()
    });
    let ids = [1, 120, 400];
    let found = |bench: &mut Bench| {
        let found = bench.executor.transfers(&ids).unwrap();
        found.iter().flatten().map(|t| t.id).collect::<Vec<_>>()
    };
    assert_eq!(found(&mut bench), ids);
    bench.faults.set_free(u64::MAX);
    wait_for(|| {
        bench.executor.keep_up().unwrap();
        !bench.executor.is_behind()
    });
    assert!(!bench.executor.is_starved());
    assert!(bench.executor.machine().tables().window.first_row() > 0);
    assert_eq!(found(&mut bench), ids);
}

fn wait_for(mut happens: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happens() {
        let waits = start.elapsed() < Duration::from_secs(20);
        assert!(waits, "it does not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}
