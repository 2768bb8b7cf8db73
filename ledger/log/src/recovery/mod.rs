//! Reading the log back when it is opened. See `docs/internals/log.md` for every case.
//!
//! What it guarantees: the records that come out are those that went in, in order, from the first
//! wanted to the last durable one at least; nothing on disk changes before
//! [`finish`](Recovery::finish).
//!
//! Where to start reading: [`Recovery::next`], then `gap.rs`, which tells a crash from damage.

mod catalog;
mod gap;
mod reader;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use giro_base::Buffer;
use giro_base::limits::RECORD_HEADER_BYTES;

use crate::directory::Identity;
use crate::error::LogError;
use crate::log::{LiveSegment, Log, LogOptions, Start};
use crate::record::{Defect, RecordHeader, Scratch, validate};
use crate::segment::{SegmentFile, log_dir};
use crate::spares::{Background, Inline, Spares, Workshop};
use crate::storage::{Access, RealStorage, Storage};

use catalog::Catalog;
use gap::Gap;
use reader::Reader;

/// A log being read back.
pub struct Recovery {
    catalog: Catalog,
    options: LogOptions,
    reader: Reader,
    /// The segment being read, and where the next record should be.
    sequence: u64,
    offset: u64,
    /// The next record's index.
    index: u64,
    /// Header checksum of the record before; none when that is not read.
    chain: Option<u128>,
    term: u64,
    live: VecDeque<LiveSegment>,
    end: Option<End>,
    scratch: Scratch,
}

struct End {
    gap: Gap,
    leftovers: bool,
}

/// Where the last record read lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment.
    pub segment: u64,
    /// Where in it.
    pub offset: u64,
}

impl Recovery {
    /// Starts to read the log in `dir`. The caller holds its [`DirLock`](crate::DirLock), unless
    /// it only looks at a log nobody writes.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] when a segment is missing or has the wrong size; [`LogError::Io`].
    pub fn open(dir: &Path, identity: &Identity, options: &LogOptions) -> Result<Self, LogError> {
        Self::open_on(Arc::new(RealStorage), dir, identity, options)
    }

    /// As [`open`](Self::open), on any storage.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(
        storage: Arc<dyn Storage>,
        dir: &Path,
        identity: &Identity,
        options: &LogOptions,
    ) -> Result<Self, LogError> {
        let (bytes, id) = (identity.segment_bytes, identity.log_id());
        let catalog = Catalog::read(storage, log_dir(dir), bytes, id)?;
        let sequence = catalog.start_for(options.first_index)?;
        let reader = Reader::new(catalog.open(sequence, Access::Read)?, bytes);
        let mut recovery = Self {
            options: options.clone(),
            reader,
            sequence,
            offset: 0,
            index: 1,
            chain: Some(0),
            term: 0,
            live: VecDeque::new(),
            end: None,
            scratch: Scratch::new(),
            catalog,
        };
        recovery.note_older_segments()?;
        Ok(recovery)
    }

    /// Index of the oldest record that the log in `dir` has, which reading can begin with.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn oldest_index(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        identity: &Identity,
    ) -> Result<u64, LogError> {
        let (bytes, id) = (identity.segment_bytes, identity.log_id());
        Catalog::read(Arc::clone(storage), log_dir(dir), bytes, id)?.oldest_index()
    }

    /// Reads the next record into `buffer`, where the log would have had it: its header first.
    /// Everything in it has been verified. None at the end of the log.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] when the log is damaged; [`LogError::Io`].
    pub fn next(&mut self, buffer: &mut Buffer) -> Result<Option<RecordHeader>, LogError> {
        while self.end.is_none() {
            let defect = match self.read_record(buffer)? {
                Ok(header) if header.index < self.options.first_index => continue,
                Ok(header) => return Ok(Some(header)),
                Err(defect) => defect,
            };
            if defect == Defect::NoHeader && self.continues_in_next_segment()? {
                continue;
            }
            let gap = self.gap(defect);
            let known = self.options.durable_index;
            if self.index < self.options.first_index || self.index <= known {
                return Err(gap.corrupt(&self.catalog, "a checkpoint holds its effect"));
            }
            if self.chain.is_none() {
                return Err(gap.corrupt(&self.catalog, "the oldest segment starts with it"));
            }
            let leftovers = gap.examine(&self.catalog, &mut self.reader)?;
            self.end = Some(End { gap, leftovers });
        }
        Ok(None)
    }

    /// Also gives the records before the first wanted one that are in its segment.
    pub fn include_whole_segment(&mut self) {
        self.options.first_index = self.index;
    }

    /// As [`next`](Self::next), for a log that its owner writes meanwhile: a record that is on its
    /// way to disk is the end. Nothing may be read behind that.
    ///
    /// # Errors
    /// As [`next`](Self::next). A segment that was given up meanwhile looks like damage.
    pub fn next_of_running(
        &mut self,
        buffer: &mut Buffer,
    ) -> Result<Option<RecordHeader>, LogError> {
        loop {
            let defect = match self.read_record(buffer)? {
                Ok(header) if header.index < self.options.first_index => continue,
                Ok(header) => return Ok(Some(header)),
                Err(defect) => defect,
            };
            if defect == Defect::NoHeader && self.continues_in_next_segment()? {
                continue;
            }
            let gap = self.gap(defect);
            if let Err(damage) = gap.examine(&self.catalog, &mut self.reader) {
                // A record behind it says that this one is durable. If it was only on its way
                // when it was read, it is there by now.
                let file = self.catalog.open(self.sequence, Access::Read)?;
                self.reader.reopen(file);
                let is_there = self.read_record(buffer)?.is_ok();
                if !is_there && !self.continues_in_next_segment()? {
                    return Err(damage);
                }
            }
            return Ok(None);
        }
    }

    /// Where the record lies that [`next`](Self::next) would read; behind the last one read.
    #[must_use]
    pub fn place(&self) -> Place {
        let (segment, offset) = (self.sequence, self.offset);
        Place { segment, offset }
    }

    /// Bytes of the segments from the start of reading on: for showing progress.
    #[must_use]
    pub fn bytes_total(&self) -> u64 {
        let first = self
            .live
            .front()
            .map_or(self.sequence, |segment| segment.sequence);
        (self.catalog.last + 1 - first) * self.catalog.segment_bytes
    }

    /// Opens the log behind the last record read, with a thread that makes segments. Records of
    /// a crash that were never acknowledged are overwritten first. All records that were read
    /// count as committed and executed: the caller has replayed them.
    ///
    /// # Errors
    /// [`LogError::Io`].
    ///
    /// # Panics
    /// Unless [`next`](Self::next) has returned none.
    pub fn finish(self) -> Result<Log, LogError> {
        let log_dir = self.catalog.log_dir.clone();
        self.finish_with(|workshop, found, count| {
            let spares = Background::start(workshop, found, count);
            let spares = spares.map_err(LogError::io("start a thread for", &log_dir))?;
            Ok(Box::new(spares))
        })
    }

    /// As [`finish`](Self::finish), but segments are made when they are needed, in the caller's
    /// thread: everything is repeatable, and slower.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    ///
    /// # Panics
    /// As [`finish`](Self::finish).
    pub fn finish_inline(self) -> Result<Log, LogError> {
        self.finish_with(|workshop, found, count| Ok(Box::new(Inline::new(workshop, found, count))))
    }

    fn finish_with(
        mut self,
        make: impl FnOnce(Workshop, Vec<SegmentFile>, usize) -> Result<Box<dyn Spares>, LogError>,
    ) -> Result<Log, LogError> {
        let end = self.end.take().expect("all records have been read");
        if end.leftovers {
            tracing::info!(
                index = end.gap.index,
                "dropping records that were never acknowledged: {}",
                end.gap.defect
            );
            end.gap.clear(&self.catalog, &mut self.reader)?;
        }
        let catalog = &self.catalog;
        catalog.remove_unready()?;
        let current = catalog.segment(self.sequence)?;
        let found = (self.sequence + 1..=catalog.last).map(|sequence| catalog.segment(sequence));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        let workshop = Workshop::new(
            Arc::clone(&catalog.storage),
            &catalog.log_dir,
            catalog.segment_bytes,
            catalog.last + 1,
        );
        let spares = make(workshop, found, self.options.spares.max(1))?;
        Ok(Log::start(Start {
            id: catalog.id,
            segment_bytes: catalog.segment_bytes,
            in_flight: self.options.in_flight,
            spares,
            current,
            live: self.live,
            offset: self.offset,
            last_index: self.index - 1,
            chain: self.chain.expect("reading began at record 1 or read one"),
            term: self.term,
            checkpointed: self.options.first_index - 1,
        }))
    }

    /// Notes the segments before the one reading starts with, and that one.
    fn note_older_segments(&mut self) -> Result<(), LogError> {
        let mut first_index = 1;
        for sequence in self.catalog.first..=self.sequence {
            if let Some(header) = self.catalog.first_record(sequence)? {
                first_index = header.index;
            }
            self.live.push_back(LiveSegment {
                sequence,
                first_index,
            });
        }
        if self.sequence > 1 {
            (self.index, self.chain) = (first_index, None);
        }
        Ok(())
    }

    /// Reads and verifies the record that should be next. The inner error is what a crash can
    /// leave; the outer one is what it can't.
    fn read_record(
        &mut self,
        buffer: &mut Buffer,
    ) -> Result<Result<RecordHeader, Defect>, LogError> {
        let path = self.catalog.path(self.sequence);
        let start = self.reader.view(self.offset, RECORD_HEADER_BYTES);
        let Some(start) = start.map_err(LogError::io("read", &path))? else {
            return Ok(Err(Defect::NoHeader));
        };
        let Some(&header) = RecordHeader::find(start, &self.catalog.id, self.sequence) else {
            return Ok(Err(Defect::NoHeader));
        };
        if let Err(defect) = self.check_header(&header) {
            return Err(self.gap(defect).corrupt(&self.catalog, ""));
        }
        let padded = header.padded_bytes();
        let record = self
            .reader
            .view(self.offset, padded)
            .map_err(LogError::io("read", &path))?;
        let Some(record) = record else {
            return Err(self
                .gap(Defect::Header("length"))
                .corrupt(&self.catalog, ""));
        };
        buffer[..padded].copy_from_slice(record);
        if let Err(defect) = validate(&header, &buffer[..padded], &mut self.scratch) {
            return Ok(Err(defect));
        }
        self.offset += padded as u64;
        self.index += 1;
        self.chain = Some(header.checksum);
        self.term = header.term;
        Ok(Ok(header))
    }

    /// A header with the right checksum that has this wrong was not left by a crash.
    fn check_header(&self, header: &RecordHeader) -> Result<(), Defect> {
        header.check()?;
        if header.index != self.index {
            let (expected, found) = (self.index, header.index);
            return Err(Defect::Index { expected, found });
        }
        if self
            .chain
            .is_some_and(|chain| chain != header.previous_checksum)
        {
            return Err(Defect::Chain);
        }
        if header.term < self.term {
            return Err(Defect::Header("term"));
        }
        Ok(())
    }

    /// Goes to the next segment if that starts with the record that is next.
    fn continues_in_next_segment(&mut self) -> Result<bool, LogError> {
        if self.sequence == self.catalog.last {
            return Ok(false);
        }
        let next = self.sequence + 1;
        let first = self.catalog.first_record(next)?;
        if first.is_none_or(|header| header.index != self.index) {
            return Ok(false);
        }
        self.reader.reopen(self.catalog.open(next, Access::Read)?);
        (self.sequence, self.offset) = (next, 0);
        self.live.push_back(LiveSegment {
            sequence: next,
            first_index: self.index,
        });
        Ok(true)
    }

    fn gap(&self, defect: Defect) -> Gap {
        Gap {
            sequence: self.sequence,
            offset: self.offset,
            index: self.index,
            defect,
        }
    }
}
