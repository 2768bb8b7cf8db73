//! The oracle of the state machine (`ledger/core/tests/oracle`) against the executor: large
//! batches, so that threads share the work, on every number of shards.
//!
//! The bounded run is part of `cargo test`. A long one:
//!
//! ```text
//! GIRO_ORACLE_EVENTS=10000000 GIRO_ORACLE_SEED=1 cargo test --release -p giro --test oracle
//! ```
#![cfg(not(loom))]

#[path = "../../core/tests/oracle/differential.rs"]
mod differential;
#[path = "../../core/tests/oracle/generate/mod.rs"]
mod generate;
#[path = "../../core/tests/oracle/model/mod.rs"]
mod model;
#[path = "../../core/tests/oracle/request.rs"]
mod request;
#[path = "../../core/tests/oracle/shrink.rs"]
mod shrink;

use giro::executor::BranchOp;
use giro::{Executor, FeedTurn, Operation, Past};
use giro_core::{Batch, Options, StateMachine};

use giro_log::storage::RealStorage;
use giro_store::{History, Mark};
use zerocopy::IntoBytes;

use differential::{Budget, Maker, Subject, Wanted, run};

/// An executor, driven as the engine does: sometimes it looks keys up or decides ahead.
struct Threads {
    executor: Executor,
    op: u64,
    /// Of the history, if there is one.
    _dir: Option<tempfile::TempDir>,
}

impl Subject for Threads {
    fn create(&mut self, batch: &Batch<'_>, out: &mut [u8]) -> usize {
        self.op += 1;
        if self.op.is_multiple_of(3) {
            self.executor.resolve_ahead(self.op, batch).unwrap();
        }
        if self.op.is_multiple_of(2) {
            self.executor.decide_ahead(self.op, batch).unwrap();
        }
        let length = self.executor.execute(self.op, batch, out).unwrap();
        self.executor
            .turn_over((0, 0), |_| Mark::default())
            .unwrap();
        // The comparison looks ids up.
        self.executor.settle();
        length
    }

    fn branches(
        &mut self,
        operation: Operation,
        timestamp: u64,
        body: &[u8],
        out: &mut [u8],
    ) -> usize {
        self.op += 1;
        let asked = BranchOp::parse(operation, timestamp, body).unwrap();
        if self.op.is_multiple_of(3) {
            self.executor
                .resolve_branches_ahead(self.op, &asked)
                .unwrap();
        }
        if self.op.is_multiple_of(2) {
            self.executor
                .decide_branches_ahead(self.op, &asked)
                .unwrap();
        }
        let length = self
            .executor
            .execute_branches(self.op, &asked, out)
            .unwrap();
        self.executor
            .turn_over((0, 0), |_| Mark::default())
            .unwrap();
        self.executor.settle();
        length
    }

    fn expire(&mut self, timestamp: u64) {
        self.op += 1;
        self.executor.expire(timestamp);
        self.executor
            .turn_over((0, 0), |_| Mark::default())
            .unwrap();
    }

    fn read(&mut self, wanted: &Wanted<'_>, out: &mut [u8]) -> usize {
        let read = match *wanted {
            Wanted::Ids(ids) => return self.lookup(ids, out),
            Wanted::AccountTransfers(filter, max) => {
                self.executor.account_transfers(filter, max, out)
            }
            Wanted::QueryTransfers(filter, max) => self.executor.query_transfers(filter, max, out),
            Wanted::Changes(kind, filter, max) => {
                self.executor.change_events(kind, filter, max, out)
            }
        };
        read.unwrap()
    }

    fn machine(&self) -> &StateMachine {
        self.executor.machine()
    }
}

fn maker(shards: u32) -> Maker {
    let make = move || -> Box<dyn Subject> {
        let options = Options {
            shards,
            hash_key: [u64::from(shards), 7],
            accounts_max: 1 << 18,
            transfers_max: 1 << 21,
            ..Options::default()
        };
        let machine = StateMachine::new(&options).expect("address space");
        let executor = Executor::new(machine, None, shards, false).expect("threads");
        Box::new(Threads {
            executor,
            op: 0,
            _dir: None,
        })
    };
    Maker {
        name: format!("{shards} shards on threads of their own"),
        make: Box::new(make),
    }
}

/// The same with a history on disk, to which generations of about `rows` transfers go.
fn maker_with_history(shards: u32, rows: usize) -> Maker {
    let make = move || -> Box<dyn Subject> {
        let hash_key = [u64::from(shards), 9];
        let options = Options {
            shards,
            hash_key,
            accounts_max: 1 << 18,
            transfers_max: rows + (1 << 14),
            is_archived: true,
            ..Options::default()
        };
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        History::create(&RealStorage, dir.path()).unwrap();
        let identity = giro_store::Identity {
            cluster: 0,
            hash_key,
        };
        let storage = std::sync::Arc::new(RealStorage);
        let history = History::open(
            storage,
            dir.path(),
            identity,
            giro_store::Options::default(),
        );
        let past = Past::new(history.unwrap(), hash_key, Some(rows)).expect("threads");
        let machine = StateMachine::new(&options).expect("address space");
        let mut executor = Executor::new(machine, Some(past), shards, false).expect("threads");
        // With generations of a few rows a turn's pages would not do for an answer.
        executor.set_feed_turn(FeedTurn {
            pages: 1 << 20,
            changes: 1 << 20,
        });
        Box::new(Threads {
            executor,
            op: 0,
            _dir: Some(dir),
        })
    };
    Maker {
        name: format!("{shards} shards with generations of {rows} rows on disk"),
        make: Box::new(make),
    }
}

/// Repeats, second phases and queries of what left memory long ago, in segments and merged runs.
#[test]
fn random_requests_with_a_history_on_disk_give_what_the_model_gives() {
    let budget = Budget {
        seed: 1,
        events: 20_000,
        events_per_seed: 5_000,
        is_large: false,
    };
    let makers = [(1, 20), (2, 100), (1, 1000)].map(|(s, rows)| maker_with_history(s, rows));
    run(budget.or_from_environment(), &makers, |_, _| {});
}

#[test]
fn random_requests_on_threads_give_what_the_model_gives() {
    let budget = Budget {
        seed: 1,
        events: 200_000,
        events_per_seed: 20_000,
        is_large: true,
    };
    let makers = [1, 2, 3, 4, 8].map(maker);
    let mut expired = 0;
    run(budget.or_from_environment(), &makers, |_, answer| {
        expired += answer.expired;
    });
    assert!(expired > 0, "some pending transfers expire");
}

impl Threads {
    fn lookup(&mut self, ids: &[u8], out: &mut [u8]) -> usize {
        let ids = ids.as_chunks::<16>().0;
        let ids: Vec<u128> = ids.iter().map(|id| u128::from_le_bytes(*id)).collect();
        let found = self.executor.transfers(&ids).unwrap();
        let rows = out.chunks_exact_mut(128).zip(found.iter().flatten());
        rows.map(|(row, found)| row.copy_from_slice(found.as_bytes()))
            .count()
    }
}
