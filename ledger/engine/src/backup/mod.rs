//! Copying a ledger, running or not, to another directory: the history as of a checkpoint, and the
//! log behind that. Everything is checked on the way, and the copy is opened at the end.

mod target;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use giro_base::BufferPool;
use giro_core::Digest;
use giro_log::storage::{Access, RealStorage, Storage, StorageFile};
use giro_log::{DirLock, Identity, LogError, LogOptions, Recovery, read_identity, segment_path};
use giro_store::{History, StoreError};

use self::target::failed;
use crate::engine::Engine;
use crate::error::Error;
use crate::open::{Options, Progress, read_history};

pub use self::target::Target;

/// Why a ledger cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Something is there already.
    #[error("{} is not empty: choose a new directory", dir.display())]
    NotEmpty {
        /// The directory to copy to.
        dir: PathBuf,
    },
    /// The ledger gave its log up faster than it could be copied.
    #[error(
        "the ledger makes checkpoints faster than its log can be copied: try again when it is \
         less busy, or copy to a faster disk"
    )]
    TooBusy,
    /// The ledger, or its copy.
    #[error(transparent)]
    Ledger(#[from] Error),
}

impl From<LogError> for BackupError {
    fn from(error: LogError) -> Self {
        Self::Ledger(error.into())
    }
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Ledger(error.into())
    }
}

/// How far a copy is.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// Bytes of the history that are copied, of all.
    History {
        /// Copied.
        bytes: u64,
        /// All there are.
        bytes_total: u64,
    },
    /// Bytes of the log that are copied. Nobody knows how many there will be.
    Log {
        /// Copied.
        bytes: u64,
    },
    /// The copy is being opened.
    Check(Progress),
}

/// A copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Number of its last op.
    pub op: u64,
    /// The digest there.
    pub digest: Digest,
    /// Transfers ever made.
    pub transfers: u64,
    /// Bytes that were copied.
    pub bytes: u64,
}

/// How often it is tried again, at least, when the ledger gave up what was being copied.
const ATTEMPTS: usize = 20;

/// How long it is tried again, at least, while the ledger is in use: one with small segments gives
/// them up within milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Copies the ledger in `from`, which may be running, to the directory `to`, which must be new or
/// empty. The copy has everything acknowledged before the call, and perhaps more.
///
/// It has the ledger's secret, as the original does: keep it as safe.
///
/// # Errors
/// [`BackupError`]. What was copied stays; without its `giro.format` it is no ledger.
pub fn copy(
    from: &Path,
    to: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Stage),
) -> Result<Copied, BackupError> {
    let identity = read_identity(from)?;
    if identity.incarnation != 0 {
        return Err(Error::Grouped.into());
    }
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let mut copier = Copier {
        target: Target::make(&storage, to)?,
        storage,
        from,
        to,
        identity: &identity,
        archive: options.archive,
        progress,
    };
    copier.copy_history_and_log()?;
    copier.target.copy_small(from, "giro.toml")?;
    // Last: until now it is no ledger.
    copier.target.copy_small(from, "giro.format")?;
    let bytes = copier.target.bytes();
    let check = &mut |at| progress(Stage::Check(at));
    let engine = Engine::replay_only(to, options, check)?;
    Ok(Copied {
        op: engine.commit_op(),
        digest: engine.digest(),
        transfers: engine.machine().tables().window.end_row(),
        bytes,
    })
}

struct Copier<'a> {
    target: Target,
    storage: Arc<dyn Storage>,
    from: &'a Path,
    to: &'a Path,
    identity: &'a Identity,
    /// The ledger uses its history, if it has one.
    archive: bool,
    progress: &'a mut dyn FnMut(Stage),
}

impl Copier<'_> {
    fn copy_history_and_log(&mut self) -> Result<(), BackupError> {
        let give_up = Instant::now() + PATIENCE;
        for attempt in 1.. {
            match self.try_history_and_log()? {
                Ok(()) => break,
                Err(obstacle) if attempt >= ATTEMPTS => {
                    let in_use = matches!(DirLock::take(self.from), Err(LogError::Locked { .. }));
                    if !in_use || Instant::now() >= give_up {
                        return Err(obstacle);
                    }
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// The inner error is what can come of a ledger that merged or gave up files meanwhile.
    fn try_history_and_log(&mut self) -> Result<Result<(), BackupError>, BackupError> {
        // Its files are open: they can be read even when the ledger removes them.
        let history = match self.history() {
            Err(Error::History(error)) if is_moving(&error) => return Ok(Err(error.into())),
            history => history?,
        };
        let first_index = match &history {
            None => 1,
            Some(history) => {
                let catalog = history.catalog();
                self.target.copy_history(catalog, self.progress)?;
                let whole = catalog.checkpoint();
                let whole = whole.expect("a history that is read has one");
                whole.state().record
            }
        };
        self.copy_log(first_index)
    }

    /// The history; none for a ledger that has left its own behind. A copy must open as it does.
    fn history(&self) -> Result<Option<History>, Error> {
        let oldest = Recovery::oldest_index(&self.storage, self.from, self.identity);
        if !self.archive && matches!(oldest, Ok(1)) {
            return Ok(None);
        }
        read_history(&self.storage, self.from, self.identity)
    }

    /// Copies the log from this record on. The inner error is what can come of a ledger that gave
    /// it up meanwhile.
    fn copy_log(&mut self, first_index: u64) -> Result<Result<(), BackupError>, BackupError> {
        self.target.clear_log()?;
        let options = LogOptions {
            first_index,
            ..LogOptions::default()
        };
        let storage = Arc::clone(&self.storage);
        let recovery = Recovery::open_on(storage, self.from, self.identity, &options);
        let mut recovery = match recovery {
            Ok(recovery) => recovery,
            // Segments change their names while they are listed.
            Err(error) => return Ok(Err(error.into())),
        };
        recovery.include_whole_segment();
        let oldest = recovery.place().segment;
        let copied = self.copy_records(&mut recovery, oldest);
        // Segments are given up in order: if the first is still there, all were.
        let still_there = self
            .storage
            .open(&segment_path(&self.from.join("log"), oldest), Access::Read)
            .is_ok();
        match copied {
            Err(error) if still_there => Err(error),
            _ if still_there => Ok(Ok(())),
            _ => Ok(Err(BackupError::TooBusy)),
        }
    }

    fn copy_records(&mut self, recovery: &mut Recovery, oldest: u64) -> Result<(), BackupError> {
        let pool = BufferPool::new(1).map_err(|source| Error::Memory {
            what: "a message buffer",
            source,
        })?;
        let mut buffer = pool.take().expect("a new pool has a buffer");
        let mut segment = self.begin_segment(oldest)?;
        let mut number = oldest;
        let mut bytes = 0;
        while let Some(record) = recovery.next_of_running(&mut buffer)? {
            let place = recovery.place();
            let padded = record.padded_bytes();
            while number < place.segment {
                self.end_segment(&*segment, number)?;
                number += 1;
                segment = self.begin_segment(number)?;
            }
            let path = segment_path(&self.to.join("log"), number);
            segment
                .write_at(&buffer[..padded], place.offset - padded as u64)
                .map_err(failed("write", &path))?;
            bytes += padded as u64;
            (self.progress)(Stage::Log { bytes });
        }
        self.end_segment(&*segment, number)?;
        self.target.count(bytes);
        let log = self.to.join("log");
        self.storage.sync_dir(&log).map_err(failed("flush", &log))
    }

    fn begin_segment(&self, number: u64) -> Result<Box<dyn StorageFile>, BackupError> {
        let path = segment_path(&self.to.join("log"), number);
        let file = self.storage.create(&path);
        let file = file.map_err(failed("create", &path))?;
        file.allocate(self.identity.segment_bytes)
            .map_err(failed("allocate", &path))?;
        Ok(file)
    }

    fn end_segment(&self, file: &dyn StorageFile, number: u64) -> Result<(), BackupError> {
        let path = segment_path(&self.to.join("log"), number);
        file.sync().map_err(failed("flush", &path))
    }
}

/// Whether a file of the history was merged away while it was looked for.
#[must_use]
pub fn is_moving(error: &StoreError) -> bool {
    match error {
        StoreError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        StoreError::Missing { .. } => true,
        _ => false,
    }
}
