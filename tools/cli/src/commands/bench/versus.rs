//! `giro bench versus`: several targets in turn, in one go.

use std::str::FromStr;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use giro_driver::report::{Contender, Versus};

use super::options::{RunArguments, TargetKind};
use super::{conclude, make_parent, measure, runtime, stopped_by_signals, write};

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
    #[arg(long)]
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
            .map_err(|_| format!("{name} is no target: giro, library or postgres"))?;
        Ok(Self { kind, in_flight })
    }
}

impl VersusArguments {
    /// The runs of a round, each with its name.
    fn runs(&self) -> anyhow::Result<Vec<(String, RunArguments)>> {
        ensure!((1..=100).contains(&self.rounds), "--rounds: 1 to 100");
        let runs = self.targets.iter().map(|entry| {
            let mut run = self.run.clone();
            run.target = entry.kind;
            run.closed |= !self.open;
            run.in_flight = entry.in_flight.unwrap_or(run.in_flight);
            if entry.kind != TargetKind::Giro {
                run.addresses = None;
            }
            let name = entry.kind.to_possible_value();
            let name = name.context("a target has a name")?;
            let name = format!("{}, {} in flight", name.get_name(), run.in_flight);
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
    };
    let mut failed = None;
    'rounds: for round in 1..=arguments.rounds {
        for (place, (name, run)) in runs.iter().enumerate() {
            println!("round {round} of {}: {name}", arguments.rounds);
            let options = run.options()?;
            // A runtime for each: nothing of one target's is there when the next is asked.
            let measured = runtime()?.block_on(measure(run, &options, &stop));
            let (report, _) = measured.with_context(|| name.clone())?;
            let concluded = conclude(&report);
            versus.contenders[place].rounds.push(report);
            if let Err(why) = concluded {
                failed = Some(why.context(format!("round {round}, {name}")));
                break 'rounds;
            }
            if stop.load(Ordering::Relaxed) {
                failed = Some(anyhow::anyhow!("interrupted in round {round}"));
                break 'rounds;
            }
        }
    }
    let out = arguments.run.out();
    make_parent(out)?;
    let json = serde_json::to_vec_pretty(&versus)?;
    write(&out.with_extension("json"), &json)?;
    write(&out.with_extension("html"), versus.page().as_bytes())?;
    match failed {
        Some(why) => Err(why.context("the comparison ended early, its report is partial")),
        None => print(&versus),
    }
}

fn print(versus: &Versus) -> anyhow::Result<()> {
    let standings = match versus.standings() {
        Ok(standings) => standings,
        Err(why) => bail!(why),
    };
    println!(
        "{:<26} {:>30} {:>24} {:>24} {:>24}",
        "median (least to most)", "a second", "p50, ms", "p99, ms", "the first is, times"
    );
    for standing in standings {
        println!(
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
