//! Where reading stopped: is it the end of the log, or damage?

use giro_base::limits::{BUFFER_BYTES, RECORD_HEADER_BYTES, SECTOR_BYTES};
use giro_base::{Buffer, BufferPool};

use super::catalog::Catalog;
use super::reader::Reader;
use crate::error::LogError;
use crate::log::IN_FLIGHT_MAX;
use crate::record::{Defect, RecordHeader};
use crate::storage::Access;

/// How far behind a gap writes may lie that were in flight with it.
const WINDOW_BYTES: u64 = (IN_FLIGHT_MAX * BUFFER_BYTES) as u64;

/// The first place without a whole record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    pub(super) sequence: u64,
    pub(super) offset: u64,
    /// The record that is not there.
    pub(super) index: u64,
    /// What is there instead.
    pub(super) defect: Defect,
}

impl Gap {
    /// Says that the gap is damage.
    pub(super) fn corrupt(&self, catalog: &Catalog, proof: &str) -> LogError {
        let separator = if proof.is_empty() { "" } else { ", but " };
        LogError::Corrupt {
            path: catalog.path(self.sequence),
            offset: self.offset,
            index: self.index,
            reason: format!("{}{separator}{proof}", self.defect),
        }
    }

    /// True when records that were in flight are left behind the gap, or in it.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] when something behind the gap proves that its record was durable.
    pub(super) fn examine(&self, catalog: &Catalog, reader: &mut Reader) -> Result<bool, LogError> {
        let mut leftovers = false;
        for (sequence, from, to) in self.windows(catalog) {
            reader.reopen(catalog.open(sequence, Access::Read)?);
            for offset in (from..to).step_by(SECTOR_BYTES) {
                let path = catalog.path(sequence);
                let sector = reader.view(offset, RECORD_HEADER_BYTES);
                let sector = sector.map_err(LogError::io("read", &path))?;
                let sector = sector.expect("the window ends with the segment");
                let Some(header) = RecordHeader::find(sector, &catalog.id, sequence) else {
                    continue;
                };
                leftovers = true;
                let in_gap = (sequence, offset) == (self.sequence, self.offset);
                if let Some(proof) = self.proof(header, in_gap) {
                    let place = format!(
                        "record {} at {} offset {offset} ",
                        header.index,
                        path.display()
                    );
                    return Err(self.corrupt(catalog, &(place + proof)));
                }
            }
        }
        Ok(leftovers)
    }

    /// Why a header behind the gap can't be there if the gap is the end of the log.
    fn proof(&self, header: &RecordHeader, in_gap: bool) -> Option<&'static str> {
        if header.durable_index >= self.index {
            return Some("was written when this one was durable");
        }
        if header.index >= self.index + IN_FLIGHT_MAX as u64 {
            return Some("is too far behind to have been in flight with it");
        }
        if !in_gap && header.index <= self.index {
            return Some("has no place there");
        }
        None
    }

    /// Overwrites what was left behind with zeros, durably.
    pub(super) fn clear(&self, catalog: &Catalog, reader: &mut Reader) -> Result<(), LogError> {
        let pool = BufferPool::new(1);
        let zeros = pool.map_err(LogError::io("take memory to clear", &catalog.log_dir))?;
        let zeros = zeros.take().expect("a new pool has a buffer");
        for (sequence, from, to) in self.windows(catalog) {
            let path = catalog.path(sequence);
            reader.reopen(catalog.open(sequence, Access::Read)?);
            let file = catalog.open(sequence, Access::Write)?;
            for offset in (from..to).step_by(BUFFER_BYTES) {
                let bytes = (to - offset).min(BUFFER_BYTES as u64) as usize;
                let part = reader
                    .view(offset, bytes)
                    .map_err(LogError::io("read", &path))?;
                if !is_zero(part.expect("the window ends with the segment"), &zeros) {
                    file.write_at(&zeros[..bytes], offset)
                        .map_err(LogError::io("write", &path))?;
                }
            }
            file.sync().map_err(LogError::io("flush", &path))?;
        }
        Ok(())
    }

    /// Where writes may lie that were in flight with the gap's record.
    fn windows(&self, catalog: &Catalog) -> impl Iterator<Item = (u64, u64, u64)> + use<> {
        let (bytes, gap_sequence, gap_offset) = (catalog.segment_bytes, self.sequence, self.offset);
        (gap_sequence..=catalog.last).map(move |sequence| {
            let from = if sequence == gap_sequence {
                gap_offset
            } else {
                0
            };
            (sequence, from, bytes.min(from + WINDOW_BYTES))
        })
    }
}

fn is_zero(bytes: &[u8], zeros: &Buffer) -> bool {
    *bytes == zeros[..bytes.len()]
}
