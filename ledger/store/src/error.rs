//! What can go wrong with the history, where, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use giro_log::storage::is_bad_disk;
use rustix::io::Errno;

/// A failure of the history on disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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
    /// A page cannot be believed. Nothing of it was used.
    #[error(
        "the history is damaged at {} offset {offset}: {reason}. Nothing was changed; a \
         ledger that is alone is to be restored from a backup",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it (bytes).
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A file that must be there is not.
    #[error(
        "the history in {} is not whole: {missing} is missing. A ledger that is alone is \
         to be restored from a backup",
        dir.display()
    )]
    Missing {
        /// The history's directory.
        dir: PathBuf,
        /// What is not there.
        missing: String,
    },
    /// A whole file, of another ledger or another version.
    #[error("{} does not belong here: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No room for a file of the history. Tried again every second; passes by itself.
    #[error(
        "no room in {} for the history: free some space, it goes on by itself",
        dir.display()
    )]
    DiskFull {
        /// The history's directory.
        dir: PathBuf,
    },
    /// The process, or the system, has as many files open as it may. Tried again every second;
    /// passes by itself once there is room.
    #[error(
        "cannot {action} {}: too many files are open; raise the limit (`ulimit -n`). The history \
         keeps its files open and tries again",
        path.display()
    )]
    TooManyFiles {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// There is a history already where one was to be created.
    #[error("{} holds a history already: choose another directory", dir.display())]
    AlreadyThere {
        /// The history's directory.
        dir: PathBuf,
    },
    /// The history's thread ended after an earlier failure.
    #[error("the history stopped after an earlier failure")]
    Stopped,
}

impl StoreError {
    /// What was durable cannot be read any more, or not as it was written.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Missing { .. } | Self::Foreign { .. } => true,
            Self::Io { source, .. } => is_bad_disk(source),
            _ => false,
        }
    }

    /// Passes by itself: nothing is lost, and the history is tried again.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::TooManyFiles { .. })
    }

    /// Wraps the system's answer to a file operation.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let full = matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            );
            if full {
                return Self::DiskFull {
                    dir: path.parent().unwrap_or(path).to_owned(),
                };
            }
            let path = path.to_owned();
            match source.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::MFILE | Errno::NFILE) => Self::TooManyFiles { action, path },
                _ => Self::Io {
                    action,
                    path,
                    source,
                },
            }
        }
    }
}
