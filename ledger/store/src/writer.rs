//! Writing a file of pages: under a temporary name, in large direct writes, named last.

use std::path::{Path, PathBuf};

use giro_base::Region;
use giro_log::storage::Storage;
use zerocopy::IntoBytes;

use crate::error::StoreError;
use crate::format::{Header, Record, Section};
use crate::output::{Chunks, Output};
use crate::pace::Pace;
use crate::page::{FileTag, PAYLOAD_BYTES, Page, seal};

/// Pages gathered for one write: 512 KiB, so that a write of the log never waits long behind one.
pub const CHUNK_PAGES: usize = 128;

/// Pages between two looks at the clock: 64 KiB, made in some 50 us.
const TURN_PAGES: usize = 16;

/// A file in the making. Page 0 is its header, written at the end.
pub struct PageWriter<'a> {
    storage: &'a dyn Storage,
    output: Output,
    temporary: PathBuf,
    path: PathBuf,
    tag: FileTag,
    pace: &'a Pace,
    memory: &'a mut Chunks,
    /// All its pages but the last are sealed; that one too once `used` is all of it.
    chunk: Region<Page>,
    /// First page of the chunk.
    chunk_start: u64,
    /// Bytes of the chunk's last page that are used.
    used: usize,
    finished: bool,
}

/// A page that has its checksum has no room.
const SEALED: usize = PAYLOAD_BYTES + 1;

/// Ending of a file that is not whole yet.
pub const TEMPORARY: &str = ".tmp";

impl<'a> PageWriter<'a> {
    /// Begins the file that will be called `path`.
    ///
    /// # Errors
    /// The system's.
    pub fn create(
        storage: &'a dyn Storage,
        path: &Path,
        tag: FileTag,
        pace: &'a Pace,
        memory: &'a mut Chunks,
    ) -> Result<Self, StoreError> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(TEMPORARY);
        let temporary = PathBuf::from(temporary);
        let file = storage
            .create(&temporary)
            .map_err(StoreError::io("create", &temporary))?;
        let chunk = memory.take();
        let chunk = chunk.map_err(StoreError::io("buffer", &temporary))?;
        Ok(Self {
            storage,
            output: Output::new(file),
            temporary,
            path: path.to_owned(),
            tag,
            pace,
            memory,
            chunk,
            chunk_start: 1,
            used: SEALED,
            finished: false,
        })
    }

    /// The page that the next record would begin, were it the first of a section.
    #[must_use]
    pub fn next_page(&self) -> u64 {
        self.chunk_start + self.chunk.len() as u64
    }

    /// Puts bytes behind the last ones, on a new page if they don't fit.
    ///
    /// # Errors
    /// The system's.
    #[inline]
    pub fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.used + bytes.len() > PAYLOAD_BYTES {
            self.new_page()?;
        }
        let last = self.chunk.len() - 1;
        self.chunk[last][self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
        Ok(())
    }

    /// Writes a whole section.
    ///
    /// # Errors
    /// The system's.
    pub fn section<T: Record>(&mut self, records: &[T]) -> Result<Section, StoreError> {
        self.section_with(records, |_| {})
    }

    /// Writes a whole section, and lets `look` at the records of each page: they are at hand then.
    ///
    /// # Errors
    /// The system's.
    pub fn section_with<T: Record>(
        &mut self,
        records: &[T],
        mut look: impl FnMut(&[T]),
    ) -> Result<Section, StoreError> {
        self.end_page();
        let page = self.next_page();
        for records in records.chunks(T::PER_PAGE as usize) {
            self.end_page();
            self.put_bytes(records.as_bytes())?;
            look(records);
        }
        self.end_page();
        Ok(Section {
            page,
            pages: self.next_page() - page,
            count: records.len() as u64,
        })
    }

    /// The next record goes to a new page. The last one gets its checksum, while it is at hand.
    pub fn end_page(&mut self) {
        let number = self.next_page().wrapping_sub(1);
        if let Some(page) = self.chunk.last_mut()
            && self.used <= PAYLOAD_BYTES
        {
            page[self.used..].fill(0);
            seal(page, self.tag, number);
        }
        self.used = SEALED;
    }

    fn new_page(&mut self) -> Result<(), StoreError> {
        self.end_page();
        self.pace.turn_at(self.chunk.len(), TURN_PAGES);
        if self.chunk.len() == CHUNK_PAGES {
            self.flush()?;
        }
        self.chunk.set_len(self.chunk.len() + 1);
        self.used = 0;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.end_page();
        if self.pace.is_over() {
            return Err(StoreError::Stopped);
        }
        let count = self.chunk.len() as u64;
        if count > 0 {
            let (chunk, start) = (&mut self.chunk, self.chunk_start);
            let written = self.output.exchange(self.memory, chunk, start);
            written.map_err(StoreError::io("write", &self.temporary))?;
            self.pace.after_write();
        }
        self.chunk_start += count;
        Ok(())
    }

    /// Writes the header, makes everything durable and gives the file its name. `header.pages` is
    /// filled in.
    ///
    /// # Errors
    /// The system's. The temporary file is removed then.
    pub fn finish(mut self, header: &mut Header) -> Result<(), StoreError> {
        self.flush()?;
        header.pages = self.chunk_start;
        self.chunk.set_len(1);
        self.chunk[0].fill(0);
        self.chunk[0][..size_of::<Header>()].copy_from_slice(header.as_bytes());
        seal(&mut self.chunk[0], self.tag, 0);
        let written = self.output.exchange(self.memory, &mut self.chunk, 0);
        written.map_err(StoreError::io("write", &self.temporary))?;
        let file = self.output.end(self.memory);
        let file = file.map_err(StoreError::io("write", &self.temporary))?;
        file.sync()
            .map_err(StoreError::io("flush", &self.temporary))?;
        self.storage
            .rename(&self.temporary, &self.path)
            .map_err(StoreError::io("rename", &self.temporary))?;
        self.finished = true;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        self.storage
            .sync_dir(dir)
            .map_err(StoreError::io("flush", dir))
    }
}

impl Drop for PageWriter<'_> {
    /// What was not finished is of no use, and may be what fills the disk.
    fn drop(&mut self) {
        if !self.finished {
            self.output.give_up(self.memory);
            let _ = self.storage.remove(&self.temporary);
        }
        if let Ok(empty) = Region::new(0) {
            let chunk = std::mem::replace(&mut self.chunk, empty);
            self.memory.give_back(chunk);
        }
    }
}
