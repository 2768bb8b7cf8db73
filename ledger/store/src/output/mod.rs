//! Writing chunks of pages while the next one is being made: through io_uring, up to two at a time.

mod ring;

use std::io;

use giro_base::Region;
use giro_log::storage::StorageFile;
use zerocopy::IntoBytes;

use crate::page::{PAGE_BYTES, Page};
use crate::writer::CHUNK_PAGES;
use ring::WriteRing;

/// Memory of chunks and the ring they are written through, for one file after the other: fresh
/// memory costs more than filling it.
#[derive(Default)]
pub struct Chunks {
    free: Vec<Region<Page>>,
    ring: Ring,
}

/// How chunks are written.
#[derive(Default)]
enum Ring {
    /// Nothing was written yet.
    #[default]
    Unknown,
    /// The kernel has no rings for us: one write after the other, each waited for.
    None,
    Uring(Box<WriteRing>),
}

impl Chunks {
    /// An empty chunk.
    ///
    /// # Errors
    /// The system's when it has no address space.
    pub(crate) fn take(&mut self) -> io::Result<Region<Page>> {
        match self.free.pop() {
            Some(mut chunk) => {
                chunk.set_len(0);
                Ok(chunk)
            }
            None => Region::new(CHUNK_PAGES),
        }
    }

    pub(crate) fn give_back(&mut self, chunk: Region<Page>) {
        self.free.push(chunk);
    }

    fn ring(&mut self) -> Option<&mut WriteRing> {
        if matches!(self.ring, Ring::Unknown) {
            self.ring = match WriteRing::new() {
                Ok(ring) => Ring::Uring(Box::new(ring)),
                Err(error) => {
                    tracing::warn!(%error, "no io_uring for the history: it is written without");
                    Ring::None
                }
            };
        }
        match &mut self.ring {
            Ring::Uring(ring) => Some(ring),
            Ring::Unknown | Ring::None => None,
        }
    }
}

/// A file that is written chunk by chunk.
pub(crate) struct Output {
    file: Box<dyn StorageFile>,
}

impl Output {
    pub(crate) fn new(file: Box<dyn StorageFile>) -> Self {
        Self { file }
    }

    /// Gives a full chunk away, whose first page is page `start` of the file, for an empty one.
    ///
    /// # Errors
    /// That this write or an earlier one failed.
    pub(crate) fn exchange(
        &self,
        memory: &mut Chunks,
        chunk: &mut Region<Page>,
        start: u64,
    ) -> io::Result<()> {
        if let Some(ring) = memory.ring()
            && ring.is_full()
        {
            self.finish_one(memory)?;
        }
        let spare = memory.take()?;
        let full = std::mem::replace(chunk, spare);
        match (self.file.fd(), memory.ring()) {
            (Some(file), Some(ring)) => ring.write(file, full, start),
            // A model of a disk, or a kernel without rings.
            _ => {
                let written = self.write_rest(&full, start, 0);
                memory.give_back(full);
                written
            }
        }
    }

    /// Waits until everything is written, and gives the file.
    ///
    /// # Errors
    /// That a write failed.
    pub(crate) fn end(&self, memory: &mut Chunks) -> io::Result<&dyn StorageFile> {
        while self.finish_one(memory)? {}
        Ok(&*self.file)
    }

    /// Waits for what is under way, however it ends: of a file that is given up.
    pub(crate) fn give_up(&self, memory: &mut Chunks) {
        while let Some(ring) = memory.ring() {
            match ring.wait() {
                Ok(Some(finished)) => memory.give_back(finished.pages),
                Ok(None) => return,
                // It keeps what it has; the next file must not take that for its own.
                Err(_) => memory.ring = Ring::Unknown,
            }
        }
    }

    /// Waits for one write; false when none is under way.
    fn finish_one(&self, memory: &mut Chunks) -> io::Result<bool> {
        let Some(ring) = memory.ring() else {
            return Ok(false);
        };
        let Some(finished) = ring.wait()? else {
            return Ok(false);
        };
        let written = match finished.result {
            Err(error) if !ring::is_passing(&error) => Err(error),
            // What is left is written with patience, and says why it cannot.
            result => self.write_rest(&finished.pages, finished.start, result.unwrap_or(0)),
        };
        memory.give_back(finished.pages);
        written.map(|()| true)
    }

    /// Writes what lies behind the first `done` bytes.
    fn write_rest(&self, pages: &[Page], start: u64, done: usize) -> io::Result<()> {
        let rest = &pages.as_bytes()[done..];
        if rest.is_empty() {
            return Ok(());
        }
        let offset = start * PAGE_BYTES as u64 + done as u64;
        self.file.write_at(rest, offset)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use giro_log::storage::{Access, RealStorage, Storage};

    use super::*;

    fn chunk_of(memory: &mut Chunks, pages: usize, byte: u8) -> Region<Page> {
        let mut chunk = memory.take().unwrap();
        chunk.set_len(pages);
        for page in &mut chunk[..] {
            page.fill(byte);
        }
        chunk
    }

    /// Writes seven chunks of 40 pages, page 0 last, and reads them back.
    fn write_and_read(dir: &Path, memory: &mut Chunks) {
        let path = dir.join("file");
        let output = Output::new(RealStorage.create(&path).unwrap());
        for number in 0..7 {
            let mut chunk = chunk_of(memory, 40, number + 1);
            let start = 1 + 40 * u64::from(number);
            output.exchange(memory, &mut chunk, start).unwrap();
            assert_eq!(chunk.len(), 0);
            memory.give_back(chunk);
        }
        let mut header = chunk_of(memory, 1, 99);
        output.exchange(memory, &mut header, 0).unwrap();
        output.end(memory).unwrap().sync().unwrap();
        let file = RealStorage.open(&path, Access::Read).unwrap();
        assert_eq!(file.bytes().unwrap(), 281 * PAGE_BYTES as u64);
        let mut page = [0; PAGE_BYTES];
        for number in 0..281 {
            let read = file.read_at(&mut page, number * PAGE_BYTES as u64);
            assert_eq!(read.unwrap(), PAGE_BYTES);
            let page_before = number.checked_sub(1);
            let byte = page_before.map_or(99, |before| (before / 40 + 1) as u8);
            assert!(page.iter().all(|found| *found == byte), "page {number}");
        }
    }

    #[test]
    fn chunks_arrive_where_they_belong_with_a_ring_and_without() {
        let dir = tempfile::tempdir().unwrap();
        let mut memory = Chunks::default();
        assert!(memory.ring().is_some(), "this kernel has rings");
        write_and_read(dir.path(), &mut memory);
        write_and_read(dir.path(), &mut memory);
        memory.ring = Ring::None;
        write_and_read(dir.path(), &mut memory);
    }

    #[test]
    fn a_failed_write_is_told_with_a_later_one_and_its_memory_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        drop(RealStorage.create(&path).unwrap());
        // Not for writing.
        let output = Output::new(RealStorage.open(&path, Access::Read).unwrap());
        let mut memory = Chunks::default();
        let mut chunk = chunk_of(&mut memory, 8, 1);
        output.exchange(&mut memory, &mut chunk, 1).unwrap();
        chunk.set_len(8);
        output.exchange(&mut memory, &mut chunk, 9).unwrap();
        let error = output.end(&mut memory).err().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc_ebadf()));
        output.give_up(&mut memory);
        assert_eq!(memory.free.len(), 2);
        // The next file has nothing to do with it.
        memory.give_back(chunk);
        write_and_read(dir.path(), &mut memory);
    }

    fn libc_ebadf() -> i32 {
        rustix::io::Errno::BADF.raw_os_error()
    }
}
