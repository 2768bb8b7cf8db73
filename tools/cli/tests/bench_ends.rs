//! `giro bench`: how runs end that somebody interrupts or nobody listens to, and what they leave.

mod support;

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::server::Server;
use crate::support::{Said, assert_says, await_lines, folder, format, giro};

const SMALL: &str = "--accounts 50 --warm-up 0 --prefault-mib 1";

/// `giro bench` with small defaults, below `dir`, whose report has this name there.
fn bench(dir: &Path, line: &str, out: &str) -> Command {
    let line = format!("bench {line} {SMALL}");
    let mut command = giro(&line.split_whitespace().collect::<Vec<_>>());
    command
        .arg("--dir")
        .arg(dir)
        .arg("--out")
        .arg(dir.join(out));
    command
}

fn said(mut command: Command) -> Said {
    command.output().unwrap().into()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The processes that a process has started.
fn children_of(process: u32) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // Behind the name, which may have spaces: the state, and the parent.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        let parent = rest.split_whitespace().nth(1);
        if parent.is_some_and(|parent| parent == process.to_string()) {
            let pid = entry.file_name().into_string().unwrap();
            found.extend(Pid::from_raw(pid.parse().unwrap()));
        }
    }
    found
}

/// How a program ended, if it does within some seconds.
fn soon(child: &mut Child) -> Option<ExitStatus> {
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    None
}

#[test]
fn a_second_interrupt_ends_the_program_at_once_and_its_server() {
    let dir = folder();
    let line = "run transfers --rate 1000 --batch 10 --seconds 60";
    let mut command = bench(dir.path(), line, "report");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    await_lines(&mut child, 1, " s: ");
    let servers = children_of(child.id());
    assert_eq!(servers.len(), 1, "{servers:?}");
    // From now on answers are waited for, as in a long audit.
    kill_process(servers[0], Signal::STOP).unwrap();
    let driver = Pid::from_child(&child);
    kill_process(driver, Signal::INT).unwrap();
    // A second one right behind would count as the first.
    std::thread::sleep(Duration::from_millis(500));
    kill_process(driver, Signal::INT).unwrap();
    let ended = soon(&mut child);
    let server_stays = kill_process(servers[0], Signal::KILL).is_ok();
    assert_eq!(ended.and_then(|status| status.code()), Some(130));
    assert!(!server_stays, "the server was still there");
    assert_eq!(names(dir.path()), [""; 0], "and so was its ledger");
}

#[test]
fn a_terminal_that_closes_ends_a_run_unless_it_was_told_to_outlive_it() {
    for (told, partial) in [
        ("--default-signal=HUP", "interrupted".into()),
        ("--ignore-signal=HUP", Value::Null),
    ] {
        let dir = folder();
        let run = bench(
            dir.path(),
            "run transfers --rate 1000 --batch 10 --seconds 3",
            "report",
        );
        // Whatever these tests were told themselves.
        let mut env = Command::new("env");
        env.arg(told).arg(run.get_program()).args(run.get_args());
        let mut child = env.stdout(Stdio::piped()).spawn().unwrap();
        await_lines(&mut child, 1, " s: ");
        kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.success(), partial.is_null(), "{ended:?}");
        let report = json(&dir.path().join("report.json"));
        assert_eq!(report["partial"], partial);
    }
}

#[test]
fn a_run_whose_output_nobody_reads_goes_on_to_its_end() {
    let dir = folder();
    let line = "run transfers --rate 1000 --batch 10 --seconds 2";
    let mut command = bench(dir.path(), line, "report");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    let report = json(&dir.path().join("report.json"));
    assert_eq!(report["partial"], Value::Null);
    assert!(report["figures"]["served"].as_u64().unwrap() > 100);
    let left = names(dir.path());
    assert_eq!(left, ["report.hlog", "report.html", "report.json"]);
}

#[test]
fn a_failure_that_nobody_hears_of_is_one_all_the_same() {
    let dir = folder();
    let mut command = bench(dir.path(), "run transfers --batch 10000", "report");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn reports_whose_names_have_dots_stay_apart() {
    let dir = folder();
    let line = "run transfers --target library --batch 10 --seconds 0.2 --plots";
    for out in ["p99-0.5", "p99-0.7"] {
        let said = said(bench(dir.path(), line, out));
        assert!(said.succeeded, "{said:?}");
    }
    let versus = "versus transfers --targets library --rounds 1 --batch 10 --seconds 0.2";
    let versus = said(bench(dir.path(), versus, "p99-0.9"));
    assert!(versus.succeeded, "{versus:?}");
    let mut left = Vec::new();
    for out in ["p99-0.5", "p99-0.7"] {
        let plots = ["-latency.svg", "-percentiles.svg", "-rates.svg"];
        let all = plots.into_iter().chain([".hlog", ".html", ".json"]);
        left.extend(all.map(|suffix| format!("{out}{suffix}")));
    }
    left.extend(["p99-0.9.html".into(), "p99-0.9.json".into()]);
    assert_eq!(names(dir.path()), left);
}

#[test]
fn a_report_has_all_that_shaped_its_run() {
    let dir = folder();
    let line = "run transfers --rate 1000 --batch 10 --seconds 0.3 --deadline 3 --look-up 7 \
                --server-option=--buffers=24";
    let run = said(bench(dir.path(), line, "report"));
    assert!(run.succeeded, "{run:?}");
    let settings = &json(&dir.path().join("report.json"))["settings"];
    assert_eq!(settings["deadline"], 3.0);
    assert_eq!(settings["look_up"], 7);
    let started = &settings["started"];
    assert_eq!(started["replicas"], 1);
    assert_eq!(started["prefault_mib"], 1);
    assert_eq!(started["server_options"][0], "--buffers=24");
}

#[test]
fn compare_says_what_two_runs_do_not_share() {
    let dir = folder();
    let line = "run transfers --target library --rate 1000 --batch 10 --seconds 0.3";
    let run = said(bench(dir.path(), line, "whole"));
    assert!(run.succeeded, "{run:?}");
    let (whole, other) = (dir.path().join("whole.json"), dir.path().join("other.json"));
    let mut report = json(&whole);
    report["closed"] = true.into();
    report["partial"] = "interrupted".into();
    report["figures"]["errors"] = 5.into();
    std::fs::write(&other, report.to_string()).unwrap();
    let compare = |first: &Path, second: &Path| {
        let mut command = giro(&["bench", "compare"]);
        command.arg(first).arg(second);
        said(command)
    };
    let compared = compare(&whole, &other);
    assert!(compared.succeeded, "{compared:?}");
    let parts = [
        "warning: the second run ended early",
        "warning: loop is \"open\" in the first run, \"closed\" in the second",
        "from none",
    ];
    assert_says(&compared.out, &parts);
    assert!(!compared.out.contains("inf"), "{}", compared.out);
    let alike = compare(&whole, &whole);
    assert!(!alike.out.contains("warning"), "{}", alike.out);

    let line = "versus transfers --targets library --rounds 1 --batch 10 --seconds 0.2";
    let versus = said(bench(dir.path(), line, "versus"));
    assert!(versus.succeeded, "{versus:?}");
    let refused = compare(&whole, &dir.path().join("versus.json"));
    assert!(!refused.succeeded);
    assert_says(&refused.error, &["is of giro bench versus"]);
}

#[test]
fn a_comparison_of_what_is_not_alike_is_refused_with_what_would_work() {
    let dir = folder();
    for (line, part) in [
        (
            "--targets giro,postgres --addresses 127.0.0.1:1",
            "only giro and tigerbeetle",
        ),
        ("--targets giro,http --addresses 127.0.0.1:1", "only http"),
        (
            "--targets giro,tigerbeetle --replicas 3",
            "name only giro in --targets",
        ),
        (
            "--targets giro --addresses 127.0.0.1:1 --run 7",
            "leave --run out",
        ),
    ] {
        let line = format!("versus transfers {line} --seconds 0.2 --rounds 1 --deadline 0.2");
        let refused = said(bench(dir.path(), &line, "versus"));
        assert!(!refused.succeeded, "{line}: {refused:?}");
        assert_says(&refused.error, &[part]);
        assert_eq!(names(dir.path()), [""; 0], "nothing was asked");
    }
}

#[test]
fn targets_at_an_address_are_asked_there_and_their_rows_say_so() {
    let dir = folder();
    format(&dir.path().join("ledger"));
    let server = Server::start(&dir.path().join("ledger"));
    let address = format!("127.0.0.1:{}", server.port());
    let line = format!(
        "versus transfers --targets giro:2,tigerbeetle:1 --addresses {address} --rounds 2 --batch \
         10 --seconds 0.3"
    );
    let versus = said(bench(dir.path(), &line, "versus"));
    assert!(versus.succeeded, "{versus:?}");
    for (place, kind, in_flight) in [(0, "giro", 2), (1, "tigerbeetle", 1)] {
        let versus = &json(&dir.path().join("versus.json"))["contenders"][place];
        let name = format!("{kind} at {address}, {in_flight} in flight");
        assert_eq!(versus["name"], name);
        let target = &versus["rounds"][0]["target"];
        assert_eq!(*target, format!("{kind} at {address}"));
    }
}

#[test]
fn another_target_goes_first_in_each_round_and_the_plot_is_a_file_too() {
    let dir = folder();
    let line = "versus transfers --targets library:1,library:2,library:3 --rounds 2 --batch 10 \
                --seconds 0.2 --plots";
    let versus = said(bench(dir.path(), line, "versus"));
    assert!(versus.succeeded, "{versus:?}");
    let round = |line: &str| {
        let (round, rest) = line
            .strip_prefix("round ")?
            .split_once(" of 2: library, ")?;
        Some((round.parse().ok()?, rest.split(' ').next()?.parse().ok()?))
    };
    let order: Vec<(u32, u32)> = versus.out.lines().filter_map(round).collect();
    assert_eq!(order, [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (2, 1)]);
    assert_says(&versus.out, &["errors"]);
    let contenders = &json(&dir.path().join("versus.json"))["contenders"];
    for place in 0..3 {
        let contender = &contenders[place];
        assert_eq!(contender["rounds"].as_array().unwrap().len(), 2);
        assert_eq!(contender["rounds"][1]["in_flight"], place + 1);
    }
    let plot = std::fs::read_to_string(dir.path().join("versus-percentiles.svg")).unwrap();
    let page = std::fs::read_to_string(dir.path().join("versus.html")).unwrap();
    assert!(plot.starts_with("<svg") && page.contains(plot.trim_end()));
}
