//! `giro bench run --find-peak`: run after run, each on a ledger of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use giro_driver::peak::{Peak, Probe, Search};
use giro_driver::record::Interval;
use giro_driver::report::Report;

use super::options::RunArguments;
use super::{conclude, measure, runtime, save};
use crate::say::say;

pub(super) fn find(arguments: &RunArguments, stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut search = Search::new(arguments.rate);
    let mut peak = Peak {
        p99_below: arguments.p99_below,
        probes: Vec::new(),
    };
    let mut best: Option<(Report, Vec<Interval>)> = None;
    let mut is_interrupted = false;
    while let Some(rate) = search.next() {
        say!("offering {rate:.0} a second");
        let mut run = arguments.clone();
        run.rate = rate;
        let options = run.options()?;
        // A run that is given up sets its own flag; Ctrl-C is seen in the other.
        let own = Arc::new(AtomicBool::new(false));
        let runtime = runtime()?;
        let (watched, passed) = (Arc::clone(stop), Arc::clone(&own));
        runtime.spawn(async move { pass_on(&watched, &passed).await });
        let measured = runtime.block_on(measure(&run, &options, &own))?;
        if stop.load(Ordering::Relaxed) {
            is_interrupted = true;
            break;
        }
        let probe = judge(rate, arguments.p99_below, &measured.0)?;
        search.tell(probe.failed.is_none());
        match &probe.failed {
            None => say!("borne: p99 {:.2} ms", probe.p99),
            Some(why) => say!("not borne: {why}"),
        }
        if probe.failed.is_none() {
            best = Some(measured);
        }
        peak.probes.push(probe);
    }
    let below = arguments.p99_below;
    let (mut report, seconds) = best.with_context(|| match is_interrupted {
        true => "interrupted before a rate was borne".to_owned(),
        false => format!("no rate that was tried has its p99 below {below} ms"),
    })?;
    let mut borne = peak.probes.iter().rev();
    let found = borne.find(|probe| probe.failed.is_none());
    let found = found.map_or(0.0, |probe| probe.rate);
    if is_interrupted {
        report.partial = Some("interrupted: the search was not over".into());
        say!("borne so far with p99 below {below} ms: {found:.0} a second");
    } else {
        say!("the highest rate with p99 below {below} ms: {found:.0} a second");
    }
    report.peak = Some(peak);
    save(arguments, &report, &seconds)?;
    conclude(&report)
}

async fn pass_on(from: &AtomicBool, to: &AtomicBool) {
    loop {
        if from.load(Ordering::Relaxed) {
            to.store(true, Ordering::Relaxed);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Whether a run bore its rate.
///
/// # Errors
/// When its books are wrong: then no rate counts.
fn judge(rate: f64, p99_below: f64, report: &Report) -> anyhow::Result<Probe> {
    if let Some(why) = &report.audit_failed {
        bail!("at {rate:.0} a second: {why}");
    }
    let figures = report.figures.as_ref().context("a run without figures")?;
    let p99 = figures.latency.p99;
    let failed = report.partial.clone().or_else(|| {
        let errors = (figures.errors > 0).then(|| format!("{} errors", figures.errors));
        errors.or_else(|| (p99 > p99_below).then(|| format!("p99 is {p99:.2} ms")))
    });
    Ok(Probe { rate, failed, p99 })
}
