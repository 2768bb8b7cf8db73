//! Two runs against each other.

use serde_json::{Map, Value, json};

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
    /// By how much the second is above the first (percent); 0 when both are equal, none when there
    /// is something where there was nothing.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        if self.first == self.second {
            return Some(0.0);
        }
        (self.first != 0.0).then(|| (self.second / self.first - 1.0) * 100.0)
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

/// What stands against comparing two runs, a line each: runs that ended early, and every setting in
/// which they differ.
#[must_use]
pub fn caveats(first: &Report, second: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for (which, report) in [("first", first), ("second", second)] {
        if let Some(why) = &report.partial {
            lines.push(format!(
                "the {which} run ended early, its figures are of a part: {why}"
            ));
        }
    }
    differ("", &settings(first), &settings(second), &mut lines);
    lines
}

/// All that shapes a run and can be the same in another one.
fn settings(report: &Report) -> Value {
    let workload = &report.workload;
    let mut all = json!({
        "target": report.target,
        "loop": if report.closed { "closed" } else { "open" },
        "workload": workload,
        "schedule": report.schedule,
        "in_flight": report.in_flight,
        "warm_up": report.warm_up,
        "killed": report.killed_at.is_some(),
        "p99_below": report.peak.as_ref().map(|peak| peak.p99_below),
        "settings": report.settings,
        "machine": report.machine,
    });
    // Other numbers of the same kind.
    for (part, drawn) in [
        ("workload", "seed"),
        ("workload", "run"),
        ("schedule", "seed"),
    ] {
        if let Some(part) = all[part].as_object_mut() {
            part.shift_remove(drawn);
        }
    }
    all
}

/// A line for each place in which two values differ.
fn differ(place: &str, first: &Value, second: &Value, lines: &mut Vec<String>) {
    let within = |name: &str| match place {
        "" => name.to_owned(),
        _ => format!("{place}.{name}"),
    };
    match (first, second) {
        _ if first == second => {}
        // A report of a driver that did not write its settings down says nothing of them.
        (Value::Null, _) | (_, Value::Null) if place == "settings" => {}
        (Value::Object(one), Value::Object(other)) => {
            for name in names(one, other) {
                differ(&within(name), &first[name], &second[name], lines);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (number, (one, other)) in one.iter().zip(other).enumerate() {
                differ(&within(&number.to_string()), one, other, lines);
            }
        }
        _ => lines.push(format!(
            "{place} is {first} in the first run, {second} in the second"
        )),
    }
}

/// Of what is in one of them, or in both.
fn names<'a>(one: &'a Map<String, Value>, other: &'a Map<String, Value>) -> Vec<&'a str> {
    let further = other.keys().filter(|name| !one.contains_key(*name));
    one.keys().chain(further).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn what_two_runs_do_not_share_is_said_and_what_is_drawn_by_lot_is_not() {
        let first = report();
        let mut second = report();
        second.workload.run += 1;
        second.workload.seed += 1;
        second.schedule.seed += 1;
        assert_eq!(caveats(&first, &second), [""; 0]);
        second.partial = Some("interrupted".into());
        second.closed = true;
        second.target = "library".into();
        second.workload.batch = 5;
        second.settings.as_mut().unwrap().deadline = 1.0;
        let said = caveats(&first, &second);
        for (line, part) in said.iter().zip([
            "the second run ended early, its figures are of a part: interrupted",
            "target is \"giro\" in the first run, \"library\" in the second",
            "loop is \"open\" in the first run, \"closed\" in the second",
            "workload.batch is 10 in the first run, 5 in the second",
            "settings.deadline is 20.0 in the first run, 1.0 in the second",
        ]) {
            assert_eq!(line, part);
        }
        assert_eq!(said.len(), 5, "{said:?}");
        // An older report does not have its settings.
        second.settings = None;
        assert_eq!(caveats(&first, &second).len(), 4);
    }

    #[test]
    fn errors_where_there_were_none_are_no_percentage() {
        let of = |first, second| Difference {
            what: "errors",
            first,
            second,
        };
        assert_eq!(of(0.0, 5.0).percent(), None);
        assert_eq!(of(0.0, 0.0).percent(), Some(0.0));
        assert_eq!(of(5.0, 0.0).percent(), Some(-100.0));
    }
}
