//! Putting a fetched checkpoint into the place of the history, when a node is opened.
//! `docs/internals/replication.md` has the table of cases.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use giro_log::storage::Storage;
use giro_log::{Identity, Recovery};

use super::error::TransferError;
use crate::error::NodeError;
use crate::life::{Life, NextRecord};

const INCOMING: &str = "incoming-";
const HISTORY: &str = "history";
const OLD: &str = "history.old";

/// Where the checkpoint at this entry is fetched to.
pub(super) fn incoming_dir(dir: &Path, index: u64) -> PathBuf {
    dir.join(format!("{INCOMING}{index:016x}"))
}

/// What was fetched, wholly or in part, with its entry.
pub(super) fn incoming(
    storage: &dyn Storage,
    dir: &Path,
) -> Result<Vec<(u64, PathBuf)>, TransferError> {
    let names = storage.list(dir).map_err(TransferError::dir("list", dir))?;
    let ours = names.iter().filter_map(|name| {
        let number = name.strip_prefix(INCOMING)?;
        let index = u64::from_str_radix(number, 16).ok()?;
        let path = incoming_dir(dir, index);
        (path.file_name()?.to_str() == Some(name)).then_some((index, path))
    });
    Ok(ours.collect())
}

/// Puts the checkpoint that the log goes on from in the place of the history, if it is not there
/// yet. Every step can be the last one: the next start goes on.
pub(crate) fn put_in_place(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    identity: &Identity,
) -> Result<(), NodeError> {
    let Some(place) = in_force(storage, dir, identity, Recovery::next)? else {
        return Ok(());
    };
    let (current, old) = (dir.join(HISTORY), dir.join(OLD));
    if has(&**storage, dir, HISTORY)? {
        remove_tree(&**storage, &old)?;
        rename(&**storage, &current, &old)?;
        sync(&**storage, dir)?;
    }
    rename(&**storage, &place.join(HISTORY), &current)?;
    sync(&**storage, dir)?;
    sync(&**storage, &place)?;
    Ok(())
}

/// Where the fetched checkpoint is that the log goes on from, when it is not in the place of the
/// history yet. Whoever only looks reads the history there.
pub(crate) fn in_force(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    identity: &Identity,
    next: NextRecord,
) -> Result<Option<PathBuf>, NodeError> {
    let fetched = incoming(&**storage, dir)?;
    if fetched.is_empty() {
        return Ok(None);
    }
    let installed = Life::read(storage, dir, identity, next)?.installed;
    let place = fetched
        .into_iter()
        .find(|(index, _)| Some(*index) == installed);
    match place {
        Some((_, place)) if has(&**storage, &place, HISTORY)? => Ok(Some(place)),
        _ => Ok(None),
    }
}

/// Removes what a newer checkpoint in place makes needless: fetched ones up to that at `index`, and
/// the history before it.
pub(crate) fn clear(storage: &dyn Storage, dir: &Path, index: u64) -> Result<(), NodeError> {
    for (found, place) in incoming(storage, dir)? {
        if found <= index {
            remove_tree(storage, &place)?;
        }
    }
    Ok(remove_tree(storage, &dir.join(OLD))?)
}

fn has(storage: &dyn Storage, dir: &Path, name: &str) -> Result<bool, TransferError> {
    let names = storage.list(dir).map_err(TransferError::dir("list", dir))?;
    Ok(names.iter().any(|found| found == name))
}

fn rename(storage: &dyn Storage, from: &Path, to: &Path) -> Result<(), TransferError> {
    let renamed = storage.rename(from, to);
    renamed.map_err(TransferError::dir("rename", from))
}

fn sync(storage: &dyn Storage, dir: &Path) -> Result<(), TransferError> {
    let flushed = storage.sync_dir(dir);
    flushed.map_err(TransferError::dir("flush", dir))
}

/// Removes a directory of ours with what is in it, if it is there.
fn remove_tree(storage: &dyn Storage, dir: &Path) -> Result<(), TransferError> {
    let names = match storage.list(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        names => names.map_err(TransferError::dir("list", dir))?,
    };
    for name in names {
        let path = dir.join(&name);
        // Ours are directories or have an ending.
        if name.contains('.') {
            let removed = storage.remove(&path);
            drop(removed.map_err(TransferError::dir("remove", &path))?);
        } else {
            remove_tree(storage, &path)?;
        }
    }
    let removed = storage.remove_dir(dir);
    removed.map_err(TransferError::dir("remove", dir))
}
