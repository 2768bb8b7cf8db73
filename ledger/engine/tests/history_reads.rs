//! Balances and transfers of accounts, from an executor whose rows are in memory and on disk and
//! from one that keeps all in memory: the same answers to any filter.
#![cfg(not(loom))]

#[allow(dead_code)]
#[path = "../../core/tests/oracle/differential.rs"]
mod differential;
#[path = "../../core/tests/oracle/generate/mod.rs"]
mod generate;
#[allow(dead_code)]
#[path = "../../core/tests/oracle/model/mod.rs"]
mod model;
#[path = "../../core/tests/oracle/request.rs"]
mod request;
#[allow(dead_code)]
#[path = "../../core/tests/oracle/shrink.rs"]
mod shrink;

use std::sync::Arc;

use giro::executor::BranchOp;
use giro::{AccountFlags, Executor, Past};
use giro_base::Operation;
use giro_base::filter::AccountFilter;
use giro_core::{Batch, Options, StateMachine};
use giro_log::storage::RealStorage;
use giro_store::{History, Mark};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zerocopy::{FromZeros, IntoBytes};

use generate::Generator;
use model::Model;
use request::{Action, Request, body};

const KEY: [u64; 2] = [3, 4];

fn executor(dir: Option<&std::path::Path>, shards: u32, rows: usize) -> Executor {
    let options = Options {
        shards,
        hash_key: KEY,
        accounts_max: 1 << 16,
        transfers_max: if dir.is_some() {
            rows + (1 << 14)
        } else {
            1 << 18
        },
        is_archived: dir.is_some(),
        ..Options::default()
    };
    let past = dir.map(|dir| {
        History::create(&RealStorage, dir).unwrap();
        let identity = giro_store::Identity {
            cluster: 0,
            hash_key: KEY,
        };
        let options = giro_store::Options::default();
        let history = History::open(Arc::new(RealStorage), dir, identity, options).unwrap();
        Past::new(history, KEY, Some(rows)).unwrap()
    });
    Executor::new(StateMachine::new(&options).unwrap(), past, shards, false).unwrap()
}

fn create(executor: &mut Executor, op: u64, request: &Request, out: &mut [u8]) -> Option<usize> {
    let (operation, body): (Operation, Vec<u8>) = match &request.action {
        Action::CreateAccounts(form, batches) => (form.accounts(), body(*form, batches)),
        Action::CreateTransfers(form, batches) => (form.transfers(), body(*form, batches)),
        Action::Branches(asked) => {
            let body = asked.body();
            let asked = BranchOp::parse(asked.operation(), request.timestamp, &body).unwrap();
            let length = executor.execute_branches(op, &asked, out).unwrap();
            executor.turn_over((0, 0), |_| Mark::default()).unwrap();
            return Some(length);
        }
        Action::Pulse => {
            executor.expire(request.timestamp);
            executor.turn_over((0, 0), |_| Mark::default()).unwrap();
            return Some(0);
        }
        _ => return None,
    };
    let mut aligned = vec![0_u128; body.len().div_ceil(16)];
    let bytes = &mut aligned.as_mut_bytes()[..body.len()];
    bytes.copy_from_slice(&body);
    let batch = Batch::parse(operation, request.timestamp, bytes).unwrap();
    if op.is_multiple_of(3) {
        executor.resolve_ahead(op, &batch).unwrap();
        // As `flush` does while the write is in flight.
        std::thread::sleep(std::time::Duration::from_micros(300));
        executor.keep_up().unwrap();
    }
    let length = executor.execute(op, &batch, out).unwrap();
    // Before its ids are in the indexes.
    executor.keep_up().unwrap();
    executor.turn_over((0, 0), |_| Mark::default()).unwrap();
    Some(length)
}

fn filter(rng: &mut ChaCha8Rng, account_id: u128, times: &[u64]) -> AccountFilter {
    let mut filter = AccountFilter::new_zeroed();
    let time = |rng: &mut ChaCha8Rng| match rng.random_range(0..3) {
        0 if !times.is_empty() => times[rng.random_range(0..times.len())],
        _ => 0,
    };
    filter.account_id = account_id;
    filter.timestamp_min = time(rng);
    filter.timestamp_max = time(rng);
    filter.limit = [1, 3, 20, 1000][rng.random_range(0..4)];
    filter.flags = rng.random_range(1..8);
    filter
}

#[test]
fn balances_across_memory_and_history_are_what_memory_alone_gives() {
    let (mut rows_seen, mut events) = (0, 0);
    for seed in 1..=14_u64 {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let rows = [20, 60, 500][seed as usize % 3];
        let mut plain = executor(None, 1, rows);
        let mut archived = executor(Some(dir.path()), 1 + (seed % 3) as u32, rows);
        // Large batches are shared by threads, and their ids enter the indexes late.
        let is_large = seed % 2 == 0;
        let target = events + if is_large { 20_000 } else { 2_000 };
        let mut generator = Generator::new(seed, is_large);
        let mut model = Model::default();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut out = [vec![0_u8; 1 << 20], vec![0_u8; 1 << 20]];
        let mut op = 0;
        while events < target {
            let request = generator.next(model.state());
            let answer = model.execute(&request);
            events += request.event_count().max(1);
            op += 1;
            let [a, b] = &mut out;
            let lengths = [
                create(&mut plain, op, &request, a),
                create(&mut archived, op, &request, b),
            ];
            let Some(length) = lengths[0] else {
                op -= 1;
                continue;
            };
            assert_eq!(lengths[0], lengths[1]);
            assert_eq!(a[..length], b[..length], "seed {seed} op {op}");
            let is_pulse = matches!(request.action, Action::Pulse);
            assert!(is_pulse || a[..length] == answer.reply[..]);
            let state = model.state();
            let times: Vec<u64> = state.transfer_times().keys().copied().collect();
            let accounts: Vec<u128> = state.account_times().values().copied().collect();
            let with_history =
                |id: &u128| state.account(*id).unwrap().flags & AccountFlags::HISTORY != 0;
            let accounts: Vec<u128> = accounts.into_iter().filter(with_history).collect();
            if accounts.is_empty() {
                continue;
            }
            for _ in 0..3 {
                let id = accounts[rng.random_range(0..accounts.len())];
                let filter = filter(&mut rng, id, &times);
                let bytes = filter.as_bytes();
                let counts = [
                    plain.account_balances(bytes, 8189, a).unwrap(),
                    archived.account_balances(bytes, 8189, b).unwrap(),
                ];
                assert_eq!(counts[0], counts[1], "seed {seed} op {op} {filter:?}");
                let end = counts[0] * 128;
                assert!(a[..end] == b[..end], "seed {seed} op {op} {filter:?}");
                rows_seen += counts[0];
                let counts = [
                    plain.account_transfers(bytes, 8189, a).unwrap(),
                    archived.account_transfers(bytes, 8189, b).unwrap(),
                ];
                assert_eq!(counts[0], counts[1], "seed {seed} op {op} {filter:?}");
                let end = counts[0] * 128;
                assert!(a[..end] == b[..end], "seed {seed} op {op} {filter:?}");
            }
        }
    }
    assert!(rows_seen > 1000, "only {rows_seen} balances were compared");
}
