//! One process at a time.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::LogError;

/// Keeps other processes out of a ledger's directory until it is dropped or the process ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Locks the directory by its file `lock`.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it, [`LogError::NotFormatted`] when there is
    /// no such directory, [`LogError::Io`] when it cannot be written.
    pub fn take(dir: &Path) -> Result<Self, LogError> {
        if !dir.is_dir() {
            return Err(LogError::NotFormatted {
                dir: dir.to_owned(),
            });
        }
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(LogError::io("write", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(LogError::Locked { path }),
            Err(error) => Err(LogError::io("lock", &path)(error.into())),
        }
    }
}
