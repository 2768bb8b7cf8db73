//! `giro bench run`: its targets, its workloads on them, kills at the peak and the search for it.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use giro_driver::report::Report;
use giro_driver::workload::JobKind;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Said, await_lines, folder, giro};

/// A run that has to succeed, and its report.
fn bench(line: &str) -> Report {
    let dir = folder();
    let said = run(dir.path(), line);
    assert!(said.succeeded, "{line}: {said:?}");
    let json = std::fs::read(dir.path().join("report.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

fn run(dir: &Path, line: &str) -> Said {
    Said::from(command(dir, line).output().unwrap())
}

fn command(dir: &Path, line: &str) -> Command {
    let line = format!("bench run {line} --accounts 50 --warm-up 0 --prefault-mib 1");
    let mut command = giro(&line.split_whitespace().collect::<Vec<_>>());
    command.arg("--dir").arg(dir);
    command.arg("--out").arg(dir.join("report"));
    command
}

fn is_whole(report: &Report) {
    let (figures, audit) = (
        report.figures.as_ref().unwrap(),
        report.audit.as_ref().unwrap(),
    );
    assert!(figures.served > 0 && figures.errors == 0, "{figures:?}");
    assert_eq!((audit.accounts, audit.looked_up), (50, audit.acknowledged));
    assert!(audit.acknowledged > 0, "{audit:?}");
}

#[test]
fn the_http_port_does_the_same_work() {
    for line in [
        "transfers --target http --rate 2000 --batch 20 --seconds 1 --pending 0.2 --rejected 0.1",
        "tcc --target http --rate 500 --batch 10 --seconds 1 --late 0.1 --cancelled 0.2 \
         --repeated 0.2",
        "read-mix --target http --rate 500 --batch 5 --seconds 1 --reads 0.5",
    ] {
        let report = bench(line);
        is_whole(&report);
        assert_eq!(report.target, "http");
    }
}

#[test]
fn reads_and_writes_mix_on_every_target_of_giro() {
    for target in ["giro", "library"] {
        let line = format!(
            "read-mix --target {target} --rate 2000 --batch 5 --seconds 1.5 --reads 0.6 --payments \
             0.2 --random-ids"
        );
        let report = bench(&line);
        is_whole(&report);
        let figures = report.figures.unwrap();
        let kinds: Vec<JobKind> = figures.kinds.iter().map(|one| one.kind).collect();
        let all = [
            JobKind::Transfers,
            JobKind::Payments,
            JobKind::Balances,
            JobKind::LookUp,
            JobKind::Statement,
        ];
        assert_eq!(kinds, all);
        let served: u64 = figures.kinds.iter().map(|one| one.served).sum();
        assert_eq!(served, figures.served);
    }
}

#[test]
fn a_soak_makes_the_ledger_large_first_and_audits_that_too() {
    let report = bench("soak --rate 1000 --batch 10 --seconds 1 --grown 20000 --look-up 10000000");
    is_whole(&report);
    // Three requests of 8,000 make the ledger large.
    assert_eq!(report.workload.grown, 3);
    assert!(report.audit.unwrap().acknowledged > 24_000);
}

#[test]
fn the_official_client_drives_a_server_of_this_protocol() {
    let dir = folder();
    support::format(&dir.path().join("ledger"));
    let server = support::server::Server::start(&dir.path().join("ledger"));
    let target = format!(
        "--target tigerbeetle --addresses 127.0.0.1:{}",
        server.port()
    );
    for line in [
        "transfers --rate 2000 --batch 20 --seconds 1 --pending 0.2 --rejected 0.1 --random-ids",
        "read-mix --rate 500 --batch 5 --seconds 1 --reads 0.5",
    ] {
        is_whole(&bench(&format!("{line} {target}")));
    }
    let missing = run(
        dir.path(),
        "transfers --target tigerbeetle --tigerbeetle /nonexistent",
    );
    assert!(!missing.succeeded);
    assert!(missing.error.contains("TIGERBEETLE"), "{missing:?}");
}

#[test]
fn a_tigerbeetle_server_is_started_where_there_is_one() {
    if std::env::var_os("TIGERBEETLE").is_none() {
        eprintln!("skipped: TIGERBEETLE names no server");
        return;
    }
    is_whole(&bench(
        "transfers --target tigerbeetle --rate 2000 --batch 20 --seconds 1",
    ));
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_at_the_peak() {
    for replicas in [1, 3] {
        let line = format!(
            "double-eleven --rate 1000 --batch 10 --seconds 4 --kill-at-peak --replicas {replicas}"
        );
        let report = bench(&line);
        is_whole(&report);
        let killed_at = report.killed_at.unwrap();
        assert!((7.0..10.0).contains(&killed_at), "{killed_at}");
        assert!(report.figures.unwrap().silence > 5.0);
    }
}

#[test]
fn the_highest_rate_is_found_by_trying() {
    let line = "transfers --target library --rate 20000 --batch 100 --seconds 0.5 --find-peak \
                --p99-below 30";
    let dir = folder();
    let said = run(dir.path(), line);
    assert!(said.succeeded, "{said:?}");
    let json = std::fs::read(dir.path().join("report.json")).unwrap();
    let report: Report = serde_json::from_slice(&json).unwrap();
    let probes = &report.peak.as_ref().unwrap().probes;
    assert!(probes.len() > 2, "{probes:?}");
    assert!(probes.iter().any(|probe| probe.failed.is_some()));
    let found = probes.last().unwrap();
    assert!(found.failed.is_none() && found.p99 <= 30.0, "{found:?}");
    assert!(said.out.contains("the highest rate with p99 below 30 ms"));
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(page.contains("borne"), "the page shows what was tried");
}

#[test]
fn an_interrupted_search_reports_what_was_borne_so_far() {
    let dir = folder();
    let line = "transfers --target library --rate 200 --batch 10 --seconds 1 --find-peak \
                --p99-below 5000";
    let mut search = command(dir.path(), line);
    let search = search.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut search = search.spawn().unwrap();
    await_lines(&mut search, 1, "borne: p99");
    kill_process(Pid::from_child(&search), Signal::INT).unwrap();
    let said = Said::from(search.wait_with_output().unwrap());
    assert!(!said.succeeded, "{said:?}");
    assert!(said.error.contains("the search was not over"), "{said:?}");
    let json = std::fs::read(dir.path().join("report.json")).unwrap();
    let report: Report = serde_json::from_slice(&json).unwrap();
    is_whole(&report);
    assert!(report.partial.unwrap().starts_with("interrupted"));
    let probes = report.peak.unwrap().probes;
    assert!(probes.iter().any(|probe| probe.failed.is_none()));
}

/// The report of a run or search that failed.
fn partial(dir: &Path) -> (String, Report) {
    let json = std::fs::read(dir.join("report.json")).unwrap();
    let report: Report = serde_json::from_slice(&json).unwrap();
    let is_there = |ending: &str| {
        let there = std::fs::exists(dir.join("report").with_extension(ending));
        there.unwrap()
    };
    assert!(is_there("html"));
    assert_eq!(is_there("hlog"), report.figures.is_some());
    (report.partial.clone().unwrap(), report)
}

#[test]
fn a_search_whose_target_dies_reports_what_was_borne_so_far() {
    let dir = folder();
    support::format(&dir.path().join("ledger"));
    let server = support::server::Server::start(&dir.path().join("ledger"));
    let line = format!(
        "transfers --rate 200 --batch 10 --seconds 1 --deadline 2 --find-peak --p99-below 5000 \
         --addresses 127.0.0.1:{}",
        server.port()
    );
    let mut search = command(dir.path(), &line);
    let search = search.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut search = search.spawn().unwrap();
    await_lines(&mut search, 1, "borne: p99");
    // The next rate has its accounts, and is under way.
    await_lines(&mut search, 1, " s: ");
    kill_process(server.pid(), Signal::KILL).unwrap();
    let said = Said::from(search.wait_with_output().unwrap());
    assert!(!said.succeeded, "{said:?}");
    assert!(said.error.contains("the audit could not ask"), "{said:?}");
    let (why, report) = partial(dir.path());
    assert!(why.contains("the audit could not ask"), "{why}");
    is_whole(&report);
    let probes = report.peak.unwrap().probes;
    assert!(probes[0].failed.is_none(), "{probes:?}");
    assert!(probes.last().unwrap().failed.is_some(), "{probes:?}");
    assert!(said.out.contains("borne so far"), "{said:?}");
}

#[test]
fn a_search_that_serves_nothing_finds_nothing_and_reports_its_last_run() {
    let dir = folder();
    let line = "transfers --target library --rate 1 --batch 1 --seconds 0.1 --find-peak \
                --arrivals constant";
    let said = run(dir.path(), line);
    assert!(!said.succeeded, "{said:?}");
    assert!(said.error.contains("no rate that was tried"), "{said:?}");
    let (why, report) = partial(dir.path());
    assert!(why.starts_with("no rate that was tried"), "{why}");
    let probes = report.peak.unwrap().probes;
    assert!(probes.len() > 10, "{probes:?}");
    for probe in probes {
        assert_eq!(probe.failed.as_deref(), Some("nothing was served"));
    }
}

#[test]
fn a_server_that_does_not_start_again_leaves_a_partial_report() {
    let dir = folder();
    let line = "transfers --rate 1000 --batch 10 --seconds 4 --deadline 0.5 --kill-at-peak";
    let mut killed = command(dir.path(), line);
    let killed = killed.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut killed = killed.spawn().unwrap();
    await_lines(&mut killed, 1, " s: ");
    // What it is to be started with is somewhere else by then.
    let ledger = dir.path().join(format!("bench-{}/replica-0", killed.id()));
    std::fs::rename(&ledger, ledger.with_extension("moved")).unwrap();
    let said = Said::from(killed.wait_with_output().unwrap());
    assert!(!said.succeeded, "{said:?}");
    let what = "the server was to be killed and started again: the server ended";
    assert!(said.error.contains(what), "{said:?}");
    let (why, report) = partial(dir.path());
    assert!(why.starts_with(what), "{why}");
    assert_eq!(report.killed_at, None);
    assert!(report.audit_failed.unwrap().contains("could not ask"));
}

#[test]
fn a_target_that_is_not_there_is_said() {
    let dir = folder();
    for (target, what) in [
        ("http", "no Giro answers HTTP at 127.0.0.1:1"),
        ("tigerbeetle", "no answer by the deadline"),
    ] {
        let line = format!("transfers --target {target} --addresses 127.0.0.1:1 --deadline 0.5");
        let said = run(dir.path(), &line);
        assert!(!said.succeeded && said.error.contains(what), "{said:?}");
    }
}
