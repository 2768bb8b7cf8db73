//! The oracle: an independent model of the state machine, and its comparison with the engine.
//!
//! [`model`] is written from the specification (`docs/reference/state-machine.md`) and shares
//! nothing with the engine but the record layouts. [`generate`] makes random requests,
//! [`differential`] sends them to both, [`shrink`] makes a difference small.
//!
//! The bounded run is part of `cargo test`. A long one:
//!
//! ```text
//! GIRO_ORACLE_EVENTS=10000000 GIRO_ORACLE_SEED=1 cargo test --release -p giro-core --test oracle
//! ```

mod archived;
mod corner_cases;
mod coverage;
mod differential;
mod digest_examples;
mod generate;
mod inline;
mod model;
mod request;
mod shrink;

use std::collections::BTreeSet;

use giro_base::{CreateAccountStatus, CreateTransferStatus};
use strum::IntoEnumIterator;

use coverage::{Coverage, FEATURES};
use differential::{Budget, run};

#[test]
fn random_requests_on_one_thread_give_what_the_model_gives() {
    let budget = Budget {
        seed: 1,
        events: 400_000,
        events_per_seed: 2_000,
        is_large: false,
    };
    let makers = [1, 2, 3, 4, 8].map(inline::maker);
    run(budget.or_from_environment(), &makers, |_, _| {});
}

/// Generations of a few rows leave memory after a few more: repeats, posts and expiries of what is
/// long gone get the same answers.
#[test]
fn random_requests_whose_past_has_left_memory_give_what_the_model_gives() {
    let budget = Budget {
        seed: 1,
        events: 150_000,
        events_per_seed: 2_000,
        is_large: false,
    };
    let makers = [(1, 1), (1, 30), (3, 7), (4, 300)].map(|(s, rows)| archived::maker(s, rows));
    run(budget.or_from_environment(), &makers, |_, _| {});
}

/// No status is out of reach: those that the protocol has retired (transfers: 0 and 18; accounts:
/// 0) are not in the enums. `overflows_timeout` needs a clock near the end of time, which one
/// seed in four has.
#[test]
fn random_requests_reach_every_status_and_feature() {
    let budget = Budget {
        seed: 1,
        events: 400_000,
        events_per_seed: 2_000,
        is_large: false,
    };
    let mut seen = Coverage::default();
    run(budget, &[], |request, answer| seen.add(request, answer));
    println!("{seen:#?}");

    let reached: BTreeSet<u32> = seen.accounts.keys().copied().collect();
    let all: BTreeSet<u32> = CreateAccountStatus::iter().map(Into::into).collect();
    assert_eq!(reached, all, "statuses of accounts");
    let reached: BTreeSet<u32> = seen.transfers.keys().copied().collect();
    let all: BTreeSet<u32> = CreateTransferStatus::iter().map(Into::into).collect();
    assert_eq!(reached, all, "statuses of transfers");
    // Requests too large, and too many open branches, are beyond what is random.
    let cells = [
        ("try_branches", &[1, 2, 3, 4, 5, 6, 8, 13][..]),
        ("confirm_branches", &[1, 2, 5, 6, 8, 9, 10, 11, 12, 13]),
        ("cancel_branches", &[1, 2, 7, 13]),
    ];
    for (operation, statuses) in cells {
        let reached = seen.branches.keys();
        let reached = reached.filter(|(of, _)| *of == operation);
        let reached: Vec<u16> = reached.map(|(_, status)| *status).collect();
        assert_eq!(reached, statuses, "statuses of {operation}");
    }
    for feature in FEATURES {
        assert!(seen.features[feature] >= 100, "too little of {feature}");
    }
}
