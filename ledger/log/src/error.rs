//! What can go wrong, where, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::storage::is_bad_disk;

/// A failure of the log or its directory.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused a file operation.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A record that was durable cannot be read. Nothing was changed.
    #[error(
        "the log is damaged at {} offset {offset} (record {index}): {reason}. Nothing was changed; \
         a ledger that is alone is to be restored from a backup",
        path.display()
    )]
    Corrupt {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The record that should be there.
        index: u64,
        /// What is wrong.
        reason: String,
    },
    /// No room for the next segment. Passes by itself once there is.
    #[error(
        "no room in {} for a log segment of {bytes} bytes: free some space, the log goes on by \
         itself",
        dir.display()
    )]
    DiskFull {
        /// The log's directory.
        dir: PathBuf,
        /// What a segment needs.
        bytes: u64,
    },
    /// Nothing can be appended at this moment: ask [`Log::can_append`](crate::Log::can_append).
    #[error("the log takes no record now: too many writes in flight, or no segment is ready")]
    Busy,
    /// A write to the log failed or was short. The process must end: nobody knows what is on disk.
    #[error(
        "writing record {index} to {} offset {offset} failed: {source}. Giro stops here, because \
         after a failed write it is unknown what is on the disk; check the disk, then start again",
        path.display()
    )]
    WriteFailed {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The record.
        index: u64,
        /// The system's answer.
        source: io::Error,
    },
    /// An earlier write failed.
    #[error("the log stopped after a failed write")]
    Stopped,
    /// Another process has the directory.
    #[error("another process uses this ledger (it holds {}): stop it first", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The directory has no ledger.
    #[error("{} is not a ledger: run `giro format` first", dir.display())]
    NotFormatted {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory has a ledger, or what remains of one.
    #[error("{} holds a ledger already ({found}): choose another directory", dir.display())]
    AlreadyFormatted {
        /// The directory.
        dir: PathBuf,
        /// What tells so.
        found: String,
    },
    /// The directory's ledger is a member of a group, and is to become one.
    #[error(
        "{} is replica {replica} of a group already: a ledger begins a group once",
        dir.display()
    )]
    InGroup {
        /// The directory.
        dir: PathBuf,
        /// Its number.
        replica: u8,
    },
    /// The identity file cannot be used.
    #[error("{}: {reason}", path.display())]
    BadIdentity {
        /// The identity file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// What to do about the system's answer, where that is not plain.
fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; the user that runs Giro must be able to write there"
        }
        _ => "",
    }
}

impl LogError {
    /// What was durable cannot be read any more, or not as it was written.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt { .. } => true,
            Self::Io { source, .. } => is_bad_disk(source),
            _ => false,
        }
    }

    /// Passes by itself: the log is unharmed and may take the record later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Busy | Self::DiskFull { .. })
    }

    /// Wraps the system's answer to a file operation.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// The same failure once more, for whoever else asks.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::DiskFull { dir, bytes } => Self::DiskFull {
                dir: dir.clone(),
                bytes: *bytes,
            },
            Self::Io {
                action,
                path,
                source,
            } => Self::Io {
                action,
                path: path.clone(),
                source: match source.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(source.kind(), source.to_string()),
                },
            },
            _ => Self::Busy,
        }
    }
}
