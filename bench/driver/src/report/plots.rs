//! The plots of a run, as SVG.

use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{Figures, Second};

const SIZE: (u32, u32) = (960, 300);
const COLOURS: [RGBColor; 10] = [
    RGBColor(31, 119, 180),
    RGBColor(44, 160, 44),
    RGBColor(255, 127, 14),
    RGBColor(214, 39, 40),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
    RGBColor(127, 127, 127),
    RGBColor(188, 189, 34),
    RGBColor(23, 190, 207),
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

/// A plot of a run.
pub struct Plot {
    /// What it shows, as a part of a file's name.
    pub name: &'static str,
    /// An SVG picture; empty where there is nothing to be seen.
    pub svg: String,
}

/// The plots of a run: rates over time, latency over time, latency by percentile.
#[must_use]
pub fn plots(figures: &Figures) -> [Plot; 3] {
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
    let rates = plot(&words, &rates, false);
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
    let latencies = plot(&words, &latencies, true);
    let percentiles = by_percentile(&[("latency", figures)]);
    [
        ("rates", rates),
        ("latency", latencies),
        ("percentiles", percentiles),
    ]
    .map(|(name, svg)| Plot { name, svg })
}

/// Latency by percentile, a curve for each.
pub(super) fn by_percentile(of: &[(&str, &Figures)]) -> String {
    let curves = of.iter().map(|(name, figures)| Curve {
        name,
        points: over_nines(figures),
    });
    let words = Words {
        title: "latency by percentile",
        x: "nines (1 is 90 %, 2 is 99 %, 3 is 99.9 %)",
        y: "ms",
    };
    plot(&words, &curves.collect::<Vec<_>>(), true)
}

/// Latencies over nines: 1 is 90 %, 2 is 99 %. The slowest of a hundred requests is where 99 % end:
/// beyond, nothing was measured.
fn over_nines(figures: &Figures) -> Vec<(f64, f64)> {
    let one = 1.0 / figures.served.max(1) as f64;
    let nines = |percent: f64| -(1.0 - percent / 100.0).max(one).log10();
    let points = figures.distribution.iter();
    points.map(|(percent, ms)| (nines(*percent), *ms)).collect()
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
    for (number, curve) in curves.iter().enumerate() {
        // Curves beyond the colours have them once more, and are thicker.
        let stroke = ShapeStyle {
            color: COLOURS[number % COLOURS.len()].to_rgba(),
            filled: false,
            stroke_width: 1 + (number / COLOURS.len()) as u32,
        };
        // A second without an answer has no latency.
        let points = curve.points.iter().copied().filter(|(_, y)| *y >= least);
        chart
            .draw_series(LineSeries::new(points, stroke))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], stroke));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .draw()
}

#[cfg(test)]
mod tests {
    use super::super::tests::figures;
    use super::*;

    #[test]
    fn each_target_has_a_curve_that_differs_from_all_others() {
        let figures = figures(100, &[(0.0, 1.0), (50.0, 2.0), (100.0, 3.0)]);
        let names: Vec<String> = (0..12).map(|number| format!("target {number}")).collect();
        let of: Vec<_> = names.iter().map(|name| (name.as_str(), &figures)).collect();
        let svg = by_percentile(&of);
        let curves = svg.lines().filter(|line| line.starts_with("<polyline"));
        let look = |line: &str| {
            let part = |name| {
                line.split(name)
                    .nth(1)
                    .and_then(|rest| rest.split('"').next())
            };
            (
                part("stroke=\"").map(str::to_owned),
                part("stroke-width=\"").map(str::to_owned),
            )
        };
        let looks: std::collections::BTreeSet<_> = curves.map(look).collect();
        // The axes are one more.
        assert!(looks.len() >= 12, "{looks:?}");
        for name in &names {
            assert!(svg.contains(name), "{name}");
        }
    }

    #[test]
    fn a_curve_ends_where_the_slowest_of_its_requests_is() {
        let of_a_hundred = figures(100, &[(0.0, 1.0), (90.0, 2.0), (99.0, 3.0), (100.0, 9.0)]);
        let points = over_nines(&of_a_hundred);
        let ends = points.last().unwrap();
        assert!((ends.0 - 2.0).abs() < 1e-9, "two nines: {points:?}");
        assert_eq!(ends.1, 9.0);
        assert!((points[1].0 - 1.0).abs() < 1e-9, "{points:?}");
        assert_eq!(over_nines(&figures(0, &[])), []);
    }
}
