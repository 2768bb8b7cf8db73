//! Execution alone: no log, no network. Batches are made beforehand, outside the clock.

use std::time::{Duration, Instant};

use anyhow::Context;
use giro::Executor;
use giro_base::hash::IdHasher;
use giro_base::limits::{BODY_BYTES_MAX, BUFFER_BYTES, CREATE_REPLY_BYTES_MAX, EVENTS_MAX};
use giro_base::multi_batch::write_trailer;
use giro_base::{Account, BufferPool, Operation, Transfer};
use giro_core::shard::owner;
use giro_core::{Batch, Options, StateMachine};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zerocopy::IntoBytes;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Accounts the transfers run between.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 1_000_000, 10_000_000])]
    accounts: Vec<u64>,
    /// Shards.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    shards: Vec<u32>,
    /// Percentage of transfers whose accounts lie on different shards (with more than one shard).
    #[arg(long, value_delimiter = ',', default_values_t = [0, 50, 100])]
    crossing: Vec<u32>,
    /// Transfers of each measurement.
    #[arg(long, default_value_t = 8_000_000)]
    transfers: u64,
    /// Do not pin the shards' threads to cores.
    #[arg(long)]
    no_pin: bool,
    /// Ids drawn at random instead of rising with time.
    #[arg(long)]
    random_ids: bool,
}

/// Batches made at a time, outside the clock.
const BATCHES_AT_ONCE: usize = 64;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    println!(
        "{:>10} {:>6} {:>8} {:>12} {:>12}",
        "accounts", "shards", "crossing", "transfers/s", "ns/transfer"
    );
    for &accounts in &arguments.accounts {
        for &shards in &arguments.shards {
            let crossings = if shards == 1 {
                &[0][..]
            } else {
                &arguments.crossing
            };
            for &crossing in crossings {
                let elapsed = measure(arguments, accounts, shards, crossing)?;
                let rate = arguments.transfers as f64 / elapsed.as_secs_f64();
                let ns = elapsed.as_nanos() as f64 / arguments.transfers as f64;
                println!("{accounts:>10} {shards:>6} {crossing:>7}% {rate:>12.0} {ns:>12.1}");
            }
        }
    }
    Ok(())
}

struct Workload {
    rng: ChaCha8Rng,
    /// Account ids by the shard that owns them.
    accounts: Vec<Vec<u128>>,
    crossing: u32,
    next_id: u128,
    random_ids: bool,
}

/// An executor that has run some operations.
struct Bench {
    executor: Executor,
    op: u64,
    clock: u64,
    reply: Vec<u8>,
    pool: BufferPool,
}

fn measure(
    arguments: &Arguments,
    accounts: u64,
    shards: u32,
    crossing: u32,
) -> anyhow::Result<Duration> {
    let options = Options {
        shards,
        hash_key: [1, 2],
        accounts_max: accounts as usize + EVENTS_MAX,
        transfers_max: arguments.transfers as usize + EVENTS_MAX,
        is_archived: false,
        transfers_expected: arguments.transfers as usize,
    };
    let machine = StateMachine::new(&options).context("no address space")?;
    let mut bench = Bench {
        executor: Executor::new(machine, None, shards, !arguments.no_pin)?,
        op: 0,
        clock: 1,
        reply: vec![0; CREATE_REPLY_BYTES_MAX],
        pool: BufferPool::new(BATCHES_AT_ONCE as u32)?,
    };
    let hasher = IdHasher::new(options.hash_key);
    let mut workload = Workload {
        rng: ChaCha8Rng::seed_from_u64(7),
        accounts: vec![Vec::new(); shards as usize],
        crossing,
        next_id: 1 << 64,
        random_ids: arguments.random_ids,
    };
    for id in 1..=u128::from(accounts) {
        workload.accounts[owner(hasher.hash(id), shards) as usize].push(id);
    }
    bench.create_accounts(accounts)?;
    let elapsed = bench.create_transfers(&mut workload, arguments.transfers)?;
    let created = bench.executor.machine().tables().window.end_row();
    anyhow::ensure!(
        created == arguments.transfers,
        "{created} transfers were created"
    );
    Ok(elapsed)
}

impl Bench {
    fn create_accounts(&mut self, count: u64) -> anyhow::Result<()> {
        let ids: Vec<u128> = (1..=u128::from(count)).collect();
        for chunk in ids.chunks(EVENTS_MAX) {
            let account = |id: &u128| Account {
                id: *id,
                ledger: 1,
                code: 1,
                ..Account::default()
            };
            let events: Vec<Account> = chunk.iter().map(account).collect();
            let mut buffer = self.pool.take().context("a free buffer")?;
            let body = encode(&mut buffer, events.as_bytes(), events.len());
            self.execute(Operation::CreateAccounts, body);
        }
        Ok(())
    }

    /// The time that execution took; making the batches is not part of it.
    fn create_transfers(
        &mut self,
        workload: &mut Workload,
        count: u64,
    ) -> anyhow::Result<Duration> {
        let mut left = count as usize;
        let mut elapsed = Duration::ZERO;
        while left > 0 {
            let mut batches = Vec::new();
            while left > 0 && batches.len() < BATCHES_AT_ONCE {
                let events = left.min(EVENTS_MAX);
                left -= events;
                let transfers = workload.transfers(events);
                let mut buffer = self.pool.take().context("a free buffer")?;
                let length = encode(&mut buffer, transfers.as_bytes(), events).len();
                batches.push((buffer, length));
            }
            let start = Instant::now();
            for (buffer, length) in &batches {
                self.execute(Operation::CreateTransfers, &buffer[..*length]);
            }
            self.executor.settle();
            elapsed += start.elapsed();
        }
        Ok(elapsed)
    }

    fn execute(&mut self, operation: Operation, body: &[u8]) {
        self.clock += 1_000_000;
        self.op += 1;
        let batch = Batch::parse(operation, self.clock, body).expect("made by this program");
        let executed = self.executor.execute(self.op, &batch, &mut self.reply);
        executed.expect("all is in memory");
    }
}

/// Writes a body of one batch to `buffer`.
pub(crate) fn encode<'a>(buffer: &'a mut [u8], events: &[u8], count: usize) -> &'a [u8] {
    const { assert!(BODY_BYTES_MAX <= BUFFER_BYTES) };
    buffer[..events.len()].copy_from_slice(events);
    let length = write_trailer(buffer, events.len(), 128, [count].into_iter());
    &buffer[..length]
}

impl Workload {
    fn transfers(&mut self, count: usize) -> Vec<Transfer> {
        (0..count).map(|_| self.transfer()).collect()
    }

    fn transfer(&mut self) -> Transfer {
        let shards = self.accounts.len();
        let debit_shard = self.rng.random_range(0..shards);
        let crosses = shards > 1 && self.rng.random_range(0..100) < self.crossing;
        let step = if crosses {
            self.rng.random_range(1..shards)
        } else {
            0
        };
        let credit_shard = (debit_shard + step) % shards;
        let debit_account_id = self.account(debit_shard);
        let credit_account_id = loop {
            let id = self.account(credit_shard);
            if id != debit_account_id {
                break id;
            }
        };
        self.next_id += 1;
        let id = if self.random_ids {
            self.rng.random()
        } else {
            self.next_id
        };
        Transfer {
            id,
            debit_account_id,
            credit_account_id,
            amount: self.rng.random_range(1..1000),
            ledger: 1,
            code: 1,
            ..Transfer::default()
        }
    }

    fn account(&mut self, shard: usize) -> u128 {
        let ids = &self.accounts[shard];
        ids[self.rng.random_range(0..ids.len())]
    }
}
