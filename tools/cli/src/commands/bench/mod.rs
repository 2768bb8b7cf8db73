//! `giro bench`: rehearsals of peak load.

mod options;
mod server;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use giro::{Ledger, TccParticipant};
use giro_client::{Client, ClientOptions};
use giro_driver::audit::audit;
use giro_driver::record::Interval;
use giro_driver::report::{Machine, Percentiles, Report, compare, page, write_log};
use giro_driver::run::{RunOptions, run as drive};
use giro_driver::target::Target;
use giro_driver::workload::Workload;
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};

use self::options::{RunArguments, TargetKind};
use self::server::Server;

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
        What::Compare { first, second } => print_differences(first, second),
    }
}

fn run_one(arguments: &RunArguments) -> anyhow::Result<()> {
    let options = arguments.options()?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(measure(arguments, &options, &stop))?;
    save(arguments.out(), &report.0, &report.1)?;
    conclude(&report.0)
}

/// Runs and audits.
async fn measure(
    arguments: &RunArguments,
    options: &RunOptions,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<(Report, Vec<Interval>)> {
    let place = Place::new(arguments, options).await?;
    let target = &place.target;
    let accounts: Vec<_> = Workload::new(&options.workload).accounts().collect();
    target
        .create_accounts(&accounts)
        .await
        .context("cannot make the accounts")?;
    let view = View::new(options.schedule.seconds());
    let outcome = drive(options, target, stop, &mut |second| view.show(second)).await;
    view.finish();
    println!("auditing ...");
    let audited = audit(target, &options.workload, &outcome.fates, arguments.look_up).await;
    let audited = audited.map_err(|error| error.to_string());
    let machine = Machine::here(place.dir());
    let report = Report::new(options, place.name.clone(), machine, &outcome, audited);
    Ok((report, outcome.recorder.intervals))
}

/// Where a run runs; what was made for it is removed with it.
struct Place {
    target: Target,
    name: String,
    // In this order: a server ends before its directory goes.
    _server: Option<Server>,
    scratch: Option<Scratch>,
}

/// A directory that goes with its owner.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("giro: {} stays: {error}", self.0.display());
        }
    }
}

impl Place {
    async fn new(arguments: &RunArguments, options: &RunOptions) -> anyhow::Result<Self> {
        let own = || {
            let dir = arguments.dir.join(format!("bench-{}", std::process::id()));
            fs::create_dir_all(&arguments.dir)
                .with_context(|| format!("cannot make {}", arguments.dir.display()))?;
            anyhow::Ok(dir)
        };
        if arguments.target == TargetKind::Library {
            let dir = own()?;
            let settings = giro::Options {
                prefault_bytes: usize::try_from(arguments.prefault_mib << 20)?,
                ..giro::Options::default()
            };
            let ledger = Ledger::open(&dir, settings)?;
            let tcc = TccParticipant::new(ledger.clone());
            return Ok(Self {
                target: Target::Library(ledger, tcc),
                name: "giro, library".into(),
                _server: None,
                scratch: Some(Scratch(dir)),
            });
        }
        let (server, scratch) = match &arguments.addresses {
            Some(_) => (None, None),
            None => {
                let dir = own()?;
                let scratch = Scratch(dir.clone());
                (Some(Server::start(&dir, arguments)?), Some(scratch))
            }
        };
        let addresses = match (&server, &arguments.addresses) {
            (Some(server), _) => server.address.clone(),
            (None, Some(addresses)) => addresses.clone(),
            (None, None) => unreachable!("one was started"),
        };
        let client = ClientOptions {
            cluster: arguments.cluster,
            sessions_max: options.in_flight,
            deadline: arguments.deadline(),
            ..ClientOptions::default()
        };
        let client = Client::connect(&addresses, client)
            .await
            .with_context(|| format!("no Giro answers at {addresses}"))?;
        let name = match server {
            Some(_) => "giro".into(),
            None => format!("giro at {addresses}"),
        };
        Ok(Self {
            target: Target::Giro(client),
            name,
            _server: server,
            scratch,
        })
    }

    fn dir(&self) -> Option<&Path> {
        self.scratch.as_ref().map(|scratch| scratch.0.as_path())
    }
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
            None => println!("{:>4.0} s: {text}", second.second),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}

/// Writes the JSON, the page and the log of histograms.
fn save(out: &Path, report: &Report, seconds: &[Interval]) -> anyhow::Result<()> {
    if let Some(parent) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let written = |path: PathBuf, bytes: &[u8]| {
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
        anyhow::Ok(())
    };
    let mut log = Vec::new();
    write_log(&mut log, seconds).context("the histograms")?;
    let json = serde_json::to_vec_pretty(report)?;
    written(out.with_extension("json"), &json)?;
    written(out.with_extension("html"), page(report).as_bytes())?;
    written(out.with_extension("hlog"), &log)
}

/// Says what came of it; a run without figures is a failure.
fn conclude(report: &Report) -> anyhow::Result<()> {
    if let Some(why) = &report.audit_failed {
        bail!("{why}: the run has no figures");
    }
    let (Some(figures), Some(audited)) = (&report.figures, &report.audit) else {
        bail!("there was no audit: the run has no figures");
    };
    println!(
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
    println!(
        "audit: {} accounts exact, {} acknowledged, {} of them looked up, {} unknown outcomes \
         resolved",
        audited.accounts, audited.acknowledged, audited.looked_up, audited.resolved
    );
    match &report.partial {
        Some(why) => bail!("the run ended early, its report is partial: {why}"),
        None => Ok(()),
    }
}

fn print_differences(first: &Path, second: &Path) -> anyhow::Result<()> {
    let read = |path: &Path| -> anyhow::Result<Report> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is no report of giro bench", path.display()))
    };
    let differences = compare(&read(first)?, &read(second)?).map_err(anyhow::Error::msg)?;
    println!(
        "{:<12} {:>14} {:>14} {:>10}",
        "", "first", "second", "change"
    );
    for difference in differences {
        println!(
            "{:<12} {:>14.2} {:>14.2} {:>+8.1} %",
            difference.what,
            difference.first,
            difference.second,
            difference.percent()
        );
    }
    Ok(())
}
