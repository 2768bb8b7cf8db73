//! Stalls: a load far below capacity, and how long each batch took.
//!
//! At half of capacity each batch has its appointed time, and its latency counts from then: a
//! server that stops for a moment delays all that were due, and all are counted.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;
use giro_client::{
    Account, AccountFlags, Client, ClientOptions, CreateAccountStatus, CreateTransferStatus,
    Transfer,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant as Tick, sleep_until};

use crate::disk;
use crate::plot::{Caption, Scale, Series, behind, draw};
use crate::servers::{Contender, Running, Servers};
use crate::standstill::{Stretch, Watch, touches};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    servers: Servers,
    /// The load.
    #[arg(long, value_enum)]
    load: Load,
    /// How long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Transfers that the ledger has before, by the field's generator.
    #[arg(long, default_value_t = 0)]
    grown: u64,
    /// Where the table and the plot go, with `.csv` and `.svg` behind it.
    #[arg(long, default_value = "target/stalls", value_name = "PATH")]
    out: PathBuf,
}

/// A load.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Load {
    /// Full batches at half of what the server takes at most, by Giro's client. Beside it, what
    /// the disk alone does.
    Half,
    /// Batches of two from 32 clients, each 160 ms after its last one, by the field's generator;
    /// the peer, too.
    Small,
}

/// Transfers of a full batch.
const FULL: usize = 8189;
/// Clients at half of capacity, with one batch at a time each.
const CLIENTS: u128 = 2;
/// What the history takes of disk for a transfer of this load, about.
const HISTORY_BYTES: u64 = 200;
/// Accounts the transfers run between.
const ACCOUNTS: u128 = 10_000;
/// First id of these accounts: the generator makes others.
const ACCOUNT_FIRST: u128 = 1 << 100;
/// How long capacity is measured.
const WARM: Duration = Duration::from_secs(8);
/// Of that, as long nothing is counted.
const COLD: Duration = Duration::from_secs(4);
/// Between two points of the plot.
const STEP: f64 = 0.25;

/// When a batch was due, in seconds, and how long it took from then on, in ms.
type Latency = (f64, f64);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let contenders: &[Contender] = match arguments.load {
        Load::Half => &[Contender::Giro],
        Load::Small => &[Contender::Giro, Contender::Peer],
    };
    let mut all = Vec::new();
    for who in contenders.iter().copied() {
        let server = arguments.servers.start(who)?;
        if arguments.grown > 0 {
            let count = format!("--transfer-count={}", arguments.grown);
            let flags = [count, "--query-count=0".to_owned()];
            arguments.servers.load(server.port, &flags, || {})?;
        }
        let mut measured = match arguments.load {
            Load::Half => half(arguments, &server)?,
            Load::Small => Measured::of(small(arguments, &server)?),
        };
        let latencies = &mut measured.latencies;
        latencies.sort_by(|a, b| a.0.total_cmp(&b.0));
        print(who, latencies);
        measured.print_beside_standstills();
        all.push((who, measured.latencies));
    }
    if arguments.load == Load::Small {
        disk::report_small(arguments.servers.dir(), 200, arguments.seconds)?;
    } else {
        let batches = all.first().map_or(0, |(_, latencies)| latencies.len());
        let transfers_per_s = (batches * FULL) as u64 / arguments.seconds;
        let bytes = (128 * transfers_per_s, HISTORY_BYTES * transfers_per_s);
        disk::report_beside(arguments.servers.dir(), bytes, arguments.seconds)?;
    }
    write(&arguments.out, &all)
}

/// What a load came to.
struct Measured {
    latencies: Vec<Latency>,
    /// What the latencies' seconds count from, and when the processors stood still since.
    standstills: Option<(Instant, Vec<Stretch>)>,
}

impl Measured {
    /// Nobody looked whether the processors stood still.
    fn of(latencies: Vec<Latency>) -> Self {
        let standstills = None;
        Self {
            latencies,
            standstills,
        }
    }

    /// Tells what the machine held up from what the server did.
    fn print_beside_standstills(&self) {
        let Some((start, standstills)) = &self.standstills else {
            return;
        };
        let lengths = standstills.iter().map(|(from, to)| *to - *from);
        let (total, longest) = (lengths.clone().sum::<Duration>(), lengths.max());
        println!(
            "all processors stood still at the same time in {} moments of together {} ms, the \
             longest {} ms",
            standstills.len(),
            total.as_millis(),
            longest.unwrap_or_default().as_millis()
        );
        let is_beside = |(due, ms): &&Latency| {
            let due = *start + Duration::from_secs_f64(*due);
            !touches(standstills, due, due + Duration::from_secs_f64(ms / 1e3))
        };
        let mut others: Vec<f64> = self
            .latencies
            .iter()
            .filter(is_beside)
            .map(|l| l.1)
            .collect();
        others.sort_by(f64::total_cmp);
        if let (Some(slowest), false) = (others.last(), standstills.is_empty()) {
            let held_up = self.latencies.len() - others.len();
            let median = others[others.len() / 2];
            println!(
                "without the {held_up} batches under way then, or up to 25 ms later: max \
                 {slowest:.2} ms, {:.1} times the median",
                slowest / median
            );
        }
    }
}

fn half(arguments: &Arguments, server: &Running) -> anyhow::Result<Measured> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let watch = Watch::start();
    let paid = runtime.block_on(async {
        let mut payers = Vec::new();
        for number in 0..CLIENTS {
            payers.push(Payer::new(server.port, number).await?);
        }
        make_accounts(&payers[0].client).await?;
        let capacity = capacity(&mut payers).await?;
        println!("capacity: {capacity:.0} transfers/s with this driver beside it");
        let every = Duration::from_secs_f64((CLIENTS as usize * FULL) as f64 * 2.0 / capacity);
        let before = generations(server);
        let start = Tick::now() + Duration::from_millis(500);
        let end = start + Duration::from_secs(arguments.seconds);
        let mut tasks = JoinSet::new();
        for (number, mut payer) in (0..).zip(payers) {
            let first = start + every * number / CLIENTS as u32;
            tasks.spawn(async move { payer.pay_by_the_clock(start, first, every, end).await });
        }
        let mut latencies = Vec::new();
        while let Some(done) = tasks.join_next().await {
            latencies.extend(done??);
        }
        print_generations(server, before);
        anyhow::Ok((start.into_std(), latencies))
    });
    let mut standstills = watch.stop();
    let (start, latencies) = match paid {
        Ok(paid) => paid,
        Err(error) => {
            let longest = standstills.iter().map(|(from, to)| *to - *from).max();
            let longest = longest.unwrap_or_default();
            return Err(error.context(format!(
                "all processors stood still for {longest:?} at most"
            )));
        }
    };
    standstills.retain(|(_, to)| *to > start);
    Ok(Measured {
        latencies,
        standstills: Some((start, standstills)),
    })
}

fn small(arguments: &Arguments, server: &Running) -> anyhow::Result<Vec<Latency>> {
    // Ids at random: those in order exist already.
    let transfers = 2 * 32 * arguments.seconds * 1000 / 160;
    let mut flags = vec![format!("--transfer-count={transfers}")];
    flags.extend(SMALL.iter().map(|flag| (*flag).to_owned()));
    let before = generations(server);
    let printed = arguments.servers.load(server.port, &flags, || {})?;
    print_generations(server, before);
    let latencies: Vec<Latency> = printed.logged.lines().filter_map(logged_latency).collect();
    let start = latencies.first().context("no batch was logged")?.0;
    // Past midnight the clock begins anew.
    let since = |time: f64| (time - start).rem_euclid(DAY);
    Ok(latencies
        .iter()
        .map(|(time, ms)| (since(*time), *ms))
        .collect())
}

/// The load that stalls the peer.
const SMALL: &[&str] = &[
    "--clients=32",
    "--transfer-batch-count=2",
    "--transfer-batch-delay=160ms",
    "--id-order=random",
    "--query-count=0",
    "--print-batch-timings",
];
const DAY: f64 = 24.0 * 3600.0;

/// Time of day and latency, of a line such as
/// `2026-01-31 20:27:01.473Z info(benchmark): batch 4961: 2 tx in 1 ms`.
fn logged_latency(line: &str) -> Option<Latency> {
    let (head, batch) = line.split_once("): batch ")?;
    let time = head.split(' ').nth(1)?.strip_suffix('Z')?;
    let mut parts = time.split(':').map(str::parse::<f64>);
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let ms = batch.split(" in ").nth(1)?.strip_suffix(" ms")?.parse();
    let time = hours.ok()? * 3600.0 + minutes.ok()? * 60.0 + seconds.ok()?;
    Some((time, ms.ok()?))
}

/// Generations that Giro has on disk; none of another server.
fn generations(server: &Running) -> Option<usize> {
    let entries = fs::read_dir(server.place().join("history")).ok()?.flatten();
    let segments = entries.filter(|e| e.path().extension().is_some_and(|kind| kind == "seg"));
    Some(segments.count())
}

fn print_generations(server: &Running, before: Option<usize>) {
    if let (Some(before), Some(after)) = (before, generations(server)) {
        let written = after - before;
        println!("generations written, each with its checkpoint: {written}");
    }
}

/// Transfers a second with one batch after the other.
async fn capacity(payers: &mut Vec<Payer>) -> anyhow::Result<f64> {
    let (start, count) = (Instant::now(), payers.len());
    let mut tasks = JoinSet::new();
    for mut payer in payers.drain(..) {
        tasks.spawn(async move {
            let mut transfers = 0;
            while start.elapsed() < WARM {
                payer.pay().await?;
                if start.elapsed() > COLD {
                    transfers += FULL;
                }
            }
            anyhow::Ok((payer, transfers))
        });
    }
    let mut transfers = 0;
    while let Some(done) = tasks.join_next().await {
        let (payer, own) = done??;
        transfers += own;
        payers.push(payer);
    }
    assert_eq!(payers.len(), count);
    Ok(transfers as f64 / (WARM - COLD).as_secs_f64())
}

async fn make_accounts(client: &Client) -> anyhow::Result<()> {
    let accounts: Vec<Account> = (0..ACCOUNTS).map(account).collect();
    for some in accounts.chunks(FULL) {
        let results = client.create_accounts(some).await?;
        let made = |status| status == CreateAccountStatus::Created;
        if !results.iter().all(|result| made(result.status)) {
            bail!("accounts were refused");
        }
    }
    Ok(())
}

fn account(number: u128) -> Account {
    Account {
        id: ACCOUNT_FIRST + number,
        ledger: 7,
        code: 1,
        flags: AccountFlags::HISTORY,
        ..Account::default()
    }
}

/// One client with one request at a time.
struct Payer {
    client: Client,
    rng: ChaCha8Rng,
    /// Ids rise with time, over all clients.
    start: Instant,
    number: u128,
    made: u128,
}

impl Payer {
    async fn new(port: u16, number: u128) -> anyhow::Result<Self> {
        let options = ClientOptions {
            sessions_max: 1,
            ..ClientOptions::default()
        };
        let client = Client::connect(&format!("127.0.0.1:{port}"), options).await?;
        Ok(Self {
            client,
            rng: ChaCha8Rng::seed_from_u64(number as u64),
            start: Instant::now(),
            number,
            made: 0,
        })
    }

    fn next(&mut self) -> Vec<Transfer> {
        let time = self.start.elapsed().as_micros() + 1;
        (0..FULL).map(|_| self.transfer(time)).collect()
    }

    fn transfer(&mut self, time: u128) -> Transfer {
        self.made += 1;
        let debit = self.rng.random_range(0..ACCOUNTS);
        let credit = (debit + self.rng.random_range(1..ACCOUNTS)) % ACCOUNTS;
        Transfer {
            id: 1 << 126 | time << 80 | self.number << 64 | self.made,
            debit_account_id: ACCOUNT_FIRST + debit,
            credit_account_id: ACCOUNT_FIRST + credit,
            amount: 1,
            ledger: 7,
            code: 1,
            ..Transfer::default()
        }
    }

    async fn pay(&mut self) -> anyhow::Result<()> {
        let transfers = self.next();
        self.send(&transfers).await
    }

    async fn send(&mut self, transfers: &[Transfer]) -> anyhow::Result<()> {
        let results = self.client.create_transfers(transfers).await?;
        let made = |status| status == CreateTransferStatus::Created;
        match results.iter().find(|result| !made(result.status)) {
            Some(refused) => bail!("a transfer was refused: {}", refused.status),
            None => Ok(()),
        }
    }

    async fn pay_by_the_clock(
        &mut self,
        start: Tick,
        first: Tick,
        every: Duration,
        end: Tick,
    ) -> anyhow::Result<Vec<Latency>> {
        let mut latencies = Vec::new();
        let mut due = first;
        while due < end {
            let transfers = self.next();
            sleep_until(due).await;
            self.send(&transfers).await?;
            let took = due.elapsed().as_secs_f64() * 1e3;
            latencies.push(((due - start).as_secs_f64(), took));
            due += every;
        }
        Ok(latencies)
    }
}

fn print(who: Contender, latencies: &[Latency]) {
    let mut sorted: Vec<f64> = latencies.iter().map(|latency| latency.1).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(place).copied().unwrap_or(f64::NAN)
    };
    println!(
        "{}: {} batches, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
        who.name(),
        sorted.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
    // The field's generator counts whole milliseconds.
    if at(0.5) > 0.0 {
        println!("the slowest took {:.1} times the median", at(1.0) / at(0.5));
    }
}

fn write(out: &Path, all: &[(Contender, Vec<Latency>)]) -> anyhow::Result<()> {
    let mut table = String::from("server,seconds,batches,p50_ms,max_ms\n");
    let mut series = Vec::new();
    for (who, latencies) in all {
        let mut points = Vec::new();
        for step in latencies.chunk_by(|a, b| (a.0 / STEP) as u64 == (b.0 / STEP) as u64) {
            let seconds = (step[0].0 / STEP).floor() * STEP;
            let mut ms: Vec<f64> = step.iter().map(|latency| latency.1).collect();
            ms.sort_by(f64::total_cmp);
            let (p50, max) = (ms[ms.len() / 2], ms[ms.len() - 1]);
            let (name, batches) = (who.name(), ms.len());
            writeln!(table, "{name},{seconds:.2},{batches},{p50:.3},{max:.3}")?;
            points.push((seconds, max));
        }
        series.push(Series {
            name: who.name(),
            points,
        });
    }
    fs::write(behind(out, ".csv"), table)?;
    let caption = Caption {
        title: "slowest batch of each quarter second",
        unit: "ms",
        scale: Scale::Logarithmic,
    };
    draw(&behind(out, ".svg"), &[(caption, series)])
}
