//! `giro format`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::TEMPLATE;

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
    /// Accepted for compatibility; Giro needs no other format for development.
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
    if arguments.development {
        tracing::debug!("--development changes nothing here");
    }
    make(&arguments.dir, arguments.cluster)?;
    println!(
        "formatted {} (cluster {})",
        arguments.dir.display(),
        arguments.cluster
    );
    Ok(())
}

/// Makes a ledger with its commented configuration.
pub(crate) fn make(dir: &Path, cluster: u128) -> anyhow::Result<()> {
    let identity = giro::open::new_identity(cluster).context("no random numbers")?;
    giro_log::format(dir, &identity)?;
    let config = dir.join("giro.toml");
    if !config.exists() {
        std::fs::write(&config, TEMPLATE)
            .with_context(|| format!("cannot write {}", config.display()))?;
    }
    Ok(())
}
