//! Writing chunks of pages while the next one is being made.

use std::io;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use giro_base::Region;
use giro_log::storage::StorageFile;
use zerocopy::IntoBytes;

use crate::page::{PAGE_BYTES, Page};
use crate::writer::CHUNK_PAGES;

/// Memory of chunks, for one file after the other: fresh memory costs more than filling it.
#[derive(Default)]
pub struct Chunks(Vec<Region<Page>>);

impl Chunks {
    /// An empty chunk.
    ///
    /// # Errors
    /// The system's when it has no address space.
    pub(crate) fn take(&mut self) -> io::Result<Region<Page>> {
        match self.0.pop() {
            Some(mut chunk) => {
                chunk.set_len(0);
                Ok(chunk)
            }
            None => Region::new(CHUNK_PAGES),
        }
    }

    pub(crate) fn give_back(&mut self, chunk: Region<Page>) {
        self.0.push(chunk);
    }
}

/// A thread that writes one file, in order.
pub(crate) struct Output {
    chunks: Option<Sender<(Region<Page>, u64)>>,
    /// Written ones, to be filled again; one is there from the start.
    written: Receiver<io::Result<Region<Page>>>,
    thread: Option<JoinHandle<Box<dyn StorageFile>>>,
}

impl Output {
    pub(crate) fn start(file: Box<dyn StorageFile>, spare: Region<Page>) -> io::Result<Self> {
        let (chunks, work) = bounded::<(Region<Page>, u64)>(1);
        let (done, written) = bounded(2);
        assert!(done.send(Ok(spare)).is_ok(), "its other end is here");
        let thread = std::thread::Builder::new().name("giro-pages".to_owned());
        let thread = thread.spawn(move || {
            while let Ok((mut chunk, start)) = work.recv() {
                let outcome = file.write_at(chunk.as_bytes(), start * PAGE_BYTES as u64);
                let failed = outcome.is_err();
                chunk.set_len(0);
                if done.send(outcome.map(|()| chunk)).is_err() || failed {
                    break;
                }
            }
            file
        })?;
        Ok(Self {
            chunks: Some(chunks),
            written,
            thread: Some(thread),
        })
    }

    /// Gives a full chunk away, whose first page is page `start` of the file, for an empty one.
    ///
    /// # Errors
    /// That an earlier write failed.
    pub(crate) fn exchange(&mut self, chunk: &mut Region<Page>, start: u64) -> io::Result<()> {
        let spare = self.written.recv().map_err(io::Error::other)??;
        let full = std::mem::replace(chunk, spare);
        let Some(chunks) = &self.chunks else {
            return Err(io::Error::other("the file has ended"));
        };
        chunks.send((full, start)).map_err(io::Error::other)
    }

    /// Waits until everything is written, and gives the file and the memory back.
    ///
    /// # Errors
    /// That a write failed.
    pub(crate) fn end(&mut self, memory: &mut Chunks) -> io::Result<Box<dyn StorageFile>> {
        self.chunks = None;
        let file = self.thread.take().map(JoinHandle::join);
        for written in self.written.try_iter() {
            memory.give_back(written?);
        }
        match file {
            Some(Ok(file)) => Ok(file),
            _ => Err(io::Error::other("the writing thread ended early")),
        }
    }
}
