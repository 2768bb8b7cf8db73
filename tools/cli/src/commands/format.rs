//! `giro format`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::ProgressBar;

use crate::config::{LOG_SPARES, TEMPLATE};

/// The flags are those users know from `tigerbeetle format`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The cluster's id; clients must name the same. 0 is for trying things out.
    #[arg(long, default_value_t = 0)]
    cluster: u128,
    /// This replica's number.
    #[arg(long, default_value_t = 0)]
    replica: u8,
    /// Replicas of the cluster. This release runs one.
    #[arg(long, default_value_t = 1)]
    replica_count: u8,
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
    if arguments.replica_count != 1 || arguments.replica != 0 {
        bail!("this release runs one replica: use --replica=0 --replica-count=1");
    }
    let spares = if arguments.development {
        0
    } else {
        arguments.log_spares
    };
    make(&arguments.dir, arguments.cluster, spares)?;
    println!(
        "formatted {} (cluster {})",
        arguments.dir.display(),
        arguments.cluster
    );
    Ok(())
}

/// Makes a ledger with its commented configuration, and segments ahead of need.
pub(crate) fn make(dir: &Path, cluster: u128, spares: u32) -> anyhow::Result<()> {
    let identity = giro::open::new_identity(cluster).context("no random numbers")?;
    let bar = ProgressBar::new(u64::from(spares)).with_message("log segments");
    let made = giro_log::format_with_spares(dir, &identity, spares as usize, &mut |made| {
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
