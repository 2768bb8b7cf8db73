//! Rules broken on purpose: the auditor must find each, or it could find nothing.

use giro_sim::{Sabotage, Violation, run, run_replaced_leader};

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
    // A node alone sends nothing; there it is the reply that breaks a promise.
    let found: Vec<_> = (1..=20)
        .filter_map(|seed| run(seed, Sabotage::EarlyPersist).err())
        .collect();
    let breaks = |oracle| found.iter().any(|v| v.what.starts_with(oracle));
    assert!(breaks("(h)") && breaks("(a)"));
}

#[test]
fn the_auditor_finds_an_acknowledgement_of_what_only_another_entry_is_durable_for() {
    finds(Sabotage::EarlyOverwrite, 200, &["(h)"]);
}

#[test]
fn the_auditor_finds_records_that_are_lost_before_they_are_executed() {
    let mut seeds = 1..=60;
    let is_found = seeds.any(|seed| {
        let found = run(seed, Sabotage::LostRecords).err();
        found.is_some_and(|violation| violation.what.contains("it had durably"))
    });
    assert!(is_found);
}

#[test]
fn the_auditor_finds_a_reply_before_the_quorum() {
    finds(Sabotage::EarlyReply, 20, &["(a)"]);
}

#[test]
fn the_auditor_finds_a_reply_before_the_gates_replica_has_it() {
    finds(Sabotage::UngatedReply, 20, &["(i)"]);
}

#[test]
fn the_auditor_finds_a_reply_sent_again_before_the_gates_replica_has_it() {
    finds(Sabotage::UngatedResend, 40, &["(i)"]);
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

#[test]
fn the_auditor_finds_a_term_with_two_leaders() {
    finds(Sabotage::ForgedVotes, 60, &["(b)"]);
}

#[test]
fn the_auditor_finds_an_entry_that_was_changed_on_its_way() {
    finds(Sabotage::ChangedEntry, 20, &["(c)"]);
}

#[test]
fn the_auditor_finds_a_committed_entry_that_changed() {
    finds(Sabotage::ChangedCommit, 20, &["(d)"]);
}

#[test]
fn the_auditor_finds_a_node_that_was_made_anew_and_takes_part() {
    finds(Sabotage::NoRoll, 200, &["(j)"]);
}

#[test]
fn the_auditor_or_checker_finds_a_stale_read() {
    for seed in 1..=5 {
        let violation = run_replaced_leader(seed, Sabotage::StaleRead).unwrap_err();
        assert!(violation.what.starts_with("(g) client"), "{violation}");
    }
}

#[test]
fn a_replaced_leader_answers_no_read() {
    for seed in 1..=5 {
        let report = run_replaced_leader(seed, Sabotage::None);
        let report = report.unwrap_or_else(|violation| panic!("{violation}"));
        assert!(report.requests > 20, "{report:?}");
    }
}
