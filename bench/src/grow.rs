//! A ledger that grows: what it takes of memory and disk, and how fast it is, from the first
//! transfer to the last.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::plot::{Caption, Scale, Series, behind, draw};
use crate::servers::{Contender, Running, Servers};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    servers: Servers,
    /// Transfers in all.
    #[arg(long, default_value_t = 100_000_000)]
    transfers: u64,
    /// Further flags for the generator.
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    flag: Vec<String>,
    /// Where the table and the plot go, with `.csv` and `.svg` behind it.
    #[arg(long, default_value = "target/grow", value_name = "PATH")]
    out: PathBuf,
}

/// Between two samples.
const EVERY: Duration = Duration::from_millis(250);
/// What is compared: the first and the last so many transfers.
const PART: u64 = 10_000_000;
/// Transfers of a generation by default.
const GENERATION: u64 = 1 << 19;

/// One look at the server.
struct Sample {
    seconds: f64,
    transfers: u64,
    resident_mib: f64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let servers = &arguments.servers;
    let server = servers.start(Contender::Giro)?;
    let mut flags = vec![
        format!("--transfer-count={}", arguments.transfers),
        "--query-count=100".to_owned(),
        "--seed=42".to_owned(),
    ];
    flags.extend(arguments.flag.iter().cloned());
    let start = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    let printed = servers.load(server.port, &flags, || {
        let seconds = start.elapsed().as_secs_f64();
        let is_due = |last: &Sample| seconds >= last.seconds + EVERY.as_secs_f64();
        if samples.last().is_none_or(is_due) {
            samples.push(sample(&server, seconds));
        }
    })?;
    print(arguments, &server, &samples)?;
    for (what, unit) in [
        ("load accepted", "tx/s"),
        ("batch latency p50", "ms"),
        ("batch latency p99", "ms"),
        ("batch latency p100", "ms"),
        ("query latency p50", "ms"),
        ("query latency p99", "ms"),
    ] {
        println!("{what}: {} {unit}", printed.figure(what, unit)?);
    }
    write(&arguments.out, &samples)
}

fn sample(server: &Running, seconds: f64) -> Sample {
    let history = fs::read_dir(server.place().join("history"));
    let entries = history.into_iter().flatten().flatten();
    let segments = entries.filter(|e| e.path().extension().is_some_and(|kind| kind == "seg"));
    Sample {
        seconds,
        transfers: segments.count() as u64 * GENERATION,
        resident_mib: server.resident_kib() as f64 / 1024.0,
    }
}

fn print(arguments: &Arguments, server: &Running, samples: &[Sample]) -> anyhow::Result<()> {
    let end = samples.last().context("the load took no time")?;
    let at = |transfers: u64| {
        let sample = samples.iter().find(|sample| sample.transfers >= transfers);
        sample.unwrap_or(end)
    };
    let rate = |from: &Sample, to: &Sample| {
        (to.transfers - from.transfers) as f64 / (to.seconds - from.seconds)
    };
    let begun = at(1);
    let first = at(PART);
    let rest = at(end.transfers.saturating_sub(PART));
    // The queries come behind.
    let last = at(end.transfers);
    println!(
        "resident: {:.0} MiB after {PART} transfers, {:.0} MiB at the end",
        first.resident_mib, end.resident_mib,
    );
    println!(
        "transfers/s on disk: first {PART} {:.0}, last {PART} {:.0}",
        rate(begun, first),
        rate(rest, last),
    );
    for part in ["history", "log"] {
        let bytes = bytes_in(&server.place().join(part))?;
        let each = bytes as f64 / arguments.transfers as f64;
        println!("{part}: {each:.1} bytes a transfer");
    }
    Ok(())
}

fn bytes_in(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_in(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

fn write(out: &Path, samples: &[Sample]) -> anyhow::Result<()> {
    let mut table = String::from("seconds,transfers_on_disk,resident_mib\n");
    for sample in samples {
        let (seconds, transfers) = (sample.seconds, sample.transfers);
        writeln!(table, "{seconds:.2},{transfers},{:.1}", sample.resident_mib)?;
    }
    fs::write(behind(out, ".csv"), table)?;
    let points = |figure: &dyn Fn(&Sample) -> f64| {
        let points = samples
            .iter()
            .map(|sample| (sample.seconds, figure(sample)));
        points.collect()
    };
    let series = |name, points| vec![Series { name, points }];
    let caption = |title, unit| Caption {
        title,
        unit,
        scale: Scale::Linear,
    };
    let transfers = points(&|sample| sample.transfers as f64 / 1e6);
    let resident = points(&|sample| sample.resident_mib);
    draw(
        &behind(out, ".svg"),
        &[
            (
                caption("transfers in the history", "millions"),
                series("transfers", transfers),
            ),
            (
                caption("resident memory", "MiB"),
                series("resident", resident),
            ),
        ],
    )
}
