//! `giro start`.

use std::path::PathBuf;

use super::serve::{self, Greeting};
use super::stopping::StopSignals;
use crate::config::{Config, Flags};

/// The flags are those users know from `tigerbeetle start`, and every setting of `giro.toml`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: Flags,
    /// Accepted for compatibility; Giro runs the same way in development.
    #[arg(long)]
    development: bool,
    /// The ledger's directory, made by `giro format`.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let signals = StopSignals::listen()?;
    if arguments.development {
        tracing::debug!("--development changes nothing here");
    }
    let config = Config::load(&arguments.dir, &arguments.settings)?;
    serve::run(&arguments.dir, config, Greeting::Port, &signals)
}
