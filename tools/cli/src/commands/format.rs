//! `giro format`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use giro_log::Identity;
use indicatif::ProgressBar;

use crate::cluster_key;
use crate::config::{LOG_SPARES, TEMPLATE};

/// The flags are those users know from `tigerbeetle format`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The cluster's id; clients must name the same. 0 is for trying things out.
    #[arg(long, default_value_t = 0)]
    cluster: u128,
    /// This replica's number, from 0. One behind those of `--replica-count` is for joining a
    /// running group later (`giro cluster add`).
    #[arg(long, default_value_t = 0)]
    replica: u8,
    /// Replicas that the cluster begins with: 1, 3 or 5.
    #[arg(long, default_value_t = 1)]
    replica_count: u8,
    /// File with the secret that the replicas of a group share; made by the first `format` that
    /// finds none. Keep it as safe as the ledger.
    #[arg(long, value_name = "FILE")]
    cluster_key: Option<PathBuf>,
    /// Log segments of 64 MiB made ahead of need.
    #[arg(long, default_value_t = LOG_SPARES, value_name = "COUNT")]
    log_spares: u32,
    /// For trying things out: makes no segments ahead, so the directory stays small at first.
    #[arg(long)]
    development: bool,
    /// The ledger's directory.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let spares = if arguments.development {
        0
    } else {
        arguments.log_spares
    };
    let identity = identity(arguments)?;
    make(&arguments.dir, &identity, spares)?;
    let dir = arguments.dir.display();
    if identity.incarnation == 0 {
        println!("formatted {dir} (cluster {})", identity.cluster);
    } else {
        let (replica, count) = (identity.replica, identity.replica_count);
        println!(
            "formatted {dir} (cluster {}, replica {replica}, group of {count})",
            identity.cluster
        );
    }
    Ok(())
}

fn identity(arguments: &Arguments) -> anyhow::Result<Identity> {
    let (replica, count) = (arguments.replica, arguments.replica_count);
    if ![1, 3, 5].contains(&count) {
        bail!(
            "a group begins with 1, 3 or 5 replicas, not {count}: of an even number one more could \
             not be lost"
        );
    }
    let Some(path) = &arguments.cluster_key else {
        if count > 1 || replica > 0 {
            bail!(
                "the replicas of a group share a secret: say --cluster-key=FILE, the same file for \
                 each; the first one makes it"
            );
        }
        return giro::open::new_identity(arguments.cluster).context("no random numbers");
    };
    let key = cluster_key::read_or_make(path, giro::open::random_key)?;
    giro::open::new_replica(arguments.cluster, replica, count, key).context("no random numbers")
}

/// Makes a ledger with its commented configuration, and segments ahead of need.
pub(crate) fn make(dir: &Path, identity: &Identity, spares: u32) -> anyhow::Result<()> {
    let bar = ProgressBar::new(u64::from(spares)).with_message("log segments");
    let made = giro_log::format_with_spares(dir, identity, spares as usize, &mut |made| {
        bar.set_position(made as u64);
    })?;
    bar.finish_and_clear();
    if made < spares as usize {
        tracing::warn!("the disk has room for {made} of {spares} log segments ahead of need");
    }
    let config = dir.join("giro.toml");
    if !config.exists() {
        std::fs::write(&config, TEMPLATE)
            .with_context(|| format!("cannot write {}", config.display()))?;
    }
    Ok(())
}
