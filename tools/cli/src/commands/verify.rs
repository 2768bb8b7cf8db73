//! `giro verify`.

use std::path::PathBuf;

use anyhow::bail;
use giro::Engine;
use giro::open::take_lock;
use giro_core::conservation::Totals;
use serde_json::json;

use crate::config::{Config, Flags};
use crate::show;

/// Which ledger, and what to hold it against.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: Flags,
    /// The digest the replay must end with, as an earlier verify printed it.
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The ledger's directory. It must not be running.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Walks the log (every checksum and the chain), replays it, and checks the books afresh.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load(&arguments.dir, &arguments.settings)?;
    let _lock = take_lock(&arguments.dir)?;
    let mut bar = show::ReplayBar::new();
    let mut last = None;
    let engine = Engine::replay_only(&arguments.dir, &config.ledger, &mut |progress| {
        bar.show(progress);
        last = Some(progress);
    })?;
    bar.finish();
    let tables = engine.machine().tables();
    Totals::of(&tables.accounts).assert_balanced();
    let digest = engine.digest().to_string();
    let (records, ops) = last.map_or((0, 0), |progress| (progress.records, progress.ops));
    if arguments.json {
        let found = json!({
            "records": records, "ops": ops, "digest": digest,
            "accounts": tables.accounts.len(), "transfers": tables.window.end_row(),
            "sessions": engine.sessions().len(), "timestamp": engine.read_timestamp(),
        });
        println!("{found:#}");
    } else {
        println!("records    {records}");
        println!("ops        {ops}");
        println!("accounts   {}", tables.accounts.len());
        println!("transfers  {}", tables.window.end_row());
        println!("sessions   {}", engine.sessions().len());
        println!("digest     {digest}");
        println!("checksums, hash chain and books are in order");
    }
    match &arguments.digest {
        Some(expected) if *expected != digest => {
            bail!("the digest is {digest}, expected was {expected}: the ledgers differ")
        }
        _ => Ok(()),
    }
}
