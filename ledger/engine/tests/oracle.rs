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

use giro::Executor;
use giro_core::{Batch, Options, StateMachine};

use differential::{Budget, Maker, Subject, run};

/// An executor, driven as the engine does: sometimes it looks keys up ahead.
struct Threads {
    executor: Executor,
    op: u64,
}

impl Subject for Threads {
    fn create(&mut self, batch: &Batch<'_>, out: &mut [u8]) -> usize {
        self.op += 1;
        if self.op.is_multiple_of(3) {
            self.executor.resolve_ahead(self.op, batch);
        }
        let length = self.executor.execute(self.op, batch, out);
        // The comparison looks ids up.
        self.executor.settle();
        length
    }

    fn expire(&mut self, timestamp: u64) {
        self.op += 1;
        self.executor.expire(timestamp);
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
        let executor = Executor::new(machine, shards, false).expect("threads");
        Box::new(Threads { executor, op: 0 })
    };
    Maker {
        name: format!("{shards} shards on threads of their own"),
        make: Box::new(make),
    }
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
