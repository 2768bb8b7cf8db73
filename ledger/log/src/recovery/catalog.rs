//! The segment files of a log: which there are, and where reading starts.

use std::path::PathBuf;
use std::sync::Arc;

use giro_base::limits::SECTOR_BYTES;
use zerocopy::IntoBytes;

use crate::error::LogError;
use crate::record::{LogId, RecordHeader};
use crate::segment::{SegmentFile, is_unready, segment_path, sequence_of};
use crate::storage::{Access, Storage, StorageFile};

/// The segments of a log, without a gap.
pub(super) struct Catalog {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) log_dir: PathBuf,
    pub(super) segment_bytes: u64,
    pub(super) id: LogId,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Catalog {
    /// Lists the segments and checks that none is missing and each has its size.
    pub(super) fn read(
        storage: Arc<dyn Storage>,
        log_dir: PathBuf,
        segment_bytes: u64,
        id: LogId,
    ) -> Result<Self, LogError> {
        let names = storage
            .list(&log_dir)
            .map_err(LogError::io("list", &log_dir))?;
        let mut sequences: Vec<u64> = names.iter().filter_map(|name| sequence_of(name)).collect();
        sequences.sort_unstable();
        let (first, last) = match sequences[..] {
            [] => (1, 0),
            [first, ..] => (first, sequences[sequences.len() - 1]),
        };
        let catalog = Self {
            storage,
            log_dir,
            segment_bytes,
            id,
            first,
            last,
        };
        if sequences.is_empty() {
            return Err(catalog.missing(1, 1));
        }
        for (sequence, found) in (first..=last).zip(sequences) {
            if sequence != found {
                let behind = catalog
                    .first_record(found)?
                    .map_or(0, |header| header.index);
                return Err(catalog.missing(sequence, behind.saturating_sub(1)));
            }
            catalog.check_size(sequence)?;
        }
        Ok(catalog)
    }

    pub(super) fn path(&self, sequence: u64) -> PathBuf {
        segment_path(&self.log_dir, sequence)
    }

    pub(super) fn open(
        &self,
        sequence: u64,
        access: Access,
    ) -> Result<Box<dyn StorageFile>, LogError> {
        let path = self.path(sequence);
        self.storage
            .open(&path, access)
            .map_err(LogError::io("open", &path))
    }

    /// A segment, ready to be written by the log.
    pub(super) fn segment(&self, sequence: u64) -> Result<SegmentFile, LogError> {
        Ok(SegmentFile {
            sequence,
            path: self.path(sequence),
            file: Some(self.open(sequence, Access::Log)?),
        })
    }

    /// The header of the segment's first record, if it has one.
    pub(super) fn first_record(&self, sequence: u64) -> Result<Option<RecordHeader>, LogError> {
        let mut sector = [0_u128; SECTOR_BYTES / 16];
        let file = self.open(sequence, Access::Read)?;
        let path = self.path(sequence);
        file.read_at(sector.as_mut_bytes(), 0)
            .map_err(LogError::io("read", &path))?;
        Ok(RecordHeader::find(sector.as_bytes(), &self.id, sequence).copied())
    }

    /// The last segment that starts before record `first_index`, so that the record before that
    /// is read and the chain is known; or the oldest, if that starts with it.
    pub(super) fn start_for(&self, first_index: u64) -> Result<u64, LogError> {
        if first_index > 1 {
            for sequence in (self.first..=self.last).rev() {
                let header = self.first_record(sequence)?;
                if header.is_some_and(|header| {
                    header.index < first_index
                        || header.index == first_index && sequence == self.first
                }) {
                    return Ok(sequence);
                }
            }
        }
        match self.first {
            1 => Ok(1),
            first => Err(self.missing(first - 1, first_index)),
        }
    }

    /// Index of the first record of the oldest segment.
    pub(super) fn oldest_index(&self) -> Result<u64, LogError> {
        if self.first == 1 {
            return Ok(1);
        }
        // One that is released is followed by one with a record.
        let header = self.first_record(self.first)?;
        let header = header.ok_or_else(|| self.missing(self.first - 1, 0))?;
        Ok(header.index)
    }

    /// Segments that were being made when the process ended.
    pub(super) fn remove_unready(&self) -> Result<(), LogError> {
        let names = self.storage.list(&self.log_dir);
        for name in names.map_err(LogError::io("list", &self.log_dir))? {
            if is_unready(&name) {
                let path = self.log_dir.join(name);
                let removed = self.storage.remove(&path);
                // Nobody reads half a segment, whether its name comes back or not.
                drop(removed.map_err(LogError::io("remove", &path))?);
            }
        }
        Ok(())
    }

    fn check_size(&self, sequence: u64) -> Result<(), LogError> {
        let path = self.path(sequence);
        let file = self.open(sequence, Access::Read)?;
        let bytes = file.bytes().map_err(LogError::io("examine", &path))?;
        if bytes == self.segment_bytes {
            return Ok(());
        }
        let index = self
            .first_record(sequence)?
            .map_or(0, |header| header.index);
        let reason = format!(
            "the segment has {bytes} bytes instead of {}",
            self.segment_bytes
        );
        let offset = bytes.min(self.segment_bytes);
        Err(LogError::Corrupt {
            path,
            offset,
            index,
            reason,
        })
    }

    fn missing(&self, sequence: u64, index: u64) -> LogError {
        LogError::Corrupt {
            path: self.path(sequence),
            offset: 0,
            index,
            reason: "the segment is missing".to_owned(),
        }
    }
}
