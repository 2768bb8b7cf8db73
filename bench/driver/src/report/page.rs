//! One page that needs nothing else: figures, plots, settings.

use std::fmt::Write as _;

use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{Figures, Report, Second};
use crate::peak::Peak;

const SIZE: (u32, u32) = (960, 300);
const COLOURS: [RGBColor; 4] = [
    RGBColor(31, 119, 180),
    RGBColor(44, 160, 44),
    RGBColor(255, 127, 14),
    RGBColor(214, 39, 40),
];

/// A curve.
struct Curve<'a> {
    name: &'a str,
    points: Vec<(f64, f64)>,
}

/// A plot's words.
struct Words<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
}

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
    plots(page, figures);
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

fn plots(page: &mut String, figures: &Figures) {
    let over_time = |name, value: fn(&Second) -> f64| {
        let seconds = figures.seconds.iter();
        Curve {
            name,
            points: seconds.map(|s| (s.second, value(s))).collect(),
        }
    };
    let rates = [
        over_time("offered", |second| second.offered as f64),
        over_time("served", |second| second.served as f64),
    ];
    let words = Words {
        title: "offered and served",
        x: "seconds",
        y: "requests a second",
    };
    page.push_str(&plot(&words, &rates, false));
    let latencies = [
        over_time("p50", |second| second.latency.p50),
        over_time("p99", |second| second.latency.p99),
        over_time("p99.9", |second| second.latency.p999),
        over_time("slowest", |second| second.latency.max),
    ];
    let words = Words {
        title: "latency over time",
        x: "seconds",
        y: "ms",
    };
    page.push_str(&plot(&words, &latencies, true));
    page.push_str(&by_percentile(&[("latency", figures)]));
}

/// Latency by percentile, a curve for each.
pub(super) fn by_percentile(of: &[(&str, &Figures)]) -> String {
    // Nines: 1 is 90 %, 2 is 99 %.
    let nines = |percentile: f64| -(1.0 - percentile / 100.0).max(1e-7).log10();
    let curves = of.iter().map(|(name, figures)| {
        let points = figures.distribution.iter();
        let points = points.map(|(percent, ms)| (nines(*percent), *ms)).collect();
        Curve { name, points }
    });
    let words = Words {
        title: "latency by percentile",
        x: "nines (1 is 90 %, 2 is 99 %, 3 is 99.9 %)",
        y: "ms",
    };
    plot(&words, &curves.collect::<Vec<_>>(), true)
}

/// A plot as SVG; an empty text when there is nothing to be seen.
fn plot(words: &Words<'_>, curves: &[Curve<'_>], logarithmic: bool) -> String {
    let mut text = String::new();
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let end = points().map(|(x, _)| *x).fold(1.0, f64::max);
    let most = points().map(|(_, y)| *y).fold(0.0, f64::max) * 1.1;
    let positive = points().map(|(_, y)| *y).filter(|y| *y > 0.0);
    let least = positive.fold(f64::INFINITY, f64::min);
    if most <= 0.0 {
        return text;
    }
    let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
    let mut builder = ChartBuilder::on(&root);
    builder
        .caption(words.title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(35)
        .y_label_area_size(70);
    let drawn = if logarithmic {
        let range = (least..most).log_scale();
        let chart = builder.build_cartesian_2d(0.0..end, range);
        chart.map(|chart| lines(chart, words, curves, least))
    } else {
        let chart = builder.build_cartesian_2d(0.0..end, 0.0..most);
        chart.map(|chart| lines(chart, words, curves, 0.0))
    };
    // Drawing to memory does not fail; a plot that could not be drawn is left out.
    let is_drawn = matches!(drawn, Ok(Ok(()))) && root.present().is_ok();
    drop(root);
    if is_drawn { text } else { String::new() }
}

type Chart<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

fn lines<'b, Y>(
    mut chart: Chart<'b, 'b, Y>,
    words: &Words<'_>,
    curves: &[Curve<'_>],
    least: f64,
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'b> as DrawingBackend>::ErrorType>>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(words.x)
        .y_desc(words.y)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (curve, colour) in curves.iter().zip(COLOURS) {
        // A second without an answer has no latency.
        let points = curve.points.iter().copied().filter(|(_, y)| *y >= least);
        chart
            .draw_series(LineSeries::new(points, &colour))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .draw()
}
