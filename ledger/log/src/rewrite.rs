//! A log written anew, record after record, into a directory that has none: for copies.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use giro_base::Buffer;

use crate::directory::Identity;
use crate::disk::{Disk, Write};
use crate::error::LogError;
use crate::log::{LiveSegment, Log, NewRecord, Start};
use crate::segment::{SegmentFile, log_dir};
use crate::spares::{Inline, Workshop};
use crate::storage::{Access, Storage, StorageFile};

/// Writes a log. Without [`finish`](Self::finish) nothing of it is durable.
pub struct LogWriter {
    log: Log,
    disk: Waiting,
    dir: PathBuf,
    storage: Arc<dyn Storage>,
}

impl LogWriter {
    /// Begins the log of the ledger in `dir` with record `first_index`. Where that is not the first
    /// record that there ever was, the log is read from a checkpoint on.
    ///
    /// # Errors
    /// [`LogError::DiskFull`] and [`LogError::Io`].
    ///
    /// # Panics
    /// When `first_index` is 0.
    pub fn begin(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        identity: &Identity,
        first_index: u64,
    ) -> Result<Self, LogError> {
        assert!(first_index > 0, "records begin with 1");
        let dir = log_dir(dir);
        storage
            .create_dir(&dir)
            .map_err(LogError::io("create", &dir))?;
        // Only a log that still has its beginning starts with segment 1.
        let sequence = 1 + u64::from(first_index > 1);
        let bytes = identity.segment_bytes;
        let mut workshop = Workshop::new(Arc::clone(storage), &dir, bytes, sequence);
        let current = workshop.prepare(&|| false)?;
        let first = LiveSegment {
            sequence,
            first_index,
        };
        let log = Log::start(Start {
            id: identity.log_id(),
            segment_bytes: bytes,
            in_flight: 1,
            spares: Box::new(Inline::new(workshop, Vec::new(), 0)),
            current,
            live: VecDeque::from([first]),
            offset: 0,
            last_index: first_index - 1,
            chain: 0,
            term: 0,
            checkpointed: first_index - 1,
        });
        let disk = Waiting {
            storage: Arc::clone(storage),
            file: None,
            outcome: Ok(0),
        };
        let storage = Arc::clone(storage);
        Ok(Self {
            log,
            disk,
            dir,
            storage,
        })
    }

    /// Writes the next record, whose ops are in `buffer` behind room for its header. Gives its
    /// number.
    ///
    /// # Errors
    /// [`LogError::DiskFull`], [`LogError::Io`] and [`LogError::WriteFailed`].
    pub fn append(&mut self, buffer: &mut Buffer, record: NewRecord) -> Result<u64, LogError> {
        let index = self.log.append(buffer, record, &mut self.disk)?;
        let outcome = std::mem::replace(&mut self.disk.outcome, Ok(0));
        self.log.on_write(index, outcome)
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn finish(self) -> Result<(), LogError> {
        let flush = LogError::io("flush", &self.dir);
        let flushed = self
            .disk
            .flush()
            .and_then(|()| self.storage.sync_dir(&self.dir));
        flushed.map_err(flush)
    }
}

/// A disk whose writes are done when they have started.
struct Waiting {
    storage: Arc<dyn Storage>,
    file: Option<Box<dyn StorageFile>>,
    /// Of the last write.
    outcome: io::Result<usize>,
}

impl Waiting {
    fn flush(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync())
    }
}

impl Disk for Waiting {
    fn attach(&mut self, _: u32, segment: &SegmentFile) -> io::Result<()> {
        self.flush()?;
        self.file = Some(self.storage.open(&segment.path, Access::Write)?);
        Ok(())
    }

    fn start_write(&mut self, write: Write, buffer: &Buffer) {
        let file = self.file.as_ref().expect("attached before");
        let written = file.write_at(&buffer[..write.bytes], write.offset);
        self.outcome = written.map(|()| write.bytes);
    }
}
