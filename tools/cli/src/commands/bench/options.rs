//! What a run can be told, and what it comes to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use clap::ValueEnum;
use giro_driver::report::{Settings, Started};
use giro_driver::run::RunOptions;
use giro_driver::schedule::{Arrivals, Schedule, Stretch};
use giro_driver::workload::{
    GROWTH_BATCH, Kind, MixOptions, Spread, TccOptions, TransferOptions, WorkloadOptions,
};

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
    /// Transfers and reads at a steady rate: balances, transfers by their ids, an account's newest.
    ReadMix,
    /// Transfers, payments and reads at a steady rate on a ledger that was made large before.
    Soak,
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TargetKind {
    /// A Giro server by its binary protocol: that at `--addresses`, or one started for the run.
    Giro,
    /// A ledger in the driver's own process.
    Library,
    /// A Giro server by its HTTP port: that at `--addresses`, or one started for the run.
    Http,
    /// TigerBeetle by its own client: the server at `--addresses`, or one started for the run. It
    /// has no branches.
    #[value(name = "tigerbeetle")]
    TigerBeetle,
    /// PostgreSQL with the ledger one would write in it, started for the run.
    Postgres,
}

impl TargetKind {
    /// As it is called on the command line.
    pub(super) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether there may be a server already.
    fn has_addresses(self) -> bool {
        matches!(self, Self::Giro | Self::Http | Self::TigerBeetle)
    }
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
    /// Transfers or payments offered a second; of double-eleven at the peak. Where requests are
    /// mixed, as many as if each were a batch of transfers.
    #[arg(long, default_value_t = 100_000.0)]
    pub(super) rate: f64,
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
    /// Part of the requests that reads [default: 0.9 for read-mix, 0.1 for soak].
    #[arg(long)]
    reads: Option<f64>,
    /// Part of the requests that is payments, where requests are mixed [default: 0 for read-mix,
    /// 0.2 for soak].
    #[arg(long)]
    payments: Option<f64>,
    /// Most rows of a read.
    #[arg(long, default_value_t = 20)]
    page: u32,
    /// Transfers that are made before the run, so that the ledger is large [default: 5000000 for
    /// soak, else none].
    #[arg(long)]
    grown: Option<u64>,
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
    pub(super) run: Option<u32>,
    /// How long a request may take, with all its steps, before its outcome counts as unknown (s).
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
    /// Replicas of the server that is started: 1 or 3.
    #[arg(long, default_value_t = 1)]
    pub(super) replicas: u8,
    /// Kills the server in the middle of the plateau (of a group the leader), and starts it again
    /// at once.
    #[arg(long)]
    pub(super) kill_at_peak: bool,
    /// Tries rates, from `--rate` on, and reports the highest at which the 99th percentile of
    /// latency stays below `--p99-below`.
    #[arg(long)]
    pub(super) find_peak: bool,
    /// See `--find-peak` (ms).
    #[arg(long, default_value_t = 50.0, value_name = "MS")]
    pub(super) p99_below: f64,
    /// TigerBeetle's server [default: the one on the path].
    #[arg(long, env = "TIGERBEETLE", value_name = "FILE")]
    pub(super) tigerbeetle: Option<PathBuf>,
    /// Where PostgreSQL's programs are [default: on the path, or the newest the system has].
    #[arg(long, value_name = "DIR")]
    pub(super) postgres_bin: Option<PathBuf>,
    /// Where the report goes, with `.json`, `.html` and `.hlog` behind it.
    #[arg(long, default_value = "giro-bench", value_name = "PATH")]
    out: PathBuf,
    /// The page's plots also as files, with `-rates.svg`, `-latency.svg` and `-percentiles.svg`
    /// behind the report's path; of `versus` only the last.
    #[arg(long)]
    plots: bool,
}

/// Most payments of a request: each branch may be in all steps.
const PAYMENTS_MAX: usize = 4_000;
const TRANSFERS_MAX: usize = 8_189;
/// A target that does not catch up with so much of what is offered never will.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Each is a process of PostgreSQL's.
const CONNECTIONS_MAX: usize = 1_000;

impl RunArguments {
    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    pub(super) fn wants_plots(&self) -> bool {
        self.plots
    }

    pub(super) fn target(&self) -> TargetKind {
        self.target.unwrap_or(TargetKind::Giro)
    }

    pub(super) fn deadline(&self) -> Duration {
        Duration::from_secs_f64(self.deadline)
    }

    /// What shapes a run beside its [options](Self::options), for its report.
    pub(super) fn settings(&self) -> Settings {
        let is_server = matches!(self.target(), TargetKind::Giro | TargetKind::Http);
        let is_started = is_server && self.addresses.is_none();
        let is_library = self.target() == TargetKind::Library;
        let further = self.server_option.iter().filter(|_| is_started);
        Settings {
            deadline: self.deadline,
            look_up: self.look_up,
            started: (is_started || is_library).then(|| Started {
                replicas: self.replicas,
                prefault_mib: self.prefault_mib,
                server_options: further.cloned().collect(),
            }),
        }
    }

    /// The run.
    ///
    /// # Errors
    /// When it is impossible; says what would work.
    pub(super) fn options(&self) -> anyhow::Result<RunOptions> {
        self.check()?;
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
            Named::Transfers | Named::Tcc | Named::ReadMix | Named::Soak => Schedule {
                stretches: vec![Stretch::steady(self.warm_up + self.seconds, rate)],
                arrivals,
                seed: self.seed,
            },
        };
        ensure!(
            self.warm_up < schedule.seconds(),
            "--warm-up={}: nothing would count, for the run is {} s long; choose less, such as 2",
            self.warm_up,
            schedule.seconds()
        );
        Ok(RunOptions {
            workload: WorkloadOptions {
                accounts: self.accounts,
                spread,
                batch: self.batch,
                seed: self.seed,
                run: self.run.unwrap_or_else(draw),
                grown: self.grown().div_ceil(GROWTH_BATCH as u64),
                kind: self.kind(),
            },
            schedule,
            closed: self.closed,
            in_flight: self.in_flight,
            warm_up: Duration::from_secs_f64(self.warm_up),
            backlog: (rate * WAIT_MAX.as_secs_f64()) as usize + 1000,
            deadline: self.deadline(),
            drain: WAIT_MAX,
            silence: self.deadline() + Duration::from_secs(2),
        })
    }

    fn kind(&self) -> Kind {
        let transfers = TransferOptions {
            pending: self.pending,
            rejected: self.rejected,
            random_ids: self.random_ids,
        };
        let tcc = TccOptions {
            cancelled: self.cancelled,
            late: self.late,
            repeated: self.repeated,
        };
        match self.workload {
            Named::Transfers => Kind::Transfers(transfers),
            Named::Tcc | Named::DoubleEleven => Kind::Tcc(tcc),
            Named::ReadMix | Named::Soak => Kind::Mix(MixOptions {
                reads: self.reads(),
                payments: self.payments(),
                page: self.page,
                transfers,
                tcc,
            }),
        }
    }

    /// Part of the requests that reads.
    pub(super) fn reads(&self) -> f64 {
        let default = match self.workload {
            Named::ReadMix => 0.9,
            Named::Soak => 0.1,
            Named::Transfers | Named::Tcc | Named::DoubleEleven => 0.0,
        };
        self.reads.unwrap_or(default)
    }

    /// Part of the requests that is payments.
    fn payments(&self) -> f64 {
        match self.workload {
            Named::Tcc | Named::DoubleEleven => 1.0,
            Named::Soak => self.payments.unwrap_or(0.2),
            Named::ReadMix => self.payments.unwrap_or(0.0),
            Named::Transfers => 0.0,
        }
    }

    fn grown(&self) -> u64 {
        let default = if self.workload == Named::Soak {
            5_000_000
        } else {
            0
        };
        self.grown.unwrap_or(default)
    }

    /// When the plateau is half over (s).
    pub(super) fn middle(&self) -> f64 {
        let before = match self.workload {
            Named::DoubleEleven => Schedule::BEFORE_THE_PEAK,
            _ => self.warm_up,
        };
        before + self.seconds / 2.0
    }

    fn check(&self) -> anyhow::Result<()> {
        let most = match self.workload {
            Named::Transfers => TRANSFERS_MAX,
            _ if self.payments() == 0.0 => TRANSFERS_MAX,
            _ => PAYMENTS_MAX,
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
        self.check_mix()?;
        self.check_target()
    }

    fn check_mix(&self) -> anyhow::Result<()> {
        let is_mix = matches!(self.workload, Named::ReadMix | Named::Soak);
        ensure!(
            is_mix || (self.reads.is_none() && self.payments.is_none()),
            "--reads and --payments are of read-mix and soak"
        );
        for (name, part) in [("reads", self.reads()), ("payments", self.payments())] {
            ensure!(
                (0.0..=1.0).contains(&part),
                "--{name}={part}: a part of 1, such as 0.3"
            );
        }
        ensure!(
            self.reads() + self.payments() <= 1.0 || !is_mix,
            "--reads and --payments are parts of all requests: together at most 1"
        );
        ensure!(
            (1..=8_000).contains(&self.page),
            "--page={}: 1 to 8000 rows",
            self.page
        );
        ensure!(
            self.grown() <= 10_000_000_000,
            "--grown: at most ten thousand million transfers"
        );
        Ok(())
    }

    fn check_target(&self) -> anyhow::Result<()> {
        let target = self.target();
        ensure!(
            target.has_addresses() || self.addresses.is_none(),
            "--addresses are of a server: leave them out, or choose --target=giro, http or \
             tigerbeetle"
        );
        ensure!(
            target != TargetKind::TigerBeetle || self.payments() == 0.0,
            "TigerBeetle has no branches: --target=tigerbeetle takes transfers, read-mix, and soak \
             with --payments=0"
        );
        ensure!(
            target != TargetKind::Postgres || self.in_flight <= CONNECTIONS_MAX,
            "--in-flight={}: PostgreSQL is asked over a connection for each, at most \
             {CONNECTIONS_MAX}",
            self.in_flight
        );
        let starts = self.addresses.is_none() && target == TargetKind::Giro;
        ensure!(
            matches!(self.replicas, 1 | 3),
            "--replicas={}: 1 or 3",
            self.replicas
        );
        ensure!(
            starts || (self.replicas == 1 && !self.kill_at_peak),
            "--replicas and --kill-at-peak are of a Giro server that the driver starts: \
             --target=giro without --addresses"
        );
        ensure!(
            !self.find_peak || (!self.closed && self.p99_below > 0.0),
            "--find-peak offers rates in an open loop, and --p99-below is more than 0"
        );
        ensure!(
            !(self.find_peak && self.kill_at_peak),
            "--find-peak and --kill-at-peak are two runs: find the peak first"
        );
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
            ("tcc --target tigerbeetle", "has no branches"),
            ("soak --target tigerbeetle", "--payments=0"),
            ("transfers --reads 0.5", "of read-mix and soak"),
            ("soak --reads 0.5 --payments 0.6", "together at most 1"),
            ("read-mix --reads=-0.5", "--reads=-0.5"),
            ("read-mix --reads=nan", "--reads=NaN"),
            ("soak --payments=-1", "--payments=-1"),
            ("soak --reads=1.5 --payments=-0.6", "--reads=1.5"),
            ("double-eleven --warm-up 60", "the run is 26 s long"),
            ("read-mix --page 0", "1 to 8000"),
            ("transfers --replicas 2", "1 or 3"),
            ("transfers --target http --kill-at-peak", "--target=giro"),
            (
                "transfers --addresses 3000 --replicas 3",
                "without --addresses",
            ),
            ("transfers --find-peak --closed", "open loop"),
            ("transfers --find-peak --kill-at-peak", "two runs"),
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
