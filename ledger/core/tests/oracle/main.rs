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

mod differential;
mod generate;
mod inline;
mod model;
mod request;
mod shrink;

use differential::{Budget, run};

#[test]
fn random_requests_on_one_thread_give_what_the_model_gives() {
    let budget = Budget {
        seed: 1,
        events: 200_000,
        events_per_seed: 4_000,
        is_large: false,
    };
    let makers = [1, 2, 3, 4, 8].map(inline::maker);
    run(budget.or_from_environment(), &makers, |_, _| {});
}
