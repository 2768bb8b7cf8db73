//! `giro bench versus`: several targets in turn, in one go.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use giro_driver::report::{Contender, Standing, Versus};

use super::options::{RunArguments, TargetKind};
use super::{behind, conclude, make_parent, measure, runtime, stopped_by_signals, write};
use crate::say::say;

/// Whom to compare, and in what.
#[derive(clap::Args)]
pub(super) struct VersusArguments {
    /// Whom to ask, in turn, with how many requests in flight: `giro:256,postgres:32`; the others
    /// are held against the first.
    #[arg(
        long,
        value_delimiter = ',',
        required = true,
        value_name = "TARGET[:N],..."
    )]
    targets: Vec<Entry>,
    /// How often each is asked.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Offer the rate to each, instead of letting as many callers as are in flight wait for their
    /// answers.
    #[arg(long, conflicts_with = "closed")]
    open: bool,
    #[command(flatten)]
    run: RunArguments,
}

/// A target, and how many requests it has at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: TargetKind,
    in_flight: Option<usize>,
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, in_flight) = match text.split_once(':') {
            Some((name, count)) => {
                let count = count.parse();
                let count = count.map_err(|_| format!("{text}: a number follows the colon"))?;
                (name, Some(count))
            }
            None => (text, None),
        };
        let kind = TargetKind::from_str(name, true)
            .map_err(|_| format!("{name} is no target: {}", names()))?;
        Ok(Self { kind, in_flight })
    }
}

/// All targets there are.
fn names() -> String {
    let all = TargetKind::value_variants().iter();
    all.map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}

impl VersusArguments {
    /// The runs of a round, each with its name.
    fn runs(&self) -> anyhow::Result<Vec<(String, RunArguments)>> {
        ensure!(
            self.run.target.is_none(),
            "--target is of a single run: --targets names whom to compare"
        );
        ensure!((1..=100).contains(&self.rounds), "--rounds: 1 to 100");
        ensure!(
            !self.run.find_peak && !self.run.kill_at_peak,
            "--find-peak and --kill-at-peak are of a single run: giro bench run"
        );
        self.check_shared()?;
        let runs = self.targets.iter().map(|entry| {
            let mut run = self.run.clone();
            run.target = Some(entry.kind);
            run.closed |= !self.open;
            run.in_flight = entry.in_flight.unwrap_or(run.in_flight);
            let name = name(entry.kind, &run);
            // What is impossible is refused before anything is started.
            run.options().with_context(|| name.clone())?;
            Ok((name, run))
        });
        runs.collect()
    }

    /// What is said of one target's server has to be true of every target's: a group is not held
    /// against a single server, nor a server that has been there against one just started, without
    /// a word.
    fn check_shared(&self) -> anyhow::Result<()> {
        let all_are = |kinds: &[TargetKind]| {
            let mut targets = self.targets.iter();
            targets.all(|entry| kinds.contains(&entry.kind))
        };
        let binary = [TargetKind::Giro, TargetKind::TigerBeetle];
        ensure!(
            self.run.addresses.is_none() || all_are(&binary) || all_are(&[TargetKind::Http]),
            "--addresses are of every target: name only giro and tigerbeetle (the same port by \
             either client) or only http in --targets, or leave them out and each has a server of \
             its own"
        );
        ensure!(
            self.run.addresses.is_none() || self.run.run.is_none(),
            "--run with --addresses: every run on one ledger needs a number of its own, so leave \
             --run out"
        );
        ensure!(
            self.run.replicas == 1 || all_are(&[TargetKind::Giro]),
            "--replicas={} is of every target: name only giro in --targets, or compare single \
             servers",
            self.run.replicas
        );
        Ok(())
    }
}

/// Who is asked, and how: two rows that differ in what was measured do not look alike.
fn name(kind: TargetKind, run: &RunArguments) -> String {
    let mut name = kind.name();
    if let Some(addresses) = &run.addresses {
        name.push_str(&format!(" at {addresses}"));
    }
    if run.replicas > 1 {
        name.push_str(&format!(", {} replicas", run.replicas));
    }
    name.push_str(&format!(", {} in flight", run.in_flight));
    name
}

pub(super) fn run(arguments: &VersusArguments) -> anyhow::Result<()> {
    let runs = arguments.runs()?;
    let stop = stopped_by_signals()?;
    let contender = |(name, _): &(String, _)| Contender {
        name: name.clone(),
        rounds: Vec::new(),
    };
    let mut versus = Versus {
        contenders: runs.iter().map(contender).collect(),
        partial: None,
    };
    // Whatever ends it, there is a report of what was measured before.
    let ended = ask_in_turn(arguments.rounds, &runs, &mut versus, &stop);
    versus.partial = ended.as_ref().err().map(|why| format!("{why:#}"));
    let out = arguments.run.out();
    make_parent(out)?;
    let json = serde_json::to_vec_pretty(&versus)?;
    write(&behind(out, ".json"), &json)?;
    write(&behind(out, ".html"), versus.page().as_bytes())?;
    let plot = versus.plot();
    if arguments.run.wants_plots() && !plot.is_empty() {
        write(&behind(out, "-percentiles.svg"), plot.as_bytes())?;
    }
    ended.context("the comparison ended early, its report is partial")?;
    print(&versus)
}

fn ask_in_turn(
    rounds: usize,
    runs: &[(String, RunArguments)],
    versus: &mut Versus,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<()> {
    for round in 1..=rounds {
        // Another one goes first in each round, so that a drift of the machine favours nobody.
        for place in 0..runs.len() {
            let place = (place + round - 1) % runs.len();
            let ((name, run), contender) = (&runs[place], &mut versus.contenders[place]);
            say!("round {round} of {rounds}: {name}");
            let options = run.options()?;
            // A runtime for each: nothing of one target's is there when the next is asked.
            let measured = runtime()?.block_on(measure(run, &options, stop));
            let concluded = measured.and_then(|(report, _)| {
                let concluded = conclude(&report);
                contender.rounds.push(report);
                concluded
            });
            concluded.with_context(|| format!("round {round}, {name}"))?;
            ensure!(!stop.load(Ordering::Relaxed), "interrupted");
        }
    }
    Ok(())
}

fn print(versus: &Versus) -> anyhow::Result<()> {
    let standings = match versus.standings() {
        Ok(standings) => standings,
        Err(why) => bail!(why),
    };
    let head = "median (least to most)";
    let names = standings.iter().map(|standing| standing.name.len());
    let width = names.fold(head.len(), usize::max);
    say!(
        "{head:<width$} {:>30} {:>24} {:>24} {:>8} {:>24}",
        "a second",
        "p50, ms",
        "p99, ms",
        "errors",
        "the first is, times"
    );
    for standing in &standings {
        say!(
            "{:<width$} {:>30} {:>24} {:>24} {:>8} {:>24}",
            standing.name,
            standing.units_per_s.show(0),
            standing.p50.show(2),
            standing.p99.show(2),
            standing.errors,
            standing.first_is_times.show(2)
        );
    }
    for line in standings.iter().filter_map(Standing::error_line) {
        say!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        versus: VersusArguments,
    }

    #[test]
    fn rows_of_groups_and_of_single_servers_do_not_look_alike() {
        let names = |line: &str| {
            let line = format!("bench transfers {line}");
            let line = Line::try_parse_from(line.split_whitespace()).unwrap();
            let runs = line.versus.runs().unwrap().into_iter();
            runs.map(|(name, _)| name).collect::<Vec<_>>()
        };
        let alone = names("--targets giro:4,library --in-flight 2");
        assert_eq!(alone, ["giro, 4 in flight", "library, 2 in flight"]);
        let group = names("--targets giro:4 --replicas 3");
        assert_eq!(group, ["giro, 3 replicas, 4 in flight"]);
        let there = names("--targets http:4 --addresses 127.0.0.1:3001");
        assert_eq!(there, ["http at 127.0.0.1:3001, 4 in flight"]);
    }
}
