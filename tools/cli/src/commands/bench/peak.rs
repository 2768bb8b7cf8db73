//! `giro bench run --find-peak`: run after run, each on a ledger of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, anyhow, bail, ensure};
use giro_driver::peak::{Peak, Probe, Search};
use giro_driver::report::Report;

use super::options::RunArguments;
use super::{conclude, measure, runtime, save};
use crate::say::say;

pub(super) fn find(arguments: &RunArguments, stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut hunt = Hunt::new(arguments);
    // Whatever ends it, there is a report of what was measured before.
    let ended = hunt.go(arguments, stop);
    let below = arguments.p99_below;
    let found = hunt.search.borne();
    let ended = ended.and_then(|()| {
        ensure!(
            found.is_some(),
            "no rate that was tried has its p99 below {below} ms"
        );
        Ok(())
    });
    let Some((mut report, log)) = hunt.kept.pop().map(|kept| kept.run).or(hunt.last) else {
        // Nothing was measured.
        return ended;
    };
    report.partial = ended.as_ref().err().map(|why| format!("{why:#}"));
    report.peak = Some(hunt.peak);
    save(arguments, &report, &log)?;
    if let Some(found) = found {
        let what = match &ended {
            Ok(()) => format!("the highest rate with p99 below {below} ms"),
            Err(_) => format!("borne so far with p99 below {below} ms"),
        };
        say!("{what}: {found:.0} a second");
    }
    ended.context("the report is partial")?;
    conclude(&report)
}

/// A search with what it has measured.
struct Hunt {
    search: Search,
    peak: Peak,
    /// Of each rate that was borne and not refuted, rising.
    kept: Vec<Kept>,
    /// The last run, when it is none of these.
    last: Option<Run>,
}

/// A report and its log of histograms.
type Run = (Report, Vec<u8>);

struct Kept {
    rate: f64,
    run: Run,
}

impl Hunt {
    fn new(arguments: &RunArguments) -> Self {
        Self {
            search: Search::new(arguments.rate),
            peak: Peak {
                p99_below: arguments.p99_below,
                probes: Vec::new(),
            },
            kept: Vec::new(),
            last: None,
        }
    }

    /// Tries rates until the search is over.
    ///
    /// # Errors
    /// When it cannot go on.
    fn go(&mut self, arguments: &RunArguments, stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
        while let Some(rate) = self.search.next() {
            say!("offering {rate:.0} a second");
            let run = run(arguments, rate, stop);
            let (report, log) = run.with_context(|| format!("at {rate:.0} a second"))?;
            if stop.load(Ordering::Relaxed) {
                self.last = Some((report, log));
                bail!("interrupted: the search was not over");
            }
            let probe = judge(rate, self.peak.p99_below, &report);
            let is_borne = probe.failed.is_none();
            match &probe.failed {
                None => say!("borne: p99 {:.2} ms", probe.p99),
                Some(why) => say!("not borne: {why}"),
            }
            self.peak.probes.push(probe);
            self.search.tell(is_borne);
            let borne = self.search.borne();
            // A rate that is borne again has its newer run; one that is refuted has none.
            self.kept
                .retain(|kept| kept.rate != rate && borne >= Some(kept.rate));
            let books = wrong_books(rate, &report);
            let run = (report, log);
            if is_borne {
                self.kept.push(Kept { rate, run });
            } else {
                self.last = Some(run);
            }
            books?;
        }
        Ok(())
    }
}

/// One run at this rate.
fn run(arguments: &RunArguments, rate: f64, stop: &Arc<AtomicBool>) -> anyhow::Result<Run> {
    let mut run = arguments.clone();
    run.rate = rate;
    let options = run.options()?;
    // A run that is given up sets its own flag; Ctrl-C is seen in the other.
    let own = Arc::new(AtomicBool::new(false));
    let runtime = runtime()?;
    let (watched, passed) = (Arc::clone(stop), Arc::clone(&own));
    runtime.spawn(async move { pass_on(&watched, &passed).await });
    runtime.block_on(measure(&run, &options, &own))
}

async fn pass_on(from: &AtomicBool, to: &AtomicBool) {
    loop {
        if from.load(Ordering::Relaxed) {
            to.store(true, Ordering::Relaxed);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Where books are wrong, or nobody can tell, the search is over.
fn wrong_books(rate: f64, report: &Report) -> anyhow::Result<()> {
    match &report.audit_failed {
        None => Ok(()),
        Some(why) => Err(anyhow!("at {rate:.0} a second: {why}")),
    }
}

/// Whether a run bore its rate.
fn judge(rate: f64, p99_below: f64, report: &Report) -> Probe {
    let of = report.figures.as_ref();
    let (served, errors) = of.map_or((0, 0), |figures| (figures.served, figures.errors));
    let p99 = of.map_or(0.0, |figures| figures.latency.p99);
    let failed = report.audit_failed.clone();
    let failed = failed.or_else(|| report.partial.clone()).or_else(|| {
        let errors = (errors > 0).then(|| format!("{errors} errors"));
        let nothing = (served == 0).then(|| "nothing was served".to_owned());
        let slow = (p99 > p99_below).then(|| format!("p99 is {p99:.2} ms"));
        errors.or(nothing).or(slow)
    });
    Probe { rate, failed, p99 }
}
