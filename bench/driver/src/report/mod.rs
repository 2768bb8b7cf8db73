//! The figures of a run: as JSON, as a page, as logs of histograms, and against each other.

mod compare;
mod histograms;
mod machine;
mod page;
mod plots;
mod versus;

use serde::{Deserialize, Serialize};

pub use self::compare::{Difference, caveats, compare};
pub use self::histograms::write_log;
pub use self::machine::Machine;
pub use self::page::page;
pub use self::plots::{Plot, plots};
pub use self::versus::{Contender, Standing, Summary, Versus};

use crate::audit::Audited;
use crate::peak::Peak;
use crate::record::Latencies;
use crate::run::{Outcome, RunOptions};
use crate::schedule::Schedule;
use crate::workload::{JobKind, WorkloadOptions};

/// Version of the layout.
pub const VERSION: u32 = 1;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The driver's.
    pub giro: String,
    /// Who was asked.
    pub target: String,
    /// What for.
    pub workload: WorkloadOptions,
    /// When.
    pub schedule: Schedule,
    /// Whether callers waited for their answers (then `schedule` says only how long).
    pub closed: bool,
    /// Most requests with the target at a time.
    pub in_flight: usize,
    /// So long nothing counted (s).
    pub warm_up: f64,
    /// What else it was told; reports of older drivers do not have it.
    #[serde(default)]
    pub settings: Option<Settings>,
    /// Where it ran.
    pub machine: Machine,
    /// When the server was killed and started again (s), if it was.
    #[serde(default)]
    pub killed_at: Option<f64>,
    /// What was tried before, when this is the highest rate that the target bears.
    #[serde(default)]
    pub peak: Option<Peak>,
    /// Why it ended early: then its figures are of a part.
    pub partial: Option<String>,
    /// What the audit found; none when it could not be done, and then there are no figures.
    pub audit: Option<Audited>,
    /// What the audit failed of.
    pub audit_failed: Option<String>,
    /// The figures.
    pub figures: Option<Figures>,
}

/// What a run is told that its workload and schedule do not have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How long a request might take before its outcome counted as unknown (s).
    pub deadline: f64,
    /// Most transfers and branches that the audit was to look up.
    pub look_up: u64,
    /// Of a Giro that the driver started; none of any other target.
    pub started: Option<Started>,
}

/// What the driver starts a Giro with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Replicas.
    pub replicas: u8,
    /// Memory made resident (MiB).
    pub prefault_mib: u64,
    /// Further options of the server.
    pub server_options: Vec<String>,
}

/// Figures of all that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Requests that were due.
    pub offered: u64,
    /// Requests that were answered rightly.
    pub served: u64,
    /// Requests that were refused, or whose outcome was not known.
    pub errors: u64,
    /// The first of these.
    pub first_error: Option<String>,
    /// Requests served a second.
    pub requests_per_s: f64,
    /// Transfers or payments served a second.
    pub units_per_s: f64,
    /// From when requests were due to their last answer (ms).
    pub latency: Percentiles,
    /// Of each kind of request, where there are several.
    #[serde(default)]
    pub kinds: Vec<KindFigures>,
    /// The longest time without a right answer while something was asked (ms).
    #[serde(default)]
    pub silence: f64,
    /// Latency by percentile: percent, and ms.
    pub distribution: Vec<(f64, f64)>,
    /// Each second, the warm-up's too.
    pub seconds: Vec<Second>,
}

/// Figures of one kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindFigures {
    /// Which.
    pub kind: JobKind,
    /// Requests that were answered rightly.
    pub served: u64,
    /// From when they were due to their last answer (ms).
    pub latency: Percentiles,
}

/// Latencies in ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half are faster.
    pub p50: f64,
    /// One in a hundred is slower.
    pub p99: f64,
    /// One in a thousand is slower.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

impl Percentiles {
    /// Of these latencies.
    #[must_use]
    pub fn of(latencies: &Latencies) -> Self {
        let ms = |percentile| latencies.value_at_percentile(percentile) as f64 / 1e3;
        Self {
            p50: ms(50.0),
            p99: ms(99.0),
            p999: ms(99.9),
            max: latencies.max() as f64 / 1e3,
        }
    }
}

/// One second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// When it began.
    pub second: f64,
    /// Requests due.
    pub offered: u64,
    /// Requests answered.
    pub served: u64,
    /// Of those, not rightly.
    pub errors: u64,
    /// Due and not answered at its end.
    pub in_flight: u64,
    /// Of those answered (ms).
    pub latency: Percentiles,
}

impl Report {
    /// The report of a run and its audit.
    #[must_use]
    pub fn new(
        options: &RunOptions,
        target: String,
        machine: Machine,
        outcome: &Outcome,
        audited: Result<Audited, String>,
    ) -> Self {
        let (audit, audit_failed) = match audited {
            Ok(audited) => (Some(audited), None),
            Err(why) => (None, Some(why)),
        };
        let figures = audit.is_some().then(|| figures(options, outcome));
        Self {
            version: VERSION,
            giro: env!("CARGO_PKG_VERSION").into(),
            target,
            workload: options.workload.clone(),
            schedule: options.schedule.clone(),
            closed: options.closed,
            in_flight: options.in_flight,
            warm_up: options.warm_up.as_secs_f64(),
            settings: None,
            machine,
            killed_at: None,
            peak: None,
            partial: outcome.stopped.clone(),
            audit,
            audit_failed,
            figures,
        }
    }
}

fn figures(options: &RunOptions, outcome: &Outcome) -> Figures {
    let recorder = &outcome.recorder;
    let seconds = (recorder.ended - options.warm_up).as_secs_f64();
    let per_s = |count: u64| {
        if seconds > 0.0 {
            count as f64 / seconds
        } else {
            0.0
        }
    };
    let kinds = recorder.kinds.iter().map(|(kind, latencies)| KindFigures {
        kind: *kind,
        served: latencies.len(),
        latency: Percentiles::of(latencies),
    });
    let kinds: Vec<KindFigures> = kinds.collect();
    let second = |interval: &crate::record::Interval| Second {
        second: interval.second,
        offered: interval.offered,
        served: interval.served,
        errors: interval.errors,
        in_flight: interval.in_flight,
        latency: Percentiles::of(&interval.latencies),
    };
    let distribution = recorder.total.iter_quantiles(4);
    let distribution =
        distribution.map(|step| (step.percentile(), step.value_iterated_to() as f64 / 1e3));
    Figures {
        offered: recorder.offered,
        served: recorder.served,
        errors: recorder.errors,
        first_error: outcome.first_error.clone(),
        requests_per_s: per_s(recorder.served),
        units_per_s: per_s(recorder.units),
        latency: Percentiles::of(&recorder.total),
        kinds: if kinds.len() > 1 { kinds } else { Vec::new() },
        silence: recorder.silence.as_secs_f64() * 1e3,
        distribution: distribution.collect(),
        seconds: recorder.intervals.iter().map(second).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Arrivals, Stretch};
    use crate::workload::{Kind, Spread, TransferOptions};

    /// Of so many requests, with these latencies by percentile.
    pub(super) fn figures(served: u64, distribution: &[(f64, f64)]) -> Figures {
        Figures {
            offered: served,
            served,
            errors: 0,
            first_error: None,
            requests_per_s: 10.0,
            units_per_s: 100.0,
            latency: Percentiles::default(),
            kinds: Vec::new(),
            silence: 0.0,
            distribution: distribution.to_vec(),
            seconds: Vec::new(),
        }
    }

    /// Of a run that went well.
    pub(super) fn report() -> Report {
        Report {
            version: VERSION,
            giro: String::new(),
            target: "giro".into(),
            workload: WorkloadOptions {
                accounts: 50,
                spread: Spread::Uniform,
                batch: 10,
                seed: 1,
                run: 7,
                grown: 0,
                kind: Kind::Transfers(TransferOptions {
                    pending: 0.0,
                    rejected: 0.0,
                    random_ids: false,
                }),
            },
            schedule: Schedule {
                stretches: vec![Stretch::steady(1.0, 10.0)],
                arrivals: Arrivals::Poisson,
                seed: 1,
            },
            closed: false,
            in_flight: 4,
            warm_up: 0.0,
            settings: Some(Settings {
                deadline: 20.0,
                look_up: 100,
                started: None,
            }),
            machine: Machine::default(),
            killed_at: None,
            peak: None,
            partial: None,
            audit: Some(Audited::default()),
            audit_failed: None,
            figures: Some(figures(10, &[(50.0, 1.0), (100.0, 2.0)])),
        }
    }

    #[test]
    fn a_report_of_an_older_driver_is_read() {
        let mut json = serde_json::to_value(report()).unwrap();
        json.as_object_mut().unwrap().remove("settings");
        let read: Report = serde_json::from_value(json).unwrap();
        assert_eq!(read.settings, None);
    }
}
