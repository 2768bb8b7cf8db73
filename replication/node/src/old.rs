//! Entries that are only on disk, read back for peers that lag.

use std::path::PathBuf;
use std::sync::Arc;

use giro_base::BufferPool;
use giro_log::storage::Storage;
use giro_log::{Identity, LogOptions, Recovery};
use giro_replication::{Content, Entry};

use crate::error::NodeError;
use crate::found::content_of;

/// Reads entries from the log's segments. It shares nothing with the replica, so it can be given
/// to a thread of its own.
pub struct OldEntries {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) dir: PathBuf,
    pub(crate) identity: Identity,
    /// For [`Replica::fetched`](crate::Replica::fetched).
    pub(crate) number: u64,
    pub(crate) low: u64,
    /// Record of each entry, from the one at `low` on.
    pub(crate) records: Vec<u64>,
    pub(crate) bytes_max: u64,
}

/// Why entries cannot be read back. The peer asks again.
#[derive(Debug, thiserror::Error)]
pub enum OldEntriesError {
    /// The log.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// They are not there any more.
    #[error("entry {0} was given up while it was read")]
    Gone(u64),
}

impl OldEntries {
    /// For [`Replica::fetched`](crate::Replica::fetched).
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Reads the entries. Waits for the disk.
    ///
    /// # Errors
    /// When the log cannot be read, or has given them up meanwhile.
    pub fn read(&self) -> Result<Vec<Entry>, OldEntriesError> {
        let Some(&first_index) = self.records.first() else {
            return Err(OldEntriesError::Gone(self.low));
        };
        let options = LogOptions {
            first_index,
            ..LogOptions::default()
        };
        let storage = Arc::clone(&self.storage);
        let recovery = Recovery::open_on(storage, &self.dir, &self.identity, &options);
        let mut recovery = recovery.map_err(NodeError::from)?;
        let pool = BufferPool::new(1).map_err(|source| {
            let what = "a message buffer";
            NodeError::from(giro::Error::Memory { what, source })
        })?;
        let mut buffer = pool.take().expect("a new pool has a buffer");
        let mut entries = Vec::new();
        let mut bytes = 0;
        while let Some(&wanted) = self.records.get(entries.len()) {
            let index = self.low + entries.len() as u64;
            let record = recovery.next_of_running(&mut buffer);
            let Some(header) = record.map_err(NodeError::from)? else {
                return Err(OldEntriesError::Gone(index));
            };
            if header.index < wanted {
                continue;
            }
            match content_of(&header, &buffer)? {
                (_, Content::Entry(entry)) if entry.index == index && header.index == wanted => {
                    bytes += entry.payload.bytes.len() as u64;
                    entries.push(entry);
                }
                _ => return Err(OldEntriesError::Gone(index)),
            }
            if bytes >= self.bytes_max {
                break;
            }
        }
        Ok(entries)
    }
}
