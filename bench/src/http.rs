//! Requests over HTTP: one durable transfer each, against a route of the same axum stack that does
//! nothing, both from the same client in one run.

mod bare;
mod caller;

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use giro_client::{Account, Client, ClientOptions, CreateAccountStatus};

use self::bare::Bare;
use self::caller::{Load, Measured};
use crate::servers::{GiroServer, median};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: GiroServer,
    /// Connections, each with one request at a time.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256])]
    connections: Vec<usize>,
    /// Seconds to measure, after one to warm up.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Times that each is measured, alternately.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only serve the route that does nothing, until the end of standard input.
    #[arg(long, hide = true)]
    bare: bool,
}

const LEDGER: u32 = 978;
/// Accounts the transfers run between.
const ACCOUNTS: u128 = 1_000;
/// Accounts that one account's first id is behind.
const ACCOUNT_FIRST: u128 = 1;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.bare {
        return bare::serve();
    }
    println!("connections  round  giro/s  p50 ms  p99 ms  bare/s  p50 ms  p99 ms  part");
    for connections in arguments.connections.iter().copied() {
        let mut parts = Vec::new();
        for round in 0..arguments.rounds {
            let load = Load {
                connections,
                seconds: arguments.seconds,
                accounts: ACCOUNTS,
                account_first: ACCOUNT_FIRST,
                ledger: LEDGER,
            };
            let (giro, bare) = if round % 2 == 0 {
                let giro = measure_giro(arguments, &load)?;
                (giro, measure_bare(&load)?)
            } else {
                let bare = measure_bare(&load)?;
                (measure_giro(arguments, &load)?, bare)
            };
            let part = giro.rate / bare.rate;
            println!(
                "{connections:>11}  {round:>5}  {}  {}  {:>3.0} %",
                row(&giro),
                row(&bare),
                part * 100.0
            );
            parts.push(part);
        }
        let middle = median(parts.into_iter()) * 100.0;
        println!("{connections} connections: {middle:.0} % of the route that does nothing");
    }
    Ok(())
}

fn row(measured: &Measured) -> String {
    let ms = |percentile| measured.times.value_at_percentile(percentile) as f64 / 1e3;
    format!(
        "{:>6.0}  {:>6.2}  {:>6.2}",
        measured.rate,
        ms(50.0),
        ms(99.0)
    )
}

fn measure_giro(arguments: &Arguments, load: &Load) -> anyhow::Result<Measured> {
    let server = arguments.server.start_with_http()?;
    let http: SocketAddr = ([127, 0, 0, 1], server.http).into();
    let binary = format!("127.0.0.1:{}", server.running.port);
    make_accounts(&binary)?;
    let measured = caller::measure(http, "/transfers", load, |body| {
        body.windows(CREATED.len()).any(|part| part == CREATED)
    })?;
    audit(&binary, &measured)?;
    Ok(measured)
}

/// In the answer about a transfer that was made.
const CREATED: &[u8] = br#""created""#;

fn measure_bare(load: &Load) -> anyhow::Result<Measured> {
    let bare = Bare::start()?;
    caller::measure(bare.address, "/nothing", load, |_| true)
}

fn make_accounts(binary: &str) -> anyhow::Result<()> {
    blocking(async {
        let client = Client::connect(binary, ClientOptions::default()).await?;
        let account = |number| Account {
            id: ACCOUNT_FIRST + number,
            ledger: LEDGER,
            code: 1,
            ..Account::default()
        };
        let accounts: Vec<Account> = (0..ACCOUNTS).map(account).collect();
        let results = client.create_accounts(&accounts).await?;
        let made = |status| status == CreateAccountStatus::Created;
        ensure!(
            results.iter().all(|result| made(result.status)),
            "accounts were refused"
        );
        Ok(())
    })
}

/// Every transfer moved 1: what the accounts have posted is what was answered, and what was under
/// way at the end of the warm-up's and the measurement's connections.
fn audit(binary: &str, measured: &Measured) -> anyhow::Result<()> {
    blocking(async {
        let client = Client::connect(binary, ClientOptions::default()).await?;
        let ids: Vec<u128> = (0..ACCOUNTS).map(|number| ACCOUNT_FIRST + number).collect();
        let accounts = client.lookup_accounts(&ids).await?;
        let debits: u128 = accounts.iter().map(|account| account.debits_posted).sum();
        let credits: u128 = accounts.iter().map(|account| account.credits_posted).sum();
        if debits != credits || debits != u128::from(measured.answered) {
            bail!(
                "the books have {debits} debits and {credits} credits, and {} were answered",
                measured.answered
            );
        }
        Ok(())
    })
}

fn blocking<T>(what: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime")?;
    runtime.block_on(what)
}
