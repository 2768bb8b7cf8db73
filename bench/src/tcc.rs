//! TCC payments, durable, through the library or over the wire: each is a branch of one leg that is
//! tried and then confirmed. A payment is done when its confirm is answered.

mod wire;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use giro::tcc::{BranchAnswer, BranchKey, BranchStatus, ConfirmBranch, Leg, TryBranch};
use giro::{Account, Ledger, Options, TccParticipant};
use hdrhistogram::Histogram;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Accounts the payments run between.
    #[arg(long, default_value_t = 100_000)]
    accounts: u64,
    /// Seconds to measure, after as many to warm up; 10 at most are warmed up.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Payments in a request.
    #[arg(long, default_value_t = 2_000)]
    batch: usize,
    /// Requests under way at a time, of each thread.
    #[arg(long, default_value_t = 6)]
    in_flight: usize,
    /// Threads that ask.
    #[arg(long, default_value_t = 1)]
    threads: u64,
    /// One account is credited by every payment.
    #[arg(long)]
    hot: bool,
    /// Over the wire, to the server at this address (`host:port`), whose ledger gets the payments.
    #[arg(long, value_name = "ADDRESS")]
    connect: Option<String>,
    /// Where the ledger is made; it is removed afterwards.
    #[arg(long, default_value = "target")]
    dir: PathBuf,
}

const LEDGER: u32 = 978;
/// Accounts of a request.
const ACCOUNTS_AT_ONCE: u128 = 8_000;

/// What a thread has done while it was measured.
struct Done {
    payments: u64,
    tries: Histogram<u64>,
    confirms: Histogram<u64>,
}

/// A request under way.
struct Request {
    began: Instant,
    answers: giro::ledger::Pending<Vec<BranchAnswer>>,
    /// To be confirmed when it is answered; none if this is the confirm.
    keys: Option<Vec<BranchKey>>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let done = match &arguments.connect {
        Some(address) => wire::measure(arguments, address)?,
        None => measure_library(arguments)?,
    };
    let rate = done.payments as f64 / arguments.seconds as f64;
    let which = if arguments.hot { "hot" } else { "uniform" };
    println!("{which}: {rate:.0} payments/s (try and confirm, one leg)");
    for (name, times) in [("try", &done.tries), ("confirm", &done.confirms)] {
        let at = |percentile| times.value_at_percentile(percentile) as f64 / 1e3;
        println!(
            "  {name}: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
            at(50.0),
            at(99.0),
            at(99.9),
            times.max() as f64 / 1e3
        );
    }
    Ok(())
}

fn measure_library(arguments: &Arguments) -> anyhow::Result<Done> {
    let dir = arguments
        .dir
        .join(format!("bench-tcc-{}", std::process::id()));
    let options = Options {
        accounts_max: arguments.accounts as usize + (1 << 14),
        prefault_bytes: 1 << 29,
        ..Options::default()
    };
    let ledger = Ledger::open(&dir, options)?;
    make_accounts(&ledger, arguments.accounts)?;
    let giro = TccParticipant::new(ledger);
    let measured = measure(arguments, &giro);
    drop(giro);
    std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    measured
}

fn make_accounts(ledger: &Ledger, count: u64) -> anyhow::Result<()> {
    for accounts in accounts(count) {
        ledger.create_accounts(&accounts).wait()?;
    }
    Ok(())
}

/// So many accounts, a request at a time.
fn accounts(count: u64) -> impl Iterator<Item = Vec<Account>> {
    let count = u128::from(count);
    let account = |id| Account {
        id,
        ledger: LEDGER,
        code: 1,
        ..Account::default()
    };
    let firsts = (1..=count).step_by(ACCOUNTS_AT_ONCE as usize);
    firsts.map(move |first| {
        let ids = first..=(first + ACCOUNTS_AT_ONCE - 1).min(count);
        ids.map(account).collect()
    })
}

fn measure(arguments: &Arguments, giro: &TccParticipant) -> anyhow::Result<Done> {
    let start = Instant::now() + Duration::from_secs(arguments.seconds.min(10));
    let threads = (0..arguments.threads).map(|thread| {
        let giro = giro.clone();
        let payments = Payments::new(arguments, thread);
        let asker = Asker { giro, payments };
        let (in_flight, seconds) = (arguments.in_flight, arguments.seconds);
        let end = start + Duration::from_secs(seconds);
        std::thread::spawn(move || asker.run(in_flight, start, end))
    });
    let threads: Vec<_> = threads.collect();
    let mut all = Done::new()?;
    for thread in threads {
        let done = thread.join().expect("a thread that asks")?;
        all.payments += done.payments;
        all.tries.add(done.tries)?;
        all.confirms.add(done.confirms)?;
    }
    Ok(all)
}

impl Done {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            payments: 0,
            tries: Histogram::new(3)?,
            confirms: Histogram::new(3)?,
        })
    }
}

/// Makes payments.
struct Payments {
    rng: ChaCha8Rng,
    accounts: u128,
    batch: usize,
    hot: bool,
}

impl Payments {
    fn new(arguments: &Arguments, seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            accounts: arguments.accounts.into(),
            batch: arguments.batch,
            hot: arguments.hot,
        }
    }

    /// The next request's, and their keys.
    fn next(&mut self) -> (Vec<TryBranch>, Vec<BranchKey>) {
        let branches = (0..self.batch).map(|_| {
            let key = BranchKey::new(format!("{:032x}", self.rng.random::<u128>()), "01");
            let debit = self.rng.random_range(2..=self.accounts);
            let credit = if self.hot {
                1
            } else {
                1 + debit % self.accounts
            };
            let leg = Leg {
                debit_account_id: debit,
                credit_account_id: credit,
                amount: self.rng.random_range(1..1_000),
                ledger: LEDGER,
                code: 1,
                ..Leg::default()
            };
            let branch = TryBranch {
                key: key.clone(),
                timeout: 0,
                legs: [leg].into_iter().collect(),
            };
            (branch, key)
        });
        branches.unzip()
    }
}

/// One thread's share of the load.
struct Asker {
    giro: TccParticipant,
    payments: Payments,
}

impl Asker {
    fn run(mut self, in_flight: usize, start: Instant, end: Instant) -> anyhow::Result<Done> {
        let mut done = Done::new()?;
        let mut under_way: VecDeque<Request> = VecDeque::new();
        loop {
            while under_way.len() < in_flight && Instant::now() < end {
                under_way.push_back(self.begin());
            }
            let Some(request) = under_way.pop_front() else {
                return Ok(done);
            };
            let answers = request.answers.wait()?;
            let now = Instant::now();
            let is_measured = (start..end).contains(&now);
            let took = now.duration_since(request.began).as_micros() as u64;
            let all = answers.iter().all(|a| a.status == BranchStatus::Done);
            ensure!(all, "a payment was refused");
            match request.keys {
                Some(keys) => {
                    if is_measured {
                        done.tries.record(took)?;
                    }
                    let confirms = keys.into_iter().map(ConfirmBranch::whole).collect();
                    under_way.push_back(Request {
                        began: Instant::now(),
                        answers: self.giro.confirm_all(confirms),
                        keys: None,
                    });
                }
                None if is_measured => {
                    done.confirms.record(took)?;
                    done.payments += answers.len() as u64;
                }
                None => {}
            }
        }
    }

    fn begin(&mut self) -> Request {
        let (tries, keys) = self.payments.next();
        Request {
            began: Instant::now(),
            answers: self.giro.try_all(tries),
            keys: Some(keys),
        }
    }
}
