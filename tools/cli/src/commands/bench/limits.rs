//! `giro bench self`: what the driver itself can offer, and what it adds to latency.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use giro_client::{Client, ClientOptions};
use giro_driver::echo;
use giro_driver::report::Percentiles;
use giro_driver::run::{Outcome, run as drive};
use giro_driver::target::Target;
use giro_driver::workload::Workload;

use super::options::RunArguments;
use super::{runtime, stopped_by_signals};
use crate::say::say;

/// How long.
#[derive(clap::Args)]
pub(super) struct LimitsArguments {
    /// Of each of the three runs (s).
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests a second of the run that measures latency.
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs are told what to do in the words of the command line.
#[derive(Parser)]
struct Line {
    #[command(flatten)]
    run: RunArguments,
}

#[derive(serde::Serialize)]
struct Limits {
    /// With 8,189 transfers a request.
    transfers_per_s: f64,
    /// With one transfer a request, from 256 callers.
    requests_per_s: f64,
    /// Of single requests at a steady rate (ms): all of it is the driver's, the loopback
    /// interface's and the echo's.
    latency: Percentiles,
    rate: u32,
}

pub(super) fn run(arguments: &LimitsArguments) -> anyhow::Result<()> {
    ensure!(
        (0.5..=3600.0).contains(&arguments.seconds) && (1..=1_000_000).contains(&arguments.rate),
        "--seconds: 0.5 to 3600; --rate: 1 to 1000000"
    );
    let stop = stopped_by_signals()?;
    pin(0);
    let address = echo::start(|| pin(1))?.to_string();
    let seconds = arguments.seconds;
    let measure = |what: &str| {
        let line = format!("bench transfers --seconds {seconds} --warm-up 1 {what}");
        runtime()?.block_on(offer(&line, &address, &stop))
    };
    let batches = measure("--closed --in-flight 8 --batch 8189")?;
    let singles = measure("--closed --in-flight 256 --batch 1")?;
    let rate = arguments.rate;
    let steady = measure(&format!("--rate {rate} --batch 1 --in-flight 256"))?;
    let limits = Limits {
        transfers_per_s: batches.recorder.units as f64 / seconds,
        requests_per_s: singles.recorder.served as f64 / seconds,
        latency: Percentiles::of(&steady.recorder.total),
        rate,
    };
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&limits)?);
        return Ok(());
    }
    say!("against an echo of the protocol, the driver on one core:");
    say!(
        "{:>12.0} transfers/s, 8189 a request",
        limits.transfers_per_s
    );
    say!(
        "{:>12.0} requests/s of one transfer, 256 callers",
        limits.requests_per_s
    );
    let of = limits.latency;
    say!(
        "at {rate} single requests a second it adds p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, at \
         most {:.3} ms",
        of.p50,
        of.p99,
        of.p999,
        of.max
    );
    Ok(())
}

/// One run against the echo; there is nothing to audit.
async fn offer(line: &str, address: &str, stop: &Arc<AtomicBool>) -> anyhow::Result<Outcome> {
    let arguments = Line::try_parse_from(line.split_whitespace())?.run;
    let options = arguments.options()?;
    let client = ClientOptions {
        sessions_max: options.in_flight,
        deadline: Duration::from_secs(5),
        ..ClientOptions::default()
    };
    let client = Client::connect(address, client).await.context("the echo")?;
    let target = Target::Giro(client);
    let accounts: Vec<_> = Workload::new(&options.workload).accounts().collect();
    target.create_accounts(&accounts).await?;
    let outcome = drive(&options, &target, stop, &mut |_| {}).await;
    match &outcome.stopped {
        Some(why) => Err(anyhow::anyhow!("the run ended early: {why}")),
        None => Ok(outcome),
    }
}

/// Keeps this thread, and those it starts, on one core where there are several.
fn pin(place: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if cores.len() > 1
        && let Some(core) = cores.get(place)
    {
        core_affinity::set_for_current(*core);
    }
}
