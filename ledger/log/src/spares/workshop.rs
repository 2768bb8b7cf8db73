//! Making one segment.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use giro_base::limits::BUFFER_BYTES;
use giro_base::{Buffer, BufferPool};

use crate::error::LogError;
use crate::segment::{SegmentFile, segment_path, unready_path};
use crate::storage::{Access, Storage};

/// Makes segments, one after the other.
pub(crate) struct Workshop {
    storage: Arc<dyn Storage>,
    log_dir: PathBuf,
    segment_bytes: u64,
    /// Number of the segment made next.
    next_sequence: u64,
    /// Its file has its name, which may not be durable.
    named: bool,
    /// Oldest segments the log no longer needs.
    recyclable: VecDeque<u64>,
    zeros: Option<Buffer>,
}

impl Workshop {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        log_dir: &Path,
        segment_bytes: u64,
        next_sequence: u64,
    ) -> Self {
        Self {
            storage,
            log_dir: log_dir.to_owned(),
            segment_bytes,
            next_sequence,
            named: false,
            recyclable: VecDeque::new(),
            zeros: None,
        }
    }

    /// The file of this segment may be used again.
    pub(crate) fn recycle(&mut self, sequence: u64) {
        self.recyclable.push_back(sequence);
    }

    /// Whether there are files to be used again: that costs a name, and no zeros.
    pub(crate) fn has_recyclable(&self) -> bool {
        !self.recyclable.is_empty()
    }

    /// Removes files that could be used again, the oldest first, until only so many are left.
    ///
    /// # Errors
    /// [`LogError::Io`]. What is left can be used again, or removed the next time.
    pub(crate) fn trim(&mut self, keep: usize) -> Result<(), LogError> {
        while self.recyclable.len() > keep {
            let path = segment_path(&self.log_dir, self.recyclable[0]);
            let removed = self.storage.remove(&path);
            let removed = removed.map_err(LogError::io("remove", &path))?;
            self.recyclable.pop_front();
            // Durable before the next name changes: the numbers never have a gap.
            if let Err(error) = self.storage.sync_dir(&self.log_dir) {
                // Its name may come back, and has to find it whole.
                std::mem::forget(removed);
                return Err(LogError::io("flush", &self.log_dir)(error));
            }
            drop(removed);
        }
        Ok(())
    }

    /// Makes the next segment. May be called again after a failure.
    ///
    /// # Errors
    /// [`LogError::DiskFull`]; [`LogError::Io`]; [`LogError::Stopped`] when `stop` says so.
    pub(crate) fn prepare(&mut self, stop: &dyn Fn() -> bool) -> Result<SegmentFile, LogError> {
        let path = segment_path(&self.log_dir, self.next_sequence);
        if !self.named {
            match self.recyclable.front() {
                Some(&old) => self.rename_old(old, &path)?,
                None => self.make_new(&path, stop)?,
            }
            self.named = true;
        }
        // The name is durable before anything else gets one: the numbers never have a gap.
        self.storage
            .sync_dir(&self.log_dir)
            .map_err(LogError::io("flush", &self.log_dir))?;
        let file = self
            .storage
            .open(&path, Access::Log)
            .map_err(LogError::io("open", &path))?;
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.named = false;
        Ok(SegmentFile {
            sequence,
            path,
            file: Some(file),
        })
    }

    fn rename_old(&mut self, old: u64, path: &Path) -> Result<(), LogError> {
        let old_path = segment_path(&self.log_dir, old);
        self.storage
            .rename(&old_path, path)
            .map_err(LogError::io("rename", &old_path))?;
        self.recyclable.pop_front();
        Ok(())
    }

    fn make_new(&mut self, path: &Path, stop: &dyn Fn() -> bool) -> Result<(), LogError> {
        let unready = unready_path(&self.log_dir, self.next_sequence);
        match self.write_zeros(&unready, stop) {
            Ok(true) => self
                .storage
                .rename(&unready, path)
                .map_err(LogError::io("rename", &unready)),
            Ok(false) => Err(LogError::Stopped),
            Err(error) => {
                // Half a segment only takes the room that is missing.
                let _ = self.storage.remove(&unready);
                Err(self.explain(error, &unready))
            }
        }
    }

    /// False when it was stopped.
    fn write_zeros(&mut self, path: &Path, stop: &dyn Fn() -> bool) -> io::Result<bool> {
        let zeros = match &mut self.zeros {
            Some(zeros) => zeros,
            None => self
                .zeros
                .insert(BufferPool::new(1)?.take().expect("a new pool has a buffer")),
        };
        let file = self.storage.create(path)?;
        file.allocate(self.segment_bytes)?;
        let mut offset = 0;
        while offset < self.segment_bytes {
            if stop() {
                return Ok(false);
            }
            let bytes = (self.segment_bytes - offset).min(BUFFER_BYTES as u64);
            // A new pool's memory is zero, and nobody writes to it.
            file.write_at(&zeros[..bytes as usize], offset)?;
            offset += bytes;
        }
        file.sync()?;
        Ok(true)
    }

    fn explain(&self, error: io::Error, path: &Path) -> LogError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::DiskFull {
                dir: self.log_dir.clone(),
                bytes: self.segment_bytes,
            },
            _ => LogError::io("make", path)(error),
        }
    }
}
