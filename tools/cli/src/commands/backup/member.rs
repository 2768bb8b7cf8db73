//! Backing up a replica of a group.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use giro_log::storage::{RealStorage, Storage};
use giro_log::{DirLock, Identity, LogError};
use giro_node::{Executed, copy_member};
use serde_json::json;

use super::{found, print};
use crate::commands::cluster::executed;
use crate::commands::serve::replica_options;
use crate::config::Config;
use crate::show;

/// Copies a replica's directory to a ledger that is alone, and says so.
pub(super) fn run(
    (done, json): (&str, bool),
    config: &Config,
    identity: &Identity,
    (from, to): (&Path, &Path),
    held: Option<DirLock>,
) -> anyhow::Result<()> {
    // Held to the end: nobody starts it meanwhile.
    let lock = match held.map_or_else(|| DirLock::take(from), Ok) {
        Ok(lock) => Some(lock),
        Err(LogError::Locked { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if lock.is_none() {
        // Before anything is made: one that is being opened does not answer yet.
        executed(from).context("the replica runs, and has to say how far it is")?;
    }
    let mut answer = || executed(from).ok();
    let answer: &mut dyn FnMut() -> Option<Executed> = &mut answer;
    let ask = lock.is_none().then_some(answer);
    let options = replica_options(identity, config);
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let mut bar = show::CopyBar::new();
    let copied = copy_member(&storage, (from, to), &options, ask, &mut |stage| {
        bar.show(stage);
    })?;
    bar.finish();
    let replica = identity.replica;
    if json {
        let mut found = found(&copied.copied, to);
        found["copy_of_replica"] = json!(replica);
        found["is_alone"] = json!(true);
        found["ops_left_out"] = json!(copied.left_out);
        println!("{found:#}");
        return Ok(());
    }
    print(done, &copied.copied, to);
    println!(
        "it is a ledger alone, with what replica {replica} of cluster {} had: it can never take \
         part in that group",
        identity.cluster
    );
    if copied.left_out > 0 {
        println!(
            "{} ops are not in it: the replica did not run, and its log does not know whether they \
             are committed",
            copied.left_out
        );
    }
    Ok(())
}
