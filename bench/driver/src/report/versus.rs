//! Several targets, asked in turn in one go: medians, and ratios with their spread.

use serde::{Deserialize, Serialize};

use super::page::{HEAD, kind, push, settings_of};
use super::plots::by_percentile;
use super::{Figures, Report};

/// All runs of all targets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Versus {
    /// In the order they were named; the others are held against the first.
    pub contenders: Vec<Contender>,
    /// Why it ended early.
    pub partial: Option<String>,
}

/// A target and its runs, one a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contender {
    /// Who, and with how many requests in flight.
    pub name: String,
    /// Its runs.
    pub rounds: Vec<Report>,
}

/// The middle of some figures, the least and the most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Half of them are less.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

/// How a target did.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Who.
    pub name: String,
    /// Transfers or payments a second.
    pub units_per_s: Summary,
    /// Latency (ms): half are faster.
    pub p50: Summary,
    /// Latency (ms): one in a hundred is slower.
    pub p99: Summary,
    /// Requests of all its runs that were refused or not answered in time: no latency has them.
    pub errors: u64,
    /// The first of these.
    pub first_error: Option<String>,
    /// The first target's transfers or payments a second in units of this one's, round by round.
    pub first_is_times: Summary,
}

impl Summary {
    /// Of these; none of none.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut all: Vec<f64> = figures.into_iter().collect();
        all.sort_by(f64::total_cmp);
        let (least, most) = (*all.first()?, *all.last()?);
        let (low, high) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
        Some(Self {
            median: f64::midpoint(low, high),
            least,
            most,
        })
    }

    /// Such as `2.0 (1.0 to 3.0)`, with so many digits behind the point.
    #[must_use]
    pub fn show(&self, digits: usize) -> String {
        format!(
            "{:.digits$} ({:.digits$} to {:.digits$})",
            self.median, self.least, self.most
        )
    }
}

impl Standing {
    /// What its latencies do not say; none when there is no such thing.
    #[must_use]
    pub fn error_line(&self) -> Option<String> {
        let first = self.first_error.as_deref().unwrap_or("unknown");
        let (name, errors) = (&self.name, self.errors);
        (errors > 0).then(|| {
            format!(
                "{name}: {errors} requests were refused or not answered in time, and no latency \
                 has them; the first: {first}"
            )
        })
    }
}

impl Contender {
    /// Of all its runs; none when one has none.
    fn figures(&self) -> Option<Vec<&Figures>> {
        let rounds = self.rounds.iter();
        rounds.map(|report| report.figures.as_ref()).collect()
    }

    /// Its name, and the figures of its run in the middle.
    fn middle(&self) -> Option<(&str, &Figures)> {
        let mut rounds = self.figures()?;
        rounds.sort_by(|a, b| a.units_per_s.total_cmp(&b.units_per_s));
        Some((&self.name, rounds.get(rounds.len() / 2).copied()?))
    }
}

impl Versus {
    /// How each did.
    ///
    /// # Errors
    /// When a run has no figures.
    pub fn standings(&self) -> Result<Vec<Standing>, String> {
        let none = |of: &Contender| format!("a run of {} has no figures", of.name);
        let Some(first) = self.contenders.first() else {
            return Ok(Vec::new());
        };
        let first = first.figures().ok_or_else(|| none(first))?;
        let standing = |contender: &Contender| {
            let rounds = contender.figures().ok_or_else(|| none(contender))?;
            let summary_of = |figure: fn(&Figures) -> f64| {
                let summary = Summary::of(rounds.iter().map(|round| figure(round)));
                summary.ok_or_else(|| none(contender))
            };
            let pairs = first.iter().zip(&rounds);
            let ratios = pairs.map(|(first, this)| first.units_per_s / this.units_per_s);
            Ok(Standing {
                name: contender.name.clone(),
                units_per_s: summary_of(|round| round.units_per_s)?,
                p50: summary_of(|round| round.latency.p50)?,
                p99: summary_of(|round| round.latency.p99)?,
                errors: rounds.iter().map(|round| round.errors).sum(),
                first_error: rounds.iter().find_map(|round| round.first_error.clone()),
                first_is_times: Summary::of(ratios).ok_or_else(|| none(contender))?,
            })
        };
        self.contenders.iter().map(standing).collect()
    }

    /// Latency by percentile of each target's run in the middle, as SVG; empty where there is
    /// nothing to be seen.
    #[must_use]
    pub fn plot(&self) -> String {
        let contenders = self.contenders.iter();
        by_percentile(&contenders.filter_map(Contender::middle).collect::<Vec<_>>())
    }

    /// One page that needs nothing else.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = String::from(HEAD);
        let mut reports = self.contenders.iter().flat_map(|one| &one.rounds);
        let what = reports.next().map_or("nothing", kind);
        push(&mut page, "h1", &format!("{what}: targets in turn"));
        if let Some(why) = &self.partial {
            push(&mut page, "p class=\"bad\"", &format!("Partial: {why}"));
        }
        match self.standings() {
            Ok(standings) => table(&mut page, &standings),
            Err(why) => push(&mut page, "p class=\"bad\"", &format!("No figures: {why}")),
        }
        push(&mut page, "p", "Of each target's run in the middle:");
        page.push_str(&self.plot());
        let firsts = self.contenders.iter().filter_map(|one| one.rounds.first());
        settings_of(&mut page, firsts);
        page
    }
}

fn table(page: &mut String, standings: &[Standing]) {
    page.push_str("<table>");
    let heads = [
        "",
        "a second",
        "p50, ms",
        "p99, ms",
        "errors",
        "the first is",
    ];
    for head in heads {
        push(page, "th", head);
    }
    for standing in standings {
        page.push_str("<tr>");
        push(page, "th", &standing.name);
        push(page, "td", &standing.units_per_s.show(0));
        push(page, "td", &standing.p50.show(2));
        push(page, "td", &standing.p99.show(2));
        push(page, "td", &standing.errors.to_string());
        let times = format!("{} times", standing.first_is_times.show(2));
        push(page, "td", &times);
        page.push_str("</tr>");
    }
    page.push_str("</table>\n");
    for standing in standings {
        if let Some(line) = standing.error_line() {
            push(page, "p class=\"bad\"", &line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn errors_are_shown_since_no_latency_has_them() {
        let contender = |name: &str, errors: u64| {
            let mut one = report();
            let figures = one.figures.as_mut().unwrap();
            figures.errors = errors;
            figures.first_error = (errors > 0).then(|| "no answer by the deadline".into());
            Contender {
                name: name.into(),
                rounds: vec![one.clone(), one],
            }
        };
        let versus = Versus {
            contenders: vec![contender("well", 0), contender("ill", 3)],
            partial: None,
        };
        let standings = versus.standings().unwrap();
        assert_eq!((standings[0].errors, standings[1].errors), (0, 6));
        assert_eq!(standings[0].error_line(), None);
        let page = versus.page();
        assert!(
            page.contains("<th>errors</th>") && page.contains("<td>6</td>"),
            "{page}"
        );
        let line = "ill: 6 requests were refused or not answered in time, and no latency has them; \
                    the first: no answer by the deadline";
        assert_eq!(standings[1].error_line().as_deref(), Some(line));
        assert!(page.contains(line), "{page}");
        let json = serde_json::to_value(&versus).unwrap();
        assert_eq!(json["contenders"][1]["rounds"][0]["figures"]["errors"], 3);
    }

    #[test]
    fn a_median_is_in_the_middle_and_of_two_between_them() {
        let summary = Summary::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!(
            (summary.median, summary.least, summary.most),
            (2.0, 1.0, 3.0)
        );
        assert_eq!(Summary::of([1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Summary::of([]), None);
    }
}
