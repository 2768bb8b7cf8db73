//! One page that needs nothing else: figures, plots, settings.

use std::fmt::Write as _;

use super::plots::plots;
use super::{Figures, Report};
use crate::peak::Peak;

/// The page of a run.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut page = String::from(HEAD);
    let title = format!("{} against {}", kind(report), report.target);
    push(&mut page, "h1", &title);
    if let Some(why) = &report.partial {
        push(&mut page, "p class=\"bad\"", &format!("Partial: {why}"));
    }
    match (&report.figures, &report.audit_failed) {
        (Some(figures), _) => body(&mut page, report, figures),
        (None, why) => {
            let why = why.as_deref().unwrap_or("there was no audit");
            push(&mut page, "p class=\"bad\"", &format!("No figures: {why}"));
        }
    }
    settings_of(&mut page, std::iter::once(report));
    page
}

/// The end of a page: all of the reports but their figures.
pub(super) fn settings_of<'a>(page: &mut String, reports: impl Iterator<Item = &'a Report>) {
    push(page, "h2", "Settings and machine");
    for report in reports {
        let settings = serde_json::to_string_pretty(&Report {
            figures: None,
            ..report.clone()
        });
        push(page, "pre", &settings.unwrap_or_default());
    }
    page.push_str("</body></html>\n");
}

pub(super) const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<title>giro bench</title><link rel=\"icon\" href=\"data:,\"><style>\
body{font:15px/1.5 sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse}\
td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd}\
.bad{color:#b00;font-weight:bold}svg{max-width:100%;height:auto}\
pre{background:#f6f6f6;padding:1rem;overflow:auto}</style></head><body>\n";

pub(super) fn kind(report: &Report) -> &'static str {
    match report.workload.kind {
        crate::workload::Kind::Transfers(_) => "transfers",
        crate::workload::Kind::Tcc(_) => "TCC payments",
        crate::workload::Kind::Mix(_) => "writes and reads",
    }
}

/// An element with a text. The tag may have attributes.
pub(super) fn push(page: &mut String, tag: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let name = tag.split(' ').next().unwrap_or(tag);
    writeln!(page, "<{tag}>{text}</{name}>").expect("memory takes all");
}

fn body(page: &mut String, report: &Report, figures: &Figures) {
    let how = if report.closed {
        "Closed loop: callers wait for their answers, so a stall of the target hides what would \
         have been asked meanwhile."
    } else {
        "Open loop: requests have their times, and latency counts from then."
    };
    push(page, "p", how);
    if let Some(second) = report.killed_at {
        let text = format!(
            "The server was killed after {second:.0} s and started again; the longest time without \
             an answer was {:.0} ms.",
            figures.silence
        );
        push(page, "p", &text);
    }
    if let Some(peak) = &report.peak {
        probes(page, peak);
    }
    table(page, figures);
    if let Some(audit) = &report.audit {
        let text = format!(
            "Audit: {} accounts exact; {} transfers or branches acknowledged, {} of them looked \
             up; {} unknown outcomes resolved.",
            audit.accounts, audit.acknowledged, audit.looked_up, audit.resolved
        );
        push(page, "p", &text);
    }
    for plot in plots(figures) {
        page.push_str(&plot.svg);
    }
}

fn table(page: &mut String, figures: &Figures) {
    let latency = figures.latency;
    let served = format!(
        "{}, {}, {}",
        figures.offered, figures.served, figures.errors
    );
    let rows = [
        (
            "requests a second",
            format!("{:.0}", figures.requests_per_s),
        ),
        (
            "transfers or payments a second",
            format!("{:.0}", figures.units_per_s),
        ),
        ("offered, served, errors", served),
        ("p50, ms", format!("{:.2}", latency.p50)),
        ("p99, ms", format!("{:.2}", latency.p99)),
        ("p99.9, ms", format!("{:.2}", latency.p999)),
        ("slowest, ms", format!("{:.2}", latency.max)),
        (
            "longest without an answer, ms",
            format!("{:.2}", figures.silence),
        ),
    ];
    page.push_str("<table>");
    for (name, value) in rows {
        write!(page, "<tr><th>{name}</th><td>{value}</td></tr>").expect("memory takes all");
    }
    page.push_str("</table>\n");
    kinds(page, figures);
}

fn probes(page: &mut String, peak: &Peak) {
    let bound = peak.p99_below;
    let text = format!("The highest rate with p99 below {bound} ms, of those that were tried:");
    push(page, "p", &text);
    page.push_str("<table><tr><th>a second</th><th>p99, ms</th><th></th></tr>");
    for probe in &peak.probes {
        page.push_str("<tr>");
        push(page, "td", &format!("{:.0}", probe.rate));
        push(page, "td", &format!("{:.2}", probe.p99));
        push(page, "td", probe.failed.as_deref().unwrap_or("borne"));
        page.push_str("</tr>");
    }
    page.push_str("</table>\n");
}

fn kinds(page: &mut String, figures: &Figures) {
    if figures.kinds.is_empty() {
        return;
    }
    let heads = [
        "",
        "served",
        "p50, ms",
        "p99, ms",
        "p99.9, ms",
        "slowest, ms",
    ];
    let heads: String = heads.map(|head| format!("<th>{head}</th>")).concat();
    write!(page, "<table><tr>{heads}</tr>").expect("memory takes all");
    for one in &figures.kinds {
        let (name, served, latency) = (one.kind.name(), one.served, one.latency);
        write!(
            page,
            "<tr><th>{name}</th><td>{served}</td><td>{:.2}</td><td>{:.2}</td><td>{:.2}</td>\
             <td>{:.2}</td></tr>",
            latency.p50, latency.p99, latency.p999, latency.max
        )
        .expect("memory takes all");
    }
    page.push_str("</table>\n");
}
