//! How long a group is without a leader: from the moment the leader is killed, or stands still, to
//! the first acknowledged transfer.

use std::time::{Duration, Instant};

use anyhow::Context;
use giro_client::{Account, Client, ClientOptions, Transfer, new_id};
use hdrhistogram::Histogram;
use rustix::process::Signal;

use crate::servers::{Contender, Servers};
use crate::trio::Trio;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    servers: Servers,
    /// Leaders to lose, of each kind.
    #[arg(long, default_value_t = 100)]
    rounds: usize,
}

/// How long the client waits for a silent server before it asks another (the default is 500 ms).
const SILENCE_MAX: Duration = Duration::from_millis(100);
/// Longest time without a leader.
const DEADLINE: Duration = Duration::from_secs(20);
/// Between the rounds: the group settles, and payments go on for a while.
const CALM: Duration = Duration::from_millis(700);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for (name, is_kill) in [("killed", true), ("stands still", false)] {
        let took = runtime.block_on(lose_leaders(arguments, is_kill))?;
        println!(
            "leader {name:<12} {} times: median {:.0} ms, p99 {:.0} ms, longest {:.0} ms",
            took.len(),
            took.value_at_quantile(0.5) as f64 / 1e3,
            took.value_at_quantile(0.99) as f64 / 1e3,
            took.max() as f64 / 1e3,
        );
    }
    Ok(())
}

async fn lose_leaders(arguments: &Arguments, is_kill: bool) -> anyhow::Result<Histogram<u64>> {
    let mut trio = Trio::start(&arguments.servers, Contender::Giro)?;
    let options = ClientOptions {
        deadline: DEADLINE,
        silence_max: SILENCE_MAX,
        ..ClientOptions::default()
    };
    let client = Client::connect(&trio.addresses(), options).await?;
    open_accounts(&client).await?;
    let mut took = Histogram::new(3)?;
    for _ in 0..arguments.rounds {
        pay_for(&client, CALM).await?;
        let leader = trio.leader().context("somebody leads")?;
        let lost = Instant::now();
        if is_kill {
            trio.kill(leader)?;
        } else {
            trio.signal(leader, Signal::STOP)?;
        }
        client.create_transfers(&[payment()]).await?;
        took.record(lost.elapsed().as_micros() as u64)?;
        if is_kill {
            trio.start_one(leader)?;
        } else {
            trio.signal(leader, Signal::CONT)?;
        }
    }
    Ok(took)
}

async fn open_accounts(client: &Client) -> anyhow::Result<()> {
    let accounts = [1, 2].map(|id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    });
    client.create_accounts(&accounts).await?;
    Ok(())
}

async fn pay_for(client: &Client, time: Duration) -> anyhow::Result<()> {
    let start = Instant::now();
    while start.elapsed() < time {
        client.create_transfers(&[payment()]).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn payment() -> Transfer {
    Transfer {
        id: new_id(),
        debit_account_id: 1,
        credit_account_id: 2,
        amount: 1,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    }
}
