//! Why a checkpoint did not get from one node to another.

use std::io;
use std::path::{Path, PathBuf};

use giro_store::StoreError;

/// Why a transfer ended. It is tried again; what was fetched stays.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The connection.
    #[error("cannot {action}: {source}")]
    Link {
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The other side says what no node says.
    #[error("the other node does not keep to the rules: {0}")]
    Bad(&'static str),
    /// A page did not arrive as it was.
    #[error("page {page} of {} arrived damaged", path.display())]
    Page {
        /// The file it was for.
        path: PathBuf,
        /// Its number.
        page: u64,
    },
    /// The other side has no such checkpoint.
    #[error("the other node refuses: {0}")]
    Refused(String),
    /// A file, here.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A directory, here.
    #[error("cannot {action} {}: {source}", path.display())]
    Dir {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another checkpoint is wanted by now, or this node ends.
    #[error("it is not wanted any more")]
    Stopped,
}

impl TransferError {
    /// The damage here that this tells of, if it does.
    ///
    /// # Errors
    /// Itself, when it tells of something that passes.
    pub fn into_damage(self) -> Result<StoreError, Self> {
        match self {
            Self::Store(error) if error.is_damage() => Ok(error),
            other => Err(other),
        }
    }

    pub(super) fn link(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Link { action, source }
    }

    pub(super) fn dir(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Dir {
            action,
            path,
            source,
        }
    }
}
