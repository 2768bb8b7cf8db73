//! `giro backup` and `giro restore`.

mod member;

use std::path::{Path, PathBuf};

use giro::backup::{Copied, copy};
use giro::open::take_lock;
use giro_log::DirLock;
use serde_json::{Value, json};

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

/// Copies a ledger or a replica while it runs, checks the copy, and says where it ends.
pub(crate) fn back_up(arguments: &Backup) -> anyhow::Result<()> {
    let Backup {
        settings,
        json,
        dir,
        backup,
    } = arguments;
    run(("backed up", *json), settings, dir, backup, None)
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
    let lock = take_lock(backup)?;
    run(("restored", *json), settings, backup, dir, Some(lock))
}

/// Copies; the source's lock may be held already.
fn run(
    (done, json): (&str, bool),
    settings: &Flags,
    from: &Path,
    to: &Path,
    lock: Option<DirLock>,
) -> anyhow::Result<()> {
    let config = Config::load(from, settings)?;
    let identity = giro_log::read_identity(from)?;
    if identity.incarnation != 0 {
        return member::run((done, json), &config, &identity, (from, to), lock);
    }
    let mut bar = show::CopyBar::new();
    let copied = copy(from, to, &config.ledger, &mut |stage| bar.show(stage))?;
    bar.finish();
    if json {
        println!("{:#}", found(&copied, to));
    } else {
        print(done, &copied, to);
    }
    Ok(())
}

fn found(copied: &Copied, to: &Path) -> Value {
    json!({
        "op": copied.op, "digest": copied.digest.to_string(), "transfers": copied.transfers,
        "bytes": copied.bytes, "directory": to,
    })
}

fn print(done: &str, copied: &Copied, to: &Path) {
    println!("{done} to {}", to.display());
    println!("op         {}", copied.op);
    println!("transfers  {}", copied.transfers);
    println!("bytes      {}", copied.bytes);
    println!("digest     {}", copied.digest);
    println!("every page and record was checked, and the copy was opened");
}
