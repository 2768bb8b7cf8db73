//! A driver for rehearsals of peak load, and the most honest one it can be: requests have their
//! appointed times, latency counts from then, and a run whose books do not agree with what was
//! acknowledged has no figures.
//!
//! - [`schedule`]: when requests are due.
//! - [`workload`]: what they ask for, and what has to come of it.
//! - [`target`]: who is asked.
//! - [`run`]: one run, from the first request to the last answer.
//! - [`record`]: what was seen, second by second.
//! - [`echo`]: a server without a ledger, for the driver's own limits.
//! - [`peak`]: the highest rate that a target bears.
//! - [`audit`]: whether the target has what it acknowledged, once.
//! - [`report`]: the figures as JSON, as a page, as logs of histograms, and against each other.
//!
//! `docs/bench/README.md` says what a run is and what its figures mean.

pub mod audit;
pub mod echo;
pub mod peak;
pub mod record;
pub mod report;
pub mod run;
pub mod schedule;
pub mod target;
pub mod workload;
