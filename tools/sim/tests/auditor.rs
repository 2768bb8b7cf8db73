//! Rules broken on purpose: the auditor must find each, or it could find nothing.

use giro_sim::{Sabotage, Violation, run};

/// The first violation over some seeds.
fn found(sabotage: Sabotage, seeds: u64) -> Box<Violation> {
    let violation = (1..=seeds).find_map(|seed| run(seed, sabotage).err());
    violation.unwrap_or_else(|| panic!("{sabotage:?} is not found in {seeds} seeds"))
}

fn finds(sabotage: Sabotage, seeds: u64, oracles: &[&str]) {
    let violation = found(sabotage, seeds);
    let what = &violation.what;
    let known = oracles.iter().any(|oracle| what.starts_with(oracle));
    assert!(known, "{sabotage:?} is found, but as: {violation}");
    assert!(!violation.trace.is_empty());
}

#[test]
fn the_auditor_finds_a_write_that_was_not_durable() {
    finds(Sabotage::EarlyPersist, 20, &["(h)"]);
}

#[test]
fn the_auditor_finds_a_reply_before_the_quorum() {
    finds(Sabotage::EarlyReply, 20, &["(a)"]);
}

#[test]
fn the_auditor_finds_a_forgotten_vote() {
    finds(Sabotage::ForgetVote, 40, &["(f)", "node"]);
}

#[test]
fn the_auditor_finds_a_log_that_forgets() {
    finds(Sabotage::ForgetTail, 40, &["(f)", "node"]);
}

#[test]
fn the_auditor_finds_a_request_executed_twice() {
    finds(Sabotage::NoSessions, 60, &["(g) one request is both"]);
}

#[test]
fn the_checker_finds_a_read_of_the_past() {
    finds(Sabotage::StaleRead, 400, &["(g) client"]);
}

#[test]
fn the_auditor_finds_a_state_that_differs() {
    finds(Sabotage::WrongState, 20, &["(e)"]);
}

#[test]
fn a_group_that_counts_no_disk_does_not_live() {
    finds(Sabotage::NeverPersist, 5, &["liveness"]);
}
