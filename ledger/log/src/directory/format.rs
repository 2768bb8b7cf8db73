//! Making a new ledger's directory.

use std::io;
use std::path::Path;
use std::sync::Arc;

use giro_base::limits::SECTOR_BYTES;

use super::identity::{Identity, identity_path};
use crate::error::LogError;
use crate::segment::{log_dir, segment_path, sequence_of};
use crate::spares::Workshop;
use crate::storage::{Access, RealStorage, Storage};

/// Makes a ledger in `dir`, which is created when it is not there. Everything is durable when
/// this returns; after a crash in the middle it can be run again.
///
/// # Errors
/// [`LogError::AlreadyFormatted`] when there is a ledger or what remains of one;
/// [`LogError::BadIdentity`] for impossible values; [`LogError::Io`] and [`LogError::DiskFull`].
pub fn format(dir: &Path, identity: &Identity) -> Result<(), LogError> {
    format_on(&(Arc::new(RealStorage) as Arc<dyn Storage>), dir, identity)
}

/// As [`format()`], with this many segments made ahead of need, so that the first peak finds
/// them ready. `made` is told after each how many there are. A crash in the middle, or a disk
/// without room for all, leaves a ledger with fewer of them. Returns how many there are.
///
/// # Errors
/// As [`format()`].
pub fn format_with_spares(
    dir: &Path,
    identity: &Identity,
    spares: usize,
    made: &mut dyn FnMut(usize),
) -> Result<usize, LogError> {
    let storage = Arc::new(RealStorage) as Arc<dyn Storage>;
    format_on(&storage, dir, identity)?;
    let mut workshop = Workshop::new(storage, &log_dir(dir), identity.segment_bytes, 2);
    for count in 1..=spares {
        match workshop.prepare(&|| false) {
            Ok(_) => made(count),
            Err(LogError::DiskFull { .. }) => return Ok(count - 1),
            Err(error) => return Err(error),
        }
    }
    Ok(spares)
}

/// As [`format()`], on any storage.
///
/// # Errors
/// As [`format()`].
pub fn format_on(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    identity: &Identity,
) -> Result<(), LogError> {
    let path = identity_path(dir);
    if let Err(reason) = identity.check() {
        return Err(LogError::BadIdentity { path, reason });
    }
    let log_dir = log_dir(dir);
    for dir in [dir, &log_dir] {
        storage
            .create_dir(dir)
            .map_err(LogError::io("create", dir))?;
    }
    refuse_a_ledger(storage.as_ref(), dir, &log_dir)?;
    for dir in dir
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .into_iter()
        .chain([dir])
    {
        storage.sync_dir(dir).map_err(LogError::io("flush", dir))?;
    }
    let mut workshop = Workshop::new(Arc::clone(storage), &log_dir, identity.segment_bytes, 1);
    workshop.prepare(&|| false)?;
    // Last: with it the directory is a ledger.
    identity.write(storage.as_ref(), dir)
}

/// A directory that was being formatted may be formatted again; a ledger may not, even if it has
/// lost its identity.
fn refuse_a_ledger(storage: &dyn Storage, dir: &Path, log_dir: &Path) -> Result<(), LogError> {
    let refuse = |found: String| {
        let dir = dir.to_owned();
        Err(LogError::AlreadyFormatted { dir, found })
    };
    match storage.open(&identity_path(dir), Access::Read) {
        Ok(_) => return refuse("giro.format".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(LogError::io("open", &identity_path(dir))(error)),
    }
    for name in storage
        .list(log_dir)
        .map_err(LogError::io("list", log_dir))?
    {
        let Some(sequence) = sequence_of(&name) else {
            continue;
        };
        let path = segment_path(log_dir, sequence);
        let mut sector = [0; SECTOR_BYTES];
        let mut read = |path| storage.open(path, Access::Read)?.read_at(&mut sector, 0);
        read(&path).map_err(LogError::io("read", &path))?;
        if sequence != 1 || sector != [0; SECTOR_BYTES] {
            return refuse(format!("log/{name} without giro.format"));
        }
    }
    Ok(())
}
