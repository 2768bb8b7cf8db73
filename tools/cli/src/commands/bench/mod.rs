//! `giro bench`: rehearsals of peak load.

// A line that nobody reads would end the program, and leave its servers behind.
#![deny(clippy::print_stdout)]

mod compare;
mod interrupts;
mod killer;
mod limits;
mod options;
mod peak;
mod place;
mod ports;
mod postgres;
mod process;
mod server;
mod tigerbeetle;
mod versus;

use std::ffi::OsString;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use giro_driver::audit::audit;
use giro_driver::record::Interval;
use giro_driver::report::{Machine, Percentiles, Report, page, plots, write_log};
use giro_driver::run::{RunOptions, run as drive};
use giro_driver::workload::Workload;
use indicatif::{ProgressBar, ProgressStyle};

use self::interrupts::stopped_by_signals;
use self::killer::Killer;
use self::limits::LimitsArguments;
use self::options::RunArguments;
use self::place::Place;
use self::versus::VersusArguments;
use crate::say::say;

/// What to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Run a workload against a target, audit it, and write the figures.
    Run(Box<RunArguments>),
    /// Run a workload against several targets in turn, in one go, and compare them.
    Versus(Box<VersusArguments>),
    /// Measure what the driver itself can offer, and what it adds to latency.
    #[command(name = "self")]
    Limits(LimitsArguments),
    /// Compare two runs by their JSON.
    Compare {
        /// The first.
        #[arg(value_name = "A.json")]
        first: PathBuf,
        /// The second.
        #[arg(value_name = "B.json")]
        second: PathBuf,
    },
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.what {
        What::Run(arguments) => run_one(arguments),
        What::Versus(arguments) => versus::run(arguments),
        What::Limits(arguments) => limits::run(arguments),
        What::Compare { first, second } => compare::print_differences(first, second),
    }
}

fn run_one(arguments: &RunArguments) -> anyhow::Result<()> {
    let options = arguments.options()?;
    let stop = stopped_by_signals()?;
    if arguments.find_peak {
        return peak::find(arguments, &stop);
    }
    let report = runtime()?.block_on(measure(arguments, &options, &stop))?;
    save(arguments, &report.0, &report.1)?;
    conclude(&report.0)
}

/// One thread asks: the others are the target's.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Runs and audits: the report, and the log of histograms.
async fn measure(
    arguments: &RunArguments,
    options: &RunOptions,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<(Report, Vec<u8>)> {
    let place = Place::new(arguments).await?;
    let target = &place.target;
    let accounts: Vec<_> = Workload::new(&options.workload).accounts().collect();
    target
        .create_accounts(&accounts)
        .await
        .context("cannot make the accounts")?;
    let view = View::new(options.schedule.seconds());
    let mut killer = Killer::new(arguments, &place);
    let mut watch = |second: &Interval| {
        view.show(second);
        killer.look(second.second);
    };
    let outcome = drive(options, target, stop, &mut watch).await;
    view.finish();
    let killed = killer.finish();
    say!("auditing ...");
    let audited = audit(target, &options.workload, &outcome.fates, arguments.look_up).await;
    let audited = audited.map_err(|error| error.to_string());
    let machine = Machine::here(place.dir());
    let mut report = Report::new(options, place.name.clone(), machine, &outcome, audited);
    report.settings = Some(arguments.settings());
    match killed {
        Ok(second) => report.killed_at = second,
        Err(why) => report.partial = Some(format!("{why:#}")),
    }
    let mut log = Vec::new();
    write_log(&mut log, &outcome.recorder.intervals).context("the histograms")?;
    Ok((report, log))
}

/// What is seen while it runs: one line that changes, or a line a second where nobody looks.
struct View {
    bar: Option<ProgressBar>,
}

impl View {
    fn new(seconds: f64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:20} {pos}/{len} s {msg}");
            let bar = ProgressBar::new(seconds.ceil() as u64);
            bar.with_style(style.expect("a valid template"))
        });
        Self { bar }
    }

    fn show(&self, second: &Interval) {
        let latency = Percentiles::of(&second.latencies);
        let text = format!(
            "offered {}/s, served {}/s, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, slowest {:.2} \
             ms, in flight {}, errors {}",
            second.offered,
            second.served,
            latency.p50,
            latency.p99,
            latency.p999,
            latency.max,
            second.in_flight,
            second.errors
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position(second.second as u64 + 1);
                bar.set_message(text);
            }
            None => say!("{:>4.0} s: {text}", second.second),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}

/// Writes the JSON, the page and the log of histograms, and plots if they are wanted.
fn save(arguments: &RunArguments, report: &Report, log: &[u8]) -> anyhow::Result<()> {
    let out = arguments.out();
    make_parent(out)?;
    let json = serde_json::to_vec_pretty(report)?;
    write(&behind(out, ".json"), &json)?;
    write(&behind(out, ".html"), page(report).as_bytes())?;
    let log_place = behind(out, ".hlog");
    let Some(figures) = &report.figures else {
        // Latencies are figures. Those of a run before would pass for this one's.
        return remove(&log_place);
    };
    write(&log_place, log)?;
    if arguments.wants_plots() {
        for plot in plots(figures).iter().filter(|plot| !plot.svg.is_empty()) {
            let place = behind(out, &format!("-{}.svg", plot.name));
            write(&place, plot.svg.as_bytes())?;
        }
    }
    Ok(())
}

/// A report's path with this behind it, and nothing taken away: a dot in it is no extension.
fn behind(out: &Path, suffix: &str) -> PathBuf {
    let mut name = out.file_name().map_or_else(OsString::new, OsString::from);
    name.push(suffix);
    out.with_file_name(name)
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn make_parent(out: &Path) -> anyhow::Result<()> {
    if let Some(parent) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    say!("wrote {}", path.display());
    Ok(())
}

/// Says what came of it; a run without figures is a failure.
fn conclude(report: &Report) -> anyhow::Result<()> {
    if let Some(why) = &report.audit_failed {
        let early = report.partial.iter().map(|early| format!("{early}; "));
        bail!("{}{why}: the run has no figures", early.collect::<String>());
    }
    let (Some(figures), Some(audited)) = (&report.figures, &report.audit) else {
        bail!("there was no audit: the run has no figures");
    };
    say!(
        "{:.0} requests/s, {:.0} transfers or payments/s; p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} \
         ms, slowest {:.2} ms; {} of {} offered were served, {} errors",
        figures.requests_per_s,
        figures.units_per_s,
        figures.latency.p50,
        figures.latency.p99,
        figures.latency.p999,
        figures.latency.max,
        figures.served,
        figures.offered,
        figures.errors
    );
    for one in &figures.kinds {
        say!(
            "{}: {} served; p50 {:.2} ms, p99 {:.2} ms, slowest {:.2} ms",
            one.kind.name(),
            one.served,
            one.latency.p50,
            one.latency.p99,
            one.latency.max
        );
    }
    if let Some(second) = report.killed_at {
        say!(
            "killed after {second:.0} s and started again; the longest time without an answer was \
             {:.0} ms",
            figures.silence
        );
    }
    say!(
        "audit: {} accounts exact, {} acknowledged, {} of them looked up, {} unknown outcomes \
         resolved",
        audited.accounts,
        audited.acknowledged,
        audited.looked_up,
        audited.resolved
    );
    match &report.partial {
        Some(why) => bail!("the run ended early, its report is partial: {why}"),
        None => Ok(()),
    }
}
