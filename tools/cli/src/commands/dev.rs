//! `giro dev`.

use std::path::PathBuf;

use anyhow::Context;

use super::serve::{self, Greeting};
use super::stopping::StopSignals;
use crate::config::{Config, Flags};
use crate::say::say;

/// Everything has a default.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: Flags,
    /// The ledger's directory; made when it is not there.
    #[arg(value_name = "DIR", default_value = "giro-data")]
    dir: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let signals = StopSignals::listen()?;
    match giro_log::read_identity(&arguments.dir) {
        Err(giro_log::LogError::NotFormatted { .. }) => {
            let identity = giro::open::new_identity(0).context("no random numbers")?;
            super::format::make(&arguments.dir, &identity, 0)?;
            say!("made a new ledger in {}", arguments.dir.display());
        }
        Err(error) => return Err(error.into()),
        Ok(_) => say!("opening the ledger in {}", arguments.dir.display()),
    }
    let config = Config::load(&arguments.dir, &arguments.settings)?;
    serve::run(&arguments.dir, config, Greeting::Tour, &signals)
}
