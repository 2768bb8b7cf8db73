//! The file operations the log needs, small enough to model: the crash tests have a storage of
//! their own that forgets what was not flushed.
//!
//! What it relies on, and a model must give no more than: written bytes are durable after `sync`
//! of their file, names after `sync_dir` of their directory.

mod real;
mod release;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

pub use real::RealStorage;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Large reads in order.
    Read,
    /// Reads of single pages, here and there, through the page cache and without reading ahead.
    Random,
    /// Writes past the page cache, whole sectors from aligned memory; a `sync` makes them durable.
    Write,
    /// The log's own writes, durable when they complete: O_DIRECT and O_DSYNC.
    Log,
}

/// Whether the system says that the disk itself fails (EIO), and not that something is missing or
/// full.
#[must_use]
pub fn is_bad_disk(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EIO)
}

/// Files of a directory tree.
pub trait Storage: Send + Sync {
    /// Makes a directory, and those above it, where they are not there. The names of those that it
    /// made are durable.
    ///
    /// # Errors
    /// The system's.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes an empty file, replacing one of that name, for [`Access::Write`].
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>>;
    /// Opens a file that is there.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>>;
    /// Names in a directory, in no order.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Gives a file or directory another name, replacing the file that has it.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file that never changes a second name, replacing the file that has it. Not every
    /// storage can: whoever asks must know another way.
    ///
    /// # Errors
    /// The system's.
    fn link(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Removes a file: its name is gone at once, durably with the next [`Storage::sync_dir`].
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<Removed>;
    /// Removes an empty directory. Storages whose directories are only parts of names have nothing
    /// to do.
    ///
    /// # Errors
    /// The system's.
    fn remove_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
    /// Makes the directory's names durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A file that has no name any more. Its blocks are given back once this is dropped and nobody else
/// has the file open, so whoever wants a crash to find the file whole or not at all flushes the
/// directory first.
#[derive(Default)]
#[must_use = "its blocks are given back when it is dropped"]
pub struct Removed {
    _file: Option<Box<dyn StorageFile>>,
}

/// An open file.
pub trait StorageFile: Send + Sync {
    /// Fills `bytes` from `offset` on; fewer only at the end of the file.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// A hint that these bytes will be read soon.
    fn prefetch(&self, _offset: u64, _bytes: u64) {}
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Gives the file space for `bytes` bytes.
    ///
    /// # Errors
    /// The system's, first of all when there is no room.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Makes all of the file's bytes durable.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self) -> io::Result<()>;
    /// Length in bytes.
    ///
    /// # Errors
    /// The system's.
    fn bytes(&self) -> io::Result<u64>;
    /// The descriptor, for the kernel's file tables; none when it is no file of the kernel.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
}
