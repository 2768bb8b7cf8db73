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

#[test]
fn some_seeds_keep_every_promise() {
    for seed in 100..140 {
        run(seed, Sabotage::None).unwrap_or_else(|violation| panic!("{violation}"));
    }
}

/// Seeds that found something, each the only one of thousands.
fn stays_clean(seed: u64) {
    run(seed, Sabotage::None).unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn a_leader_that_executes_its_own_removal_goes_on() {
    stays_clean(3_000_596);
}

#[test]
fn a_removed_node_runs_until_most_others_know() {
    stays_clean(4_004_459);
    stays_clean(8_005_458);
}

#[test]
fn an_acknowledgement_may_leave_after_another_leader_overwrote_what_it_is_about() {
    stays_clean(5_007_245);
}

#[test]
fn damage_leaves_a_majority_also_behind_a_removal_that_is_under_way() {
    stays_clean(6_003_285);
    stays_clean(7_005_225);
}

#[test]
fn clients_do_not_ask_nodes_that_do_not_answer_again_and_again() {
    stays_clean(50_004_304);
    stays_clean(60_000_178);
    // Removed, and does not know who leads.
    stays_clean(70_001_395);
}

#[test]
fn a_node_that_is_to_join_takes_first_members_that_were_made_anew() {
    stays_clean(230_000_463);
}

#[test]
fn a_group_whose_only_node_that_had_begun_forgot_it_is_made_anew() {
    stays_clean(70_006_557);
}
