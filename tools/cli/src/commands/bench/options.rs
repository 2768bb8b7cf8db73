//! What a run can be told, and what it comes to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use clap::ValueEnum;
use giro_driver::run::RunOptions;
use giro_driver::schedule::{Arrivals, Schedule, Stretch};
use giro_driver::workload::{Kind, Spread, TccOptions, TransferOptions, WorkloadOptions};

/// A workload by its name; `docs/bench` has a page for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Named {
    /// Transfers at a steady rate.
    Transfers,
    /// TCC payments at a steady rate: try, then confirm or cancel.
    Tcc,
    /// TCC payments to hot merchants: calm, a hundred times as many within a second, the plateau,
    /// the tail.
    DoubleEleven,
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TargetKind {
    /// A Giro server by its binary protocol: that at `--addresses`, or one started for the run.
    Giro,
    /// A ledger in the driver's own process.
    Library,
    /// PostgreSQL with the ledger one would write in it, started for the run; transfers only.
    Postgres,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SpreadName {
    Uniform,
    Zipf,
    Hot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ArrivalsName {
    Poisson,
    Constant,
}

/// One run.
#[derive(Clone, clap::Args)]
pub(super) struct RunArguments {
    /// What to ask for.
    #[arg(value_enum)]
    workload: Named,
    /// Whom to ask [default: giro].
    #[arg(long, value_enum)]
    pub(super) target: Option<TargetKind>,
    /// A running server, or all replicas of a group; without it the driver starts a server.
    #[arg(long, value_name = "HOST:PORT,...")]
    pub(super) addresses: Option<String>,
    /// The server's cluster.
    #[arg(long, default_value_t = 0)]
    pub(super) cluster: u128,
    /// Transfers or payments offered a second; of double-eleven at the peak.
    #[arg(long, default_value_t = 100_000.0)]
    rate: f64,
    /// How long (s); of double-eleven the plateau.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds at the beginning that do not count.
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Transfers or payments of a request.
    #[arg(long, default_value_t = 1000)]
    batch: usize,
    /// Callers wait for their answers, as many as are in flight, whatever the rate.
    #[arg(long)]
    pub(super) closed: bool,
    /// How arrivals lie around the rate.
    #[arg(long, value_enum, default_value = "poisson")]
    arrivals: ArrivalsName,
    /// Most requests with the target at a time.
    #[arg(long, default_value_t = 16)]
    pub(super) in_flight: usize,
    /// Accounts.
    #[arg(long, default_value_t = 10_000)]
    accounts: u32,
    /// How those who are paid are chosen: [default: uniform; zipf for double-eleven].
    #[arg(long, value_enum)]
    spread: Option<SpreadName>,
    /// Part of the transfers that is pending, and stays so.
    #[arg(long, default_value_t = 0.0)]
    pending: f64,
    /// Part of the transfers that must be rejected.
    #[arg(long, default_value_t = 0.0)]
    rejected: f64,
    /// Ids of transfers in no order.
    #[arg(long)]
    random_ids: bool,
    /// Part of the payments that is cancelled.
    #[arg(long, default_value_t = 0.05)]
    cancelled: f64,
    /// Part of the payments whose cancel comes before its try.
    #[arg(long, default_value_t = 0.005)]
    late: f64,
    /// Part of the payments whose try and confirm are sent twice.
    #[arg(long, default_value_t = 0.01)]
    repeated: f64,
    /// Makes another run of the same kind.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tells runs on one ledger apart; by default drawn by lot.
    #[arg(long)]
    run: Option<u32>,
    /// How long a request may take before its outcome counts as unknown (s).
    #[arg(long, default_value_t = 20.0)]
    deadline: f64,
    /// Most transfers and branches that the audit looks up, beside all balances.
    #[arg(long, default_value_t = 1_000_000)]
    pub(super) look_up: u64,
    /// Where ledgers are made for the run, and removed.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// Memory that a server or ledger of the run makes resident (MiB).
    #[arg(long, default_value_t = 512)]
    pub(super) prefault_mib: u64,
    /// Further options of the server that is started.
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub(super) server_option: Vec<String>,
    /// Where PostgreSQL's programs are [default: on the path, or the newest the system has].
    #[arg(long, value_name = "DIR")]
    pub(super) postgres_bin: Option<PathBuf>,
    /// Where the report goes, with `.json`, `.html` and `.hlog` behind it.
    #[arg(long, default_value = "giro-bench", value_name = "PATH")]
    out: PathBuf,
}

/// Most payments of a request: each branch may be in all steps.
const PAYMENTS_MAX: usize = 4_000;
const TRANSFERS_MAX: usize = 8_189;
/// Each is a process of PostgreSQL's.
const CONNECTIONS_MAX: usize = 1_000;

impl RunArguments {
    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    pub(super) fn target(&self) -> TargetKind {
        self.target.unwrap_or(TargetKind::Giro)
    }

    pub(super) fn deadline(&self) -> Duration {
        Duration::from_secs_f64(self.deadline)
    }

    /// The run.
    ///
    /// # Errors
    /// When it is impossible; says what would work.
    pub(super) fn options(&self) -> anyhow::Result<RunOptions> {
        self.check()?;
        let is_tcc = self.workload != Named::Transfers;
        let kind = if is_tcc {
            Kind::Tcc(TccOptions {
                cancelled: self.cancelled,
                late: self.late,
                repeated: self.repeated,
            })
        } else {
            Kind::Transfers(TransferOptions {
                pending: self.pending,
                rejected: self.rejected,
                random_ids: self.random_ids,
            })
        };
        let spread = match (self.spread, self.workload) {
            (Some(SpreadName::Zipf), _) | (None, Named::DoubleEleven) => Spread::Zipf,
            (Some(SpreadName::Hot), _) => Spread::Hot,
            (Some(SpreadName::Uniform) | None, _) => Spread::Uniform,
        };
        let arrivals = match self.arrivals {
            ArrivalsName::Poisson => Arrivals::Poisson,
            ArrivalsName::Constant => Arrivals::Constant,
        };
        let rate = self.rate / self.batch as f64;
        let schedule = match self.workload {
            Named::DoubleEleven => Schedule::double_eleven(rate, self.seconds, arrivals, self.seed),
            Named::Transfers | Named::Tcc => Schedule {
                stretches: vec![Stretch::steady(self.warm_up + self.seconds, rate)],
                arrivals,
                seed: self.seed,
            },
        };
        Ok(RunOptions {
            workload: WorkloadOptions {
                accounts: self.accounts,
                spread,
                batch: self.batch,
                seed: self.seed,
                run: self.run.unwrap_or_else(draw),
                kind,
            },
            schedule,
            closed: self.closed,
            in_flight: self.in_flight,
            warm_up: Duration::from_secs_f64(self.warm_up),
            // As many as come in ten seconds: what waits longer is hopeless.
            backlog: (rate * 10.0) as usize + 1000,
            drain: self.deadline() + Duration::from_secs(5),
            silence: self.deadline() + Duration::from_secs(2),
        })
    }

    fn check(&self) -> anyhow::Result<()> {
        let most = match self.workload {
            Named::Transfers => TRANSFERS_MAX,
            Named::Tcc | Named::DoubleEleven => PAYMENTS_MAX,
        };
        ensure!(
            (1..=most).contains(&self.batch),
            "--batch={}: a request of this workload has 1 to {most}",
            self.batch
        );
        ensure!(
            self.rate > 0.0 && self.rate.is_finite() && self.rate <= 1e9,
            "--rate={}: more than 0 and at most a billion are offered a second",
            self.rate
        );
        let time = 0.1..=86_400.0;
        ensure!(
            time.contains(&self.seconds),
            "--seconds={}: 0.1 to 86400",
            self.seconds
        );
        ensure!(
            (0.0..=3600.0).contains(&self.warm_up) && (0.1..=3600.0).contains(&self.deadline),
            "--warm-up is 0 to 3600 seconds, --deadline 0.1 to 3600"
        );
        ensure!(self.accounts >= 2, "--accounts: payer and payee are two");
        ensure!(
            (1..=4096).contains(&self.in_flight),
            "--in-flight={}: 1 to 4096",
            self.in_flight
        );
        for (name, part) in [
            ("pending", self.pending),
            ("rejected", self.rejected),
            ("cancelled", self.cancelled),
            ("late", self.late),
            ("repeated", self.repeated),
        ] {
            ensure!(
                (0.0..=1.0).contains(&part),
                "--{name}={part}: a part of 1, such as 0.3"
            );
        }
        ensure!(
            self.target() == TargetKind::Giro || self.addresses.is_none(),
            "--addresses are of a server: leave them out, or choose --target=giro"
        );
        if self.target() == TargetKind::Postgres {
            ensure!(
                self.workload == Named::Transfers,
                "PostgreSQL's ledger has no branches: --target=postgres takes transfers"
            );
            ensure!(
                self.in_flight <= CONNECTIONS_MAX,
                "--in-flight={}: PostgreSQL is asked over a connection for each, at most \
                 {CONNECTIONS_MAX}",
                self.in_flight
            );
        }
        Ok(())
    }
}

/// Some number, for ids that are most likely new.
fn draw() -> u32 {
    (giro_client::new_id() as u32) >> 1
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArguments,
    }

    fn options(line: &str) -> anyhow::Result<RunOptions> {
        let line = Line::try_parse_from(format!("bench {line}").split_whitespace())?;
        line.run.options()
    }

    #[test]
    fn impossible_options_are_refused_with_what_would_work() {
        for (line, part) in [
            ("transfers --batch 8190", "1 to 8189"),
            ("tcc --batch 4001", "1 to 4000"),
            ("transfers --rate 0", "more than 0"),
            ("transfers --pending 1.5", "--pending=1.5"),
            ("transfers --accounts 1", "payer and payee"),
            ("transfers --in-flight 0", "1 to 4096"),
            ("transfers --seconds 0", "0.1 to 86400"),
            ("tcc --target postgres", "takes transfers"),
            (
                "transfers --target postgres --in-flight 1001",
                "at most 1000",
            ),
            (
                "transfers --target library --addresses 3000",
                "--target=giro",
            ),
        ] {
            let error = options(line).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn rates_are_of_transfers_and_requests_have_batches() {
        let options = options("transfers --rate 50000 --batch 500 --seconds 8").unwrap();
        assert_eq!(options.schedule.stretches[0].from, 100.0);
        assert_eq!(options.schedule.seconds(), 10.0);
    }
}
