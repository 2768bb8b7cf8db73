//! The field's own load generator against Giro and against the peer, alternately in one run.
//!
//! `tigerbeetle benchmark` is both the load and the peer; it is not part of this project and is
//! named by an option. Each measurement starts a fresh server on a fresh ledger.

use anyhow::Context;

use crate::disk;
use crate::servers::{Contender, Servers, median};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    servers: Servers,
    /// Rounds; each measures every shape with both servers.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these shapes.
    #[arg(long, value_delimiter = ',')]
    shapes: Vec<String>,
    /// Transfers of a full-batch shape.
    #[arg(long, default_value_t = 10_000_000)]
    transfers: u64,
}

/// A load: its name, its flags, and its share of `--transfers`.
struct Shape {
    name: &'static str,
    flags: &'static [&'static str],
    divisor: u64,
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "1-client",
        flags: &[],
        divisor: 1,
    },
    Shape {
        name: "4-clients",
        flags: &["--clients=4"],
        divisor: 1,
    },
    Shape {
        name: "pending",
        flags: &["--transfer-pending"],
        divisor: 2,
    },
    Shape {
        name: "random-ids",
        flags: &["--id-order=random"],
        divisor: 2,
    },
    Shape {
        name: "64-a-batch",
        flags: &["--transfer-batch-count=64"],
        divisor: 20,
    },
    Shape {
        name: "account-page",
        flags: &["--account-count=2", "--query-count=100"],
        divisor: 1,
    },
    Shape {
        name: "one-at-a-time",
        flags: &["--transfer-batch-count=1"],
        divisor: 500,
    },
];

#[derive(Clone, Copy, Debug)]
struct Figures {
    transfers_per_s: f64,
    p99_ms: f64,
    max_ms: f64,
    /// Median and longest of the shape's queries.
    query_ms: Option<(f64, f64)>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    for shape in SHAPES {
        let chosen =
            arguments.shapes.is_empty() || arguments.shapes.iter().any(|s| s == shape.name);
        if !chosen {
            continue;
        }
        let mut all = [Vec::new(), Vec::new()];
        for round in 0..arguments.rounds {
            // Who goes first alternates, so that a drift of the machine favours neither.
            let order = if round % 2 == 0 {
                [Contender::Giro, Contender::Peer]
            } else {
                [Contender::Peer, Contender::Giro]
            };
            for contender in order {
                let figures = measure(arguments, shape, contender)?;
                eprintln!(
                    "{} round {round} {}: {figures:?}",
                    shape.name,
                    contender.name()
                );
                all[usize::from(contender == Contender::Peer)].push(figures);
            }
            if shape.name == "one-at-a-time" {
                disk::report_raw_write(arguments.servers.dir())?;
            }
        }
        report(shape, &all[0], &all[1]);
    }
    Ok(())
}

fn report(shape: &Shape, giro: &[Figures], peer: &[Figures]) {
    let rate = |figures: &[Figures]| median(figures.iter().map(|f| f.transfers_per_s));
    let p99 = |figures: &[Figures]| median(figures.iter().map(|f| f.p99_ms));
    let max = |figures: &[Figures]| median(figures.iter().map(|f| f.max_ms));
    println!(
        "{:<14} giro {:>9.0}/s p99 {:>4.0} ms max {:>4.0} ms | \
         peer {:>9.0}/s p99 {:>4.0} ms max {:>4.0} ms | ratio {:.1}",
        shape.name,
        rate(giro),
        p99(giro),
        max(giro),
        rate(peer),
        p99(peer),
        max(peer),
        rate(giro) / rate(peer),
    );
    let page = |figures: &[Figures]| {
        figures
            .iter()
            .filter_map(|f| f.query_ms)
            .collect::<Vec<_>>()
    };
    let (ours, theirs) = (page(giro), page(peer));
    if !ours.is_empty() {
        let p50 = |pages: &[(f64, f64)]| median(pages.iter().map(|page| page.0));
        let max = |pages: &[(f64, f64)]| median(pages.iter().map(|page| page.1));
        println!(
            "{:<14} a page: giro p50 {:.0} ms max {:.0} ms | peer p50 {:.0} ms max {:.0} ms",
            "",
            p50(&ours),
            max(&ours),
            p50(&theirs),
            max(&theirs),
        );
    }
    if shape.name == "one-at-a-time" {
        println!("{:<14} giro {:.1} us mean round trip", "", 1e6 / rate(giro));
    }
}

fn measure(arguments: &Arguments, shape: &Shape, who: Contender) -> anyhow::Result<Figures> {
    let server = arguments.servers.start(who)?;
    let mut flags = vec![format!(
        "--transfer-count={}",
        arguments.transfers / shape.divisor
    )];
    flags.extend(shape.flags.iter().map(|flag| (*flag).to_owned()));
    let queries = flags.iter().any(|flag| flag.starts_with("--query-count"));
    if !queries {
        flags.push("--query-count=0".to_owned());
    }
    let printed = arguments.servers.load(server.port, &flags, || {});
    let printed = printed.with_context(|| format!("{} against {}", shape.name, who.name()))?;
    let query = queries.then(|| -> anyhow::Result<_> {
        Ok((
            printed.figure("query latency p50", "ms")?,
            printed.figure("query latency p100", "ms")?,
        ))
    });
    Ok(Figures {
        transfers_per_s: printed.figure("load accepted", "tx/s")?,
        p99_ms: printed.figure("batch latency p99", "ms")?,
        max_ms: printed.figure("batch latency p100", "ms")?,
        query_ms: query.transpose()?,
    })
}
