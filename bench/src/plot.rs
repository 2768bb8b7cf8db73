//! Plots of figures over time, as SVG.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

/// A row of figures over time.
pub(crate) struct Series<'a> {
    /// What it shows.
    pub(crate) name: &'a str,
    /// Seconds from the start, and the figure.
    pub(crate) points: Vec<(f64, f64)>,
}

/// How the figures' axis is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From zero, evenly.
    Linear,
    /// By powers of ten.
    Logarithmic,
}

/// What a plot says of itself.
pub(crate) struct Caption<'a> {
    /// Above it.
    pub(crate) title: &'a str,
    /// Beside the figures.
    pub(crate) unit: &'a str,
    /// How they are drawn.
    pub(crate) scale: Scale,
}

const SIZE: (u32, u32) = (960, 320);
const COLOURS: [RGBColor; 4] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
];

/// Draws the rows, one plot below the other, to `path`.
pub(crate) fn draw(path: &Path, plots: &[(Caption<'_>, Vec<Series<'_>>)]) -> anyhow::Result<()> {
    let size = (SIZE.0, SIZE.1 * plots.len() as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    let areas = root.split_evenly((plots.len(), 1));
    for ((caption, series), area) in plots.iter().zip(&areas) {
        let points = || series.iter().flat_map(|series| &series.points);
        let end = points().map(|(second, _)| *second).fold(1.0, f64::max);
        let most = points().map(|(_, figure)| *figure).fold(0.0, f64::max) * 1.1;
        let least = points().map(|(_, figure)| *figure).fold(most, f64::min);
        let mut builder = ChartBuilder::on(area);
        builder
            .caption(caption.title, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(35)
            .y_label_area_size(70);
        match caption.scale {
            Scale::Linear => {
                let chart = builder.build_cartesian_2d(0.0..end, 0.0..most);
                lines(chart.map_err(failed)?, caption, series)?;
            }
            Scale::Logarithmic => {
                let range = (least.max(1e-3)..most).log_scale();
                let chart = builder.build_cartesian_2d(0.0..end, range);
                lines(chart.map_err(failed)?, caption, series)?;
            }
        }
    }
    root.present().map_err(failed)
}

type Area<'a, Y> =
    ChartContext<'a, SVGBackend<'a>, Cartesian2d<plotters::coord::types::RangedCoordf64, Y>>;

fn lines<'a, Y>(
    mut chart: Area<'a, Y>,
    caption: &Caption<'_>,
    series: &[Series<'_>],
) -> anyhow::Result<()>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc("seconds")
        .y_desc(caption.unit)
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(failed)?;
    for (series, colour) in series.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(series.points.iter().copied(), &colour))
            .map_err(failed)?
            .label(series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .draw()
        .map_err(failed)
}

/// A path with this behind it, and nothing taken away: a dot in it is no extension.
pub(crate) fn behind(out: &Path, suffix: &str) -> PathBuf {
    let mut name = out.file_name().map_or_else(OsString::new, OsString::from);
    name.push(suffix);
    out.with_file_name(name)
}

/// The backend's errors cannot leave the thread.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_whose_names_have_dots_stay_apart() {
        let place = |out| behind(Path::new(out), ".csv");
        assert_eq!(place("runs/load-0.5"), Path::new("runs/load-0.5.csv"));
        assert_eq!(place("load"), Path::new("load.csv"));
        assert_eq!(place("runs/"), Path::new("runs.csv"));
    }
}
