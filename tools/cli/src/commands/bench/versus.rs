//! `giro bench versus`: several targets in turn, in one go.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use giro_driver::report::{Contender, Versus};

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
        let runs = self.targets.iter().map(|entry| {
            let mut run = self.run.clone();
            run.target = Some(entry.kind);
            run.closed |= !self.open;
            run.in_flight = entry.in_flight.unwrap_or(run.in_flight);
            if entry.kind != TargetKind::Giro {
                run.addresses = None;
                run.replicas = 1;
            }
            let name = format!("{}, {} in flight", entry.kind.name(), run.in_flight);
            // What is impossible is refused before anything is started.
            run.options().with_context(|| name.clone())?;
            Ok((name, run))
        });
        runs.collect()
    }
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
        for ((name, run), contender) in runs.iter().zip(&mut versus.contenders) {
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
    say!(
        "{:<26} {:>30} {:>24} {:>24} {:>24}",
        "median (least to most)",
        "a second",
        "p50, ms",
        "p99, ms",
        "the first is, times"
    );
    for standing in standings {
        say!(
            "{:<26} {:>30} {:>24} {:>24} {:>24}",
            standing.name,
            standing.units_per_s.show(0),
            standing.p50.show(2),
            standing.p99.show(2),
            standing.first_is_times.show(2)
        );
    }
    Ok(())
}
