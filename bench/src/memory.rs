//! Memory an account takes: the process's resident memory before and after creating them.

use anyhow::Context;
use giro::Executor;
use giro_base::limits::{CREATE_REPLY_BYTES_MAX, EVENTS_MAX};
use giro_base::{Account, BufferPool, Operation};
use giro_core::{Batch, Options, StateMachine};
use zerocopy::IntoBytes;

use crate::execution::encode;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Accounts at which to look.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000_000, 3_000_000, 10_000_000])]
    accounts: Vec<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let last = arguments.accounts.iter().max().copied().unwrap_or(0);
    let options = Options {
        accounts_max: last as usize + EVENTS_MAX,
        ..Options::default()
    };
    let machine = StateMachine::new(&options).context("no address space")?;
    let mut executor = Executor::new(machine, None, 1, false)?;
    let mut reply = vec![0; CREATE_REPLY_BYTES_MAX];
    let mut buffer = BufferPool::new(1)?
        .take()
        .context("a new pool has a buffer")?;
    buffer.fill(0);
    let base = resident_bytes()?;
    println!("base {:.1} MiB", base as f64 / f64::from(1 << 20));
    println!("{:>12} {:>16}", "accounts", "bytes/account");
    let (mut created, mut op) = (0_u64, 0);
    for &goal in &arguments.accounts {
        while created < goal {
            let count = (goal - created).min(EVENTS_MAX as u64);
            let account = |id| Account {
                id,
                ledger: 1,
                code: 1,
                ..Account::default()
            };
            let ids = u128::from(created) + 1..=u128::from(created + count);
            let events: Vec<Account> = ids.map(account).collect();
            let body = encode(&mut buffer, events.as_bytes(), events.len());
            op += 1;
            let batch = Batch::parse(Operation::CreateAccounts, op * 1_000_000, body)?;
            executor.execute(op, &batch, &mut reply)?;
            created += count;
        }
        let used = resident_bytes()?.saturating_sub(base);
        println!("{created:>12} {:>16.1}", used as f64 / created as f64);
    }
    Ok(())
}

/// Resident memory of this process.
fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .context("no number")?
        .parse()?;
    Ok(kib << 10)
}
