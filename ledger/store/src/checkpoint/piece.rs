//! A piece of the checkpoint on disk, open for reading.

use std::path::Path;
use std::sync::Arc;

use giro_base::Account;
use giro_log::storage::Storage;

use super::format::{
    BranchRecord, ChangeRecord, PendingRecord, PiecePart, SessionRecord, StateRecord,
};
use crate::error::StoreError;
use crate::format::{Header, Record, Section};
use crate::page::Kind;
use crate::reader::{EXTENT_PAGES_MAX, Expected, PageFile, Reader, extents_of, records};

/// One of the checkpoint's files.
pub struct Piece {
    file: PageFile,
    header: Header,
    state: StateRecord,
}

impl Piece {
    /// Opens the piece of generations `first` to `last`.
    ///
    /// # Errors
    /// The system's; that the file is damaged, or not what it should be.
    pub fn open(
        storage: &dyn Storage,
        path: &Path,
        cluster: u128,
        (first, last): (u64, u64),
        reader: &mut Reader,
    ) -> Result<Arc<Self>, StoreError> {
        let expected = Expected {
            cluster,
            kind: Kind::Checkpoint,
            first,
            last,
        };
        let (file, header) = PageFile::open(storage, path, expected)?;
        if !header.sections.iter().zip(PER_PAGE).all(holds) {
            return Err(file.damaged(0, "a section has fewer pages than records"));
        }
        let section = header.sections[PiecePart::State as usize];
        let state: StateRecord = reader.one(&file, &section, 0)?;
        let piece = Self {
            file,
            header,
            state,
        };
        let accounts = piece.section(PiecePart::Accounts).count;
        let is_sound = state.slot_first.checked_add(accounts) == Some(state.slots_end)
            && state.slots_end <= u64::from(u32::MAX)
            && accounts == header.count;
        if !is_sound {
            return Err(piece.damaged(PiecePart::State, "its accounts are not counted right"));
        }
        Ok(Arc::new(piece))
    }

    /// First generation.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.header.first
    }

    /// Last generation.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.header.last
    }

    /// Where the ledger was at its end.
    #[must_use]
    pub fn state(&self) -> &StateRecord {
        &self.state
    }

    /// Pages of its file.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.file.pages()
    }

    /// Its file.
    #[must_use]
    pub fn file(&self) -> &PageFile {
        &self.file
    }

    /// Where a section lies.
    #[must_use]
    pub fn section(&self, part: PiecePart) -> &Section {
        &self.header.sections[part as usize]
    }

    /// The error that a section is not what it must be.
    #[must_use]
    pub fn damaged(&self, part: PiecePart, reason: &str) -> StoreError {
        self.file.damaged(self.section(part).page, reason)
    }

    /// A stream of a section's records.
    #[must_use]
    pub fn stream<T: Record>(self: &Arc<Self>, part: PiecePart) -> Stream<T> {
        Stream {
            piece: Arc::clone(self),
            part,
            done: 0,
            read: Vec::new(),
            used: 0,
        }
    }
}

/// Records of each section in a page.
const PER_PAGE: [u64; 9] = [
    StateRecord::PER_PAGE,
    Account::PER_PAGE,
    ChangeRecord::PER_PAGE,
    PendingRecord::PER_PAGE,
    u64::PER_PAGE,
    SessionRecord::PER_PAGE,
    u128::PER_PAGE,
    BranchRecord::PER_PAGE,
    u128::PER_PAGE,
];

/// Whether a section has the pages for its records.
fn holds((section, per_page): (&Section, u64)) -> bool {
    section.count.div_ceil(per_page) <= section.pages
}

/// Pages a stream reads at once: 1 MiB, at most.
const STREAM_PAGES: u64 = 256;

/// A section's records, read a stretch at a time.
pub struct Stream<T> {
    piece: Arc<Piece>,
    part: PiecePart,
    /// Records read so far.
    done: u64,
    read: Vec<T>,
    /// So many of the last ones read are used.
    used: usize,
}

impl<T: Record> Stream<T> {
    /// The next record, which stays the next.
    ///
    /// # Errors
    /// The system's, and that a page is damaged.
    pub fn peek(&mut self, reader: &mut Reader) -> Result<Option<&T>, StoreError> {
        if self.used == self.read.len() {
            self.fill(reader)?;
        }
        Ok(self.read.get(self.used))
    }

    /// The next record.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn next(&mut self, reader: &mut Reader) -> Result<Option<T>, StoreError> {
        let next = self.peek(reader)?.copied();
        self.used += usize::from(next.is_some());
        Ok(next)
    }

    /// Passes over the record that was [peeked](Self::peek) at.
    pub(super) fn pass(&mut self) {
        assert!(self.used < self.read.len(), "there is one");
        self.used += 1;
    }

    /// The error that what the stream gave cannot be.
    #[must_use]
    pub fn damaged(&self, reason: &str) -> StoreError {
        self.piece.damaged(self.part, reason)
    }

    fn fill(&mut self, reader: &mut Reader) -> Result<(), StoreError> {
        let section = *self.piece.section(self.part);
        let count = (section.count - self.done).min(STREAM_PAGES * T::PER_PAGE);
        self.read.clear();
        self.used = 0;
        if count == 0 {
            return Ok(());
        }
        let first = self.done / T::PER_PAGE;
        let pages = count.div_ceil(T::PER_PAGE);
        self.read.resize(count as usize, T::new_zeroed());
        let start = section.page + first;
        let extents = extents_of(&self.piece.file, start..start + pages);
        let read = &mut self.read;
        reader.read(&extents, |extent, page, payload| {
            let start = (extent as u64 * u64::from(EXTENT_PAGES_MAX) + page as u64) * T::PER_PAGE;
            let to = &mut read[start as usize..];
            let count = to.len().min(T::PER_PAGE as usize);
            to[..count].copy_from_slice(&records::<T>(payload)[..count]);
            Ok(())
        })?;
        self.done += count;
        Ok(())
    }
}
