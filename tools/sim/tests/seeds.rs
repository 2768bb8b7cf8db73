//! Whole runs.

use giro_sim::{Sabotage, run};

#[test]
fn the_same_seed_runs_twice_in_the_same_way() {
    for seed in 1..=6 {
        let first = run(seed, Sabotage::None).unwrap();
        assert_eq!(run(seed, Sabotage::None).unwrap(), first);
        assert!(first.requests > 10, "{first:?}");
    }
}

#[test]
fn other_seeds_run_in_other_ways() {
    let first = run(1, Sabotage::None).unwrap();
    let second = run(2, Sabotage::None).unwrap();
    assert_ne!(first.hash, second.hash);
}

/// A single voter's group grew by a node that could not use the checkpoint it was offered.
#[test]
fn seed_8_a_node_joins_behind_the_checkpoint() {
    run(8, Sabotage::None).unwrap();
}

/// A node campaigned while a checkpoint was being installed.
#[test]
fn seed_22_a_campaign_during_an_installation() {
    run(22, Sabotage::None).unwrap();
}

/// A learner that had everything was taken for one that has nothing.
#[test]
fn seed_1437_a_learner_that_is_probed_is_promoted() {
    run(1437, Sabotage::None).unwrap();
}
