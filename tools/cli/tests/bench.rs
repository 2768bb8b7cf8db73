//! `giro bench`: a run against a server, its reports, and runs that go wrong.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use giro_driver::report::{Report, Versus};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::server::Server;
use crate::support::{Said, await_lines, folder, format, giro};

fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port())
}

/// `giro bench run` with small defaults, and its report.
fn bench(dir: &Path, arguments: &str) -> (Said, Option<Report>) {
    let child = start(dir, arguments);
    finish(dir, child)
}

fn start(dir: &Path, arguments: &str) -> Child {
    command(dir, arguments).spawn().unwrap()
}

fn command(dir: &Path, arguments: &str) -> Command {
    let small = "--accounts 50 --warm-up 0 --prefault-mib 1";
    let line = format!("bench run {arguments} {small}");
    let mut command = giro(&line.split_whitespace().collect::<Vec<_>>());
    command.arg("--dir").arg(dir);
    command.arg("--out").arg(dir.join("report"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn finish(dir: &Path, child: Child) -> (Said, Option<Report>) {
    let said = Said::from(child.wait_with_output().unwrap());
    let json = std::fs::read(dir.join("report.json")).ok();
    let report = json.map(|json| serde_json::from_slice(&json).unwrap());
    (said, report)
}

#[test]
fn a_run_is_audited_and_reported_in_all_forms() {
    let dir = folder();
    for (arguments, units) in [
        (
            "transfers --rate 2000 --batch 20 --seconds 1.5 --pending 0.2 --rejected 0.1",
            3000,
        ),
        (
            "tcc --rate 1000 --batch 10 --seconds 1 --target library --late 0.1",
            1000,
        ),
        ("double-eleven --rate 500 --batch 5 --seconds 1", 500),
        (
            "transfers --closed --in-flight 2 --batch 10 --seconds 1 --random-ids --plots",
            10,
        ),
    ] {
        let (said, report) = bench(dir.path(), arguments);
        assert!(said.succeeded, "{arguments}: {said:?}");
        let report = report.unwrap();
        let (figures, audit) = (report.figures.unwrap(), report.audit.unwrap());
        assert!(figures.served > 0 && figures.errors == 0, "{figures:?}");
        assert!(figures.units_per_s * 20.0 > f64::from(units), "{figures:?}");
        assert_eq!(audit.accounts, 50);
        assert_eq!(audit.looked_up, audit.acknowledged, "all were looked up");
        assert!(audit.acknowledged * 2 > units as u64, "{audit:?}");
        assert_eq!(report.partial, None);
    }
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 3, "three plots");
    assert!(
        !page.contains("http-equiv") && !page.contains("<script"),
        "nothing to fetch or run"
    );
    let log = std::fs::read_to_string(dir.path().join("report.hlog")).unwrap();
    assert!(log.lines().any(|line| line.contains("HIST")), "{log}");
    let json = dir.path().join("report.json");
    let json = json.to_str().unwrap();
    let compared = Said::from(giro(&["bench", "compare", json, json]).output().unwrap());
    assert!(compared.succeeded, "{compared:?}");
    let changes = compared.out.lines().filter(|line| line.ends_with("+0.0 %"));
    assert_eq!(changes.count(), 7, "{}", compared.out);
    // What was made for the runs is gone.
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 6, "the three reports, and three plots");
    for plot in ["rates", "latency", "percentiles"] {
        let path = dir.path().join(format!("report-{plot}.svg"));
        let plot = std::fs::read_to_string(path).unwrap();
        assert!(plot.starts_with("<svg") && plot.contains("http://www.w3.org/2000/svg"));
        assert!(page.contains(plot.trim_end()), "it is the page's");
    }
}

/// A run against a server that stands still for half a second in its middle.
fn with_a_stall(arguments: &str) -> Report {
    let dir = folder();
    format(&dir.path().join("ledger"));
    let server = Server::start(&dir.path().join("ledger"));
    let pid = server.pid();
    let arguments = format!("{arguments} --addresses {}", address(&server));
    let mut child = start(dir.path(), &arguments);
    await_lines(&mut child, 2, " s: ");
    kill_process(pid, Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    kill_process(pid, Signal::CONT).unwrap();
    let (said, report) = finish(dir.path(), child);
    assert!(said.succeeded, "{said:?}");
    report.unwrap()
}

#[test]
fn a_stall_shows_in_an_open_loop_and_hides_in_a_closed_one() {
    let load = "transfers --batch 1 --seconds 5";
    let open = with_a_stall(&format!("{load} --rate 300 --arrivals constant"));
    let open = open.figures.unwrap();
    // A tenth of the requests were due while it stood still.
    assert!(open.latency.p999 > 400.0, "{:?}", open.latency);
    let slow = open
        .seconds
        .iter()
        .filter(|second| second.latency.p99 > 250.0);
    assert!(slow.count() >= 1, "{:?}", open.seconds);
    let closed = with_a_stall(&format!("{load} --closed --in-flight 1"));
    let closed = closed.figures.unwrap();
    assert!(closed.served > 1100, "{}", closed.served);
    // One request of thousands met it.
    assert!(closed.latency.max > 400.0, "{:?}", closed.latency);
    assert!(closed.latency.p999 < 250.0, "{:?}", closed.latency);
}

#[test]
fn a_target_that_dies_ends_the_run_with_a_partial_report() {
    let dir = folder();
    format(&dir.path().join("ledger"));
    let server = Server::start(&dir.path().join("ledger"));
    let address = address(&server);
    // An earlier run's, which would pass for this one's.
    let log = dir.path().join("report.hlog");
    std::fs::write(&log, "latencies").unwrap();
    let arguments = "transfers --rate 1000 --batch 10 --seconds 60 --deadline 0.5";
    let mut child = start(dir.path(), &format!("{arguments} --addresses {address}"));
    await_lines(&mut child, 1, " s: ");
    kill_process(server.pid(), Signal::KILL).unwrap();
    let (said, report) = finish(dir.path(), child);
    assert!(!said.succeeded, "{said:?}");
    assert!(said.error.contains("the audit could not ask"), "{said:?}");
    let report = report.unwrap();
    let why = report.partial.unwrap();
    assert!(why.starts_with("the target is gone"), "{why}");
    assert!(
        report.figures.is_none(),
        "without an audit there are no figures"
    );
    assert!(!log.exists(), "and latencies are figures");
}

#[test]
fn an_interrupted_run_has_the_figures_so_far() {
    let dir = folder();
    let mut driver = command(dir.path(), "transfers --rate 1000 --batch 10 --seconds 60");
    let mut child = driver.process_group(0).spawn().unwrap();
    await_lines(&mut child, 2, " s: ");
    // As a terminal does: all of a group hear of Ctrl-C.
    kill_process_group(Pid::from_child(&child), Signal::INT).unwrap();
    let (said, report) = finish(dir.path(), child);
    assert!(
        !said.succeeded && said.error.contains("partial: interrupted"),
        "{said:?}"
    );
    let report = report.unwrap();
    assert_eq!(report.partial.as_deref(), Some("interrupted"));
    assert!(report.figures.unwrap().served > 20);
    assert!(report.audit.unwrap().acknowledged > 200);
}

#[test]
fn what_makes_no_sense_is_refused_and_a_wrong_answer_ends_the_run() {
    let dir = folder();
    let (said, report) = bench(dir.path(), "transfers --batch 10000");
    assert!(
        !said.succeeded && said.error.contains("1 to 8189"),
        "{said:?}"
    );
    assert!(report.is_none());
    let nobody = "transfers --addresses 127.0.0.1:1 --deadline 0.5 --seconds 1";
    let (said, _) = bench(dir.path(), nobody);
    assert!(
        !said.succeeded && said.error.contains("no Giro answers at 127.0.0.1:1"),
        "{said:?}"
    );

    format(&dir.path().join("ledger"));
    let server = Server::start(&dir.path().join("ledger"));
    let same = format!(
        "transfers --rate 1000 --batch 10 --seconds 1 --run 7 --addresses {}",
        address(&server)
    );
    let (said, _) = bench(dir.path(), &same);
    assert!(said.succeeded, "{said:?}");
    // The same ids again, though with other amounts: every answer is another than it has to be.
    let (said, report) = bench(dir.path(), &format!("{same} --seed 2"));
    assert!(!said.succeeded, "{said:?}");
    let why = report.unwrap().partial.unwrap();
    assert!(why.starts_with("a wrong answer: transfer"), "{why}");
}

/// PostgreSQL is no part of Giro: where it is missing, its tests say so and end.
fn has_postgres() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join("initdb").is_file());
    let packaged = std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|all| all.count() > 0);
    if !there && !packaged {
        let is_required = std::env::var_os("GIRO_REQUIRE_POSTGRES").is_some();
        assert!(!is_required, "no PostgreSQL, and it is required");
        eprintln!("skipped: no PostgreSQL on this machine");
    }
    there || packaged
}

/// A folder that PostgreSQL's own user can reach, wherever the tests are built.
fn open_folder() -> tempfile::TempDir {
    let dir = folder();
    let is_open = |dir: &Path| std::fs::metadata(dir).unwrap().permissions().mode() & 1 == 1;
    let is_reached = dir.path().ancestors().skip(1).all(is_open);
    let dir = if is_reached {
        dir
    } else {
        tempfile::tempdir_in("/var/tmp").unwrap()
    };
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

#[test]
fn postgres_does_the_same_work_and_is_audited_in_the_same_way() {
    if !has_postgres() {
        return;
    }
    for arguments in [
        "--batch 1 --rate 100 --rejected 0.2 --pending 0.3",
        "--batch 20 --rate 1000 --rejected 0.2 --pending 0.3 --spread hot --random-ids",
    ] {
        let line = format!("transfers --seconds 1 {arguments}");
        works_on_postgres(&line);
    }
    // All that can become of a payment, one by one and many at once.
    let odd = "--cancelled 0.3 --late 0.2 --repeated 0.3";
    works_on_postgres(&format!("tcc --batch 1 --rate 60 --seconds 1.5 {odd}"));
    works_on_postgres(&format!("tcc --batch 20 --rate 800 --seconds 1.5 {odd}"));
    works_on_postgres("read-mix --batch 5 --rate 500 --seconds 1.5 --reads 0.5");
}

fn works_on_postgres(line: &str) {
    let dir = open_folder();
    let line = format!("{line} --target postgres --in-flight 4");
    let (said, report) = bench(dir.path(), &line);
    assert!(said.succeeded, "{line}: {said:?}");
    let report = report.unwrap();
    assert!(report.target.contains("PostgreSQL"), "{}", report.target);
    let (figures, audit) = (report.figures.unwrap(), report.audit.unwrap());
    assert!(figures.served > 20 && figures.errors == 0, "{figures:?}");
    assert_eq!((audit.accounts, audit.looked_up), (50, audit.acknowledged));
}

#[test]
fn postgres_that_dies_ends_the_run_with_a_partial_report() {
    if !has_postgres() {
        return;
    }
    let dir = open_folder();
    let line = "transfers --target postgres --rate 500 --seconds 60 --batch 5 --deadline 0.5";
    let mut child = start(dir.path(), line);
    let pid_file = format!("bench-{}/data/postmaster.pid", child.id());
    await_lines(&mut child, 1, " s: ");
    let pid = std::fs::read_to_string(dir.path().join(pid_file)).unwrap();
    let pid = pid.lines().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::QUIT).unwrap();
    let (said, report) = finish(dir.path(), child);
    assert!(!said.succeeded, "{said:?}");
    assert!(said.error.contains("the audit could not ask"), "{said:?}");
    let why = report.unwrap().partial.unwrap();
    assert!(why.starts_with("the target is gone"), "{why}");
}

#[test]
fn what_postgres_still_does_when_it_is_given_up_is_over_before_the_audit() {
    if !has_postgres() {
        return;
    }
    let dir = open_folder();
    // More than it does within the deadline: they all wait for the same accounts.
    let line = "tcc --target postgres --closed --in-flight 24 --seconds 1 --batch 2000 --deadline \
                0.5 --cancelled 0.3";
    let (said, report) = bench(dir.path(), line);
    let report = report.unwrap_or_else(|| panic!("{said:?}"));
    assert_eq!(report.audit_failed, None, "{said:?}");
    let audit = report.audit.unwrap();
    assert!(audit.resolved > 0, "{audit:?}");
}

#[test]
fn a_target_that_cannot_start_is_said_and_a_comparison_keeps_what_it_has() {
    let dir = folder();
    let nowhere = "--postgres-bin /nonexistent --batch 5 --seconds 0.5";
    let (said, report) = bench(
        dir.path(),
        &format!("transfers --target postgres {nowhere}"),
    );
    assert!(!said.succeeded && report.is_none());
    assert!(said.error.contains("no initdb in /nonexistent"), "{said:?}");
    assert!(!said.error.contains("stays"), "nothing was made: {said:?}");

    let out = dir.path().join("versus");
    let versus = "bench versus transfers --targets library,postgres --warm-up 0 --accounts 50";
    let line = format!("{versus} --prefault-mib 1 {nowhere}");
    let mut command = giro(&line.split_whitespace().collect::<Vec<_>>());
    command.arg("--dir").arg(dir.path()).arg("--out").arg(&out);
    let said = Said::from(command.output().unwrap());
    assert!(!said.succeeded, "{said:?}");
    let json = std::fs::read(out.with_extension("json")).unwrap();
    let versus: Versus = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        versus.contenders[0].rounds.len(),
        1,
        "the library's is kept"
    );
    let why = versus.partial.unwrap();
    assert!(why.contains("no initdb in /nonexistent"), "{why}");
    let page = std::fs::read_to_string(out.with_extension("html")).unwrap();
    assert!(page.contains("Partial: round 1, postgres"), "{page}");
    // What would be ignored is refused.
    for (more, other) in [
        ("--target library", "--targets names"),
        ("--open --closed", "--closed"),
    ] {
        let line = format!("bench versus transfers --targets giro --rounds 1 --seconds 0.1 {more}");
        let mut command = giro(&line.split_whitespace().collect::<Vec<_>>());
        command.arg("--dir").arg(dir.path()).arg("--out").arg(&out);
        let said = Said::from(command.output().unwrap());
        assert!(!said.succeeded && said.error.contains(other), "{said:?}");
    }
}

#[test]
fn targets_are_compared_in_turn() {
    if !has_postgres() {
        return;
    }
    let dir = open_folder();
    let out = dir.path().join("versus");
    let line = "bench versus transfers --targets giro:4,postgres:2 --rounds 2 --batch 5 --seconds \
                0.5 --warm-up 0 --accounts 50 --prefault-mib 1";
    let mut command = giro(&line.split_whitespace().collect::<Vec<_>>());
    command.arg("--dir").arg(dir.path()).arg("--out").arg(&out);
    let said = Said::from(command.output().unwrap());
    assert!(said.succeeded, "{said:?}");
    // Two targets in two rounds, and a line for each at the end.
    let named = |line: &&str| line.contains(" in flight") && !line.contains("offered");
    let lines = said.out.lines().filter(named).count();
    assert_eq!(lines, 6, "{}", said.out);
    let json = std::fs::read(out.with_extension("json")).unwrap();
    let versus: Versus = serde_json::from_slice(&json).unwrap();
    let standings = versus.standings().unwrap();
    assert_eq!(standings.len(), 2);
    assert_eq!(standings[0].first_is_times.median, 1.0);
    assert!(standings[1].first_is_times.median > 0.0);
    let page = std::fs::read_to_string(out.with_extension("html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 1);
    let mut unknown = giro(&["bench", "versus", "transfers", "--targets", "mysql"]);
    let said = Said::from(unknown.output().unwrap());
    assert!(said.error.contains("mysql is no target"), "{said:?}");
}

#[test]
fn the_driver_measures_its_own_limits() {
    let line = [
        "bench",
        "self",
        "--seconds",
        "0.5",
        "--rate",
        "500",
        "--json",
    ];
    let said = Said::from(giro(&line).output().unwrap());
    assert!(said.succeeded, "{said:?}");
    let limits: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    for figure in ["transfers_per_s", "requests_per_s"] {
        assert!(limits[figure].as_f64().unwrap() > 100.0, "{limits}");
    }
    assert!(limits["latency"]["p50"].as_f64().unwrap() > 0.0, "{limits}");
}
