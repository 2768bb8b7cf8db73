//! `giro cluster found`: a ledger that is alone becomes a group of one, which can grow.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use giro::Engine;
use giro::open::{new_incarnation, take_lock};
use giro_log::LogError;
use giro_log::directory::found_group_on;
use giro_log::storage::RealStorage;
use serde_json::json;

use crate::cluster_key;
use crate::config::{Config, Flags};
use crate::show;

/// Which ledger, and where its secret goes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: Flags,
    /// File for the secret that the group's replicas share: the ledger's own, which it has had all
    /// the time. Made here; replicas that join are formatted with it. Keep it as safe as the
    /// ledger.
    #[arg(long, value_name = "FILE")]
    cluster_key: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The ledger's directory. It must not be running.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Checks that the ledger can be opened, and makes it replica 0 of a group of one.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (dir, key_path) = (&arguments.dir, &arguments.cluster_key);
    let config = Config::load(dir, &arguments.settings)?;
    let lock = take_lock(dir)?;
    let identity = giro_log::read_identity(dir)?;
    if identity.incarnation != 0 {
        let (dir, replica) = (dir.clone(), identity.replica);
        return Err(LogError::InGroup { dir, replica }.into());
    }
    // As a member that cannot be opened it would be sent away from its group, and there is no other
    // that could take its place.
    let mut bar = show::ReplayBar::new();
    let engine = Engine::replay_only(dir, &config.ledger, &mut |progress| bar.show(progress));
    bar.finish();
    let engine = engine.context("the ledger cannot be opened, so it stays as it is")?;
    export(key_path, identity.hash_key)?;
    let incarnation = new_incarnation().context("no random numbers")?;
    found_group_on(&RealStorage, dir, incarnation)?;
    drop(lock);
    report(arguments, &engine, incarnation);
    Ok(())
}

/// The secret has to be in the file, and durable, before anybody can join. An earlier attempt may
/// have made the file.
fn export(path: &Path, secret: [u64; 2]) -> anyhow::Result<()> {
    if cluster_key::read_or_make(path, || Ok(secret))? != secret {
        bail!(
            "{} has the secret of another cluster: the group takes the secret that this ledger has \
             already, so name a file that is not there",
            path.display()
        );
    }
    Ok(())
}

fn report(arguments: &Arguments, engine: &Engine, incarnation: u64) {
    let (dir, key) = (arguments.dir.display(), arguments.cluster_key.display());
    let (op, digest) = (engine.commit_op(), engine.digest());
    if arguments.json {
        let found = json!({
            "replica": 0, "incarnation": format!("{incarnation:016x}"), "op": op,
            "digest": digest.to_string(), "cluster_key": arguments.cluster_key,
        });
        println!("{found:#}");
        return;
    }
    println!("{dir} is replica 0 of a group of one");
    println!("op       {op}");
    println!("digest   {digest}");
    println!("secret   {key}");
    println!("start it as before, then add replicas: docs/operating/cluster.md has the steps");
}
