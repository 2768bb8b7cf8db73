//! `giro backup` and `giro restore`.

use std::path::{Path, PathBuf};

use giro::backup::copy;
use giro::open::take_lock;
use serde_json::json;

use crate::config::{Config, Flags};
use crate::show;

/// What to copy, and where to.
#[derive(clap::Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    settings: Flags,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The ledger's directory. It may be running.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Where the copy goes: a directory that is new or empty.
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
}

/// What to make a ledger of, and where.
#[derive(clap::Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    settings: Flags,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// A directory that `giro backup` has made.
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// Where the ledger goes: a directory that is new or empty.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Copies a ledger while it runs, checks the copy, and says where it ends.
pub(crate) fn back_up(arguments: &Backup) -> anyhow::Result<()> {
    let Backup {
        settings,
        json,
        dir,
        backup,
    } = arguments;
    run("backed up", settings, *json, dir, backup)
}

/// Makes a ledger of a backup. The backup stays as it is.
pub(crate) fn restore(arguments: &Restore) -> anyhow::Result<()> {
    let Restore {
        settings,
        json,
        backup,
        dir,
    } = arguments;
    // Nobody may run it meanwhile, and then two ledgers would go on from one.
    let _lock = take_lock(backup)?;
    run("restored", settings, *json, backup, dir)
}

fn run(done: &str, settings: &Flags, json: bool, from: &Path, to: &Path) -> anyhow::Result<()> {
    let config = Config::load(from, settings)?;
    let mut bar = show::CopyBar::new();
    let copied = copy(from, to, &config.ledger, &mut |stage| bar.show(stage))?;
    bar.finish();
    let digest = copied.digest.to_string();
    if json {
        let said = json!({
            "op": copied.op, "digest": digest, "transfers": copied.transfers,
            "bytes": copied.bytes, "directory": to,
        });
        println!("{said:#}");
    } else {
        println!("{done} to {}", to.display());
        println!("op         {}", copied.op);
        println!("transfers  {}", copied.transfers);
        println!("bytes      {}", copied.bytes);
        println!("digest     {digest}");
        println!("every page and record was checked, and the copy was opened");
    }
    Ok(())
}
