//! Two runs against each other.

use super::Report;

/// One figure of both.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Which.
    pub what: &'static str,
    /// Of the first run.
    pub first: f64,
    /// Of the second.
    pub second: f64,
}

impl Difference {
    /// By how much the second is above the first (percent); 0 when both are equal.
    #[must_use]
    pub fn percent(&self) -> f64 {
        if self.first == self.second {
            return 0.0;
        }
        (self.second / self.first - 1.0) * 100.0
    }
}

/// The figures of two runs.
///
/// # Errors
/// When one has none.
pub fn compare(first: &Report, second: &Report) -> Result<Vec<Difference>, String> {
    let figures = |report: &Report, which| {
        let none = || format!("the {which} run has no figures: its audit failed");
        report.figures.clone().ok_or_else(none)
    };
    let (first, second) = (figures(first, "first")?, figures(second, "second")?);
    let row = |what, first, second| Difference {
        what,
        first,
        second,
    };
    Ok(vec![
        row("requests/s", first.requests_per_s, second.requests_per_s),
        row("units/s", first.units_per_s, second.units_per_s),
        row("p50, ms", first.latency.p50, second.latency.p50),
        row("p99, ms", first.latency.p99, second.latency.p99),
        row("p99.9, ms", first.latency.p999, second.latency.p999),
        row("max, ms", first.latency.max, second.latency.max),
        row("errors", first.errors as f64, second.errors as f64),
    ])
}
