//! `giro verify`.

use std::path::PathBuf;

use anyhow::bail;
use giro::open::take_lock;
use giro::verify::Verified;
use giro_core::conservation::Totals;
use serde_json::{Value, json};

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

/// Checks history, checkpoint and log, replays what is behind the checkpoint, and checks the books
/// afresh.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load(&arguments.dir, &arguments.settings)?;
    let _lock = take_lock(&arguments.dir)?;
    let mut bar = show::VerifyBar::new();
    let verified = giro::verify::verify(&arguments.dir, &config.ledger, &mut |stage| {
        bar.show(stage);
    })?;
    bar.finish();
    Totals::of(&verified.engine.machine().tables().accounts).assert_balanced();
    let digest = verified.engine.digest().to_string();
    if arguments.json {
        println!("{:#}", found(&verified, &digest));
    } else {
        print(&verified, &digest);
    }
    match &arguments.digest {
        Some(expected) if *expected != digest => {
            bail!("the digest is {digest}, expected was {expected}: the ledgers differ")
        }
        _ => Ok(()),
    }
}

fn found(verified: &Verified, digest: &str) -> Value {
    let engine = &verified.engine;
    let tables = engine.machine().tables();
    let history = verified.history.as_ref().map(|history| {
        json!({
            "segments": history.segments, "id_runs": history.runs,
            "transfers": history.rows, "expiries": history.expiries,
            "burned_ids": history.burned, "pages": history.pages,
            "checkpoint_accounts": history.accounts,
            "checkpoint_pendings": history.pendings, "compared_with_log": verified.compared,
        })
    });
    json!({
        "records": verified.records, "ops": engine.commit_op(), "digest": digest,
        "accounts": tables.accounts.len(), "transfers": tables.window.end_row(),
        "sessions": engine.sessions().len(), "timestamp": engine.read_timestamp(),
        "history": history,
    })
}

fn print(verified: &Verified, digest: &str) {
    let engine = &verified.engine;
    let tables = engine.machine().tables();
    println!("ops        {}", engine.commit_op());
    println!("accounts   {}", tables.accounts.len());
    println!("transfers  {}", tables.window.end_row());
    println!("sessions   {}", engine.sessions().len());
    if let Some(history) = &verified.history {
        println!(
            "history    {} transfers, {} expiries, {} burned ids in {} segments and {} id runs",
            history.rows, history.expiries, history.burned, history.segments, history.runs
        );
        println!(
            "checkpoint {} accounts, {} open pending transfers",
            history.accounts, history.pendings
        );
        println!(
            "compared   {} transfers of the log with the history",
            verified.compared
        );
    }
    println!("replayed   {} records", verified.records);
    println!("digest     {digest}");
    if verified.history.is_some() {
        println!("history, indexes, checkpoint, log and books are in order");
    } else {
        println!("checksums, hash chain and books are in order");
    }
}
