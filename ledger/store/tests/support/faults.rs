//! A storage that stops after so many operations, or is full, and whose files can be changed.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use giro_log::storage::{Access, RealStorage, Removed, Storage, StorageFile};

#[derive(Clone)]
pub(crate) struct Faults {
    real: RealStorage,
    /// Changes that still work; below 0 nothing does.
    left: Arc<AtomicI64>,
    /// Changes before one for which there is no room; below 0 there is for all.
    full_after: Arc<AtomicI64>,
    /// Bytes that still fit.
    free: Arc<AtomicU64>,
    /// Files that can still be opened.
    openable: Arc<AtomicI64>,
}

struct FaultyFile {
    file: Box<dyn StorageFile>,
    faults: Faults,
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self {
            real: RealStorage,
            left: Arc::new(AtomicI64::new(i64::MAX)),
            full_after: Arc::new(AtomicI64::new(-1)),
            free: Arc::new(AtomicU64::new(u64::MAX)),
            openable: Arc::new(AtomicI64::new(i64::MAX)),
        }
    }

    /// The next `count` changes work, and no others.
    pub(crate) fn stop_after(&self, count: i64) {
        self.left.store(count, Ordering::SeqCst);
    }

    /// The next `count` changes work, and for the one behind them there is no room.
    #[allow(dead_code)] // Some tests only stop.
    pub(crate) fn full_after(&self, count: i64) {
        self.full_after.store(count, Ordering::SeqCst);
    }

    #[allow(dead_code)]
    pub(crate) fn has_been_full(&self) -> bool {
        self.full_after.load(Ordering::SeqCst) < 0
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }

    pub(crate) fn set_free(&self, bytes: u64) {
        self.free.store(bytes, Ordering::SeqCst);
    }

    /// The next `count` files can be opened or made, and no others.
    #[allow(dead_code)]
    pub(crate) fn set_openable(&self, count: i64) {
        self.openable.store(count, Ordering::SeqCst);
    }

    fn open_one(&self) -> io::Result<()> {
        if self.openable.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.openable.store(0, Ordering::SeqCst);
            return Err(rustix::io::Errno::MFILE.into());
        }
        Ok(())
    }

    fn change(&self) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.left.store(-1, Ordering::SeqCst);
            return Err(io::Error::other("the machine stopped"));
        }
        if self.full_after.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Storage for Faults {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.real.create_dir(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        self.change()?;
        self.open_one()?;
        let file = self.real.create(path)?;
        let faults = self.clone();
        Ok(Box::new(FaultyFile { file, faults }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        self.open_one()?;
        self.real.open(path, access)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.real.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        self.real.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<Removed> {
        self.change()?;
        self.real.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change()?;
        self.real.sync_dir(dir)
    }
}

impl StorageFile for FaultyFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        // A write that the stop cuts short.
        let changed = self.faults.change();
        if let Err(error) = &changed
            && error.kind() == io::ErrorKind::StorageFull
        {
            return changed;
        }
        let torn = changed.is_err();
        let count = if torn {
            bytes.len() / 4096 / 2 * 4096
        } else {
            bytes.len()
        };
        let free = self.faults.free.load(Ordering::SeqCst);
        if free < count as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if free != u64::MAX {
            self.faults
                .free
                .store(free - count as u64, Ordering::SeqCst);
        }
        self.file.write_at(&bytes[..count], offset)?;
        if torn {
            return Err(io::Error::other("the machine stopped"));
        }
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.file.allocate(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.change()?;
        self.file.sync()
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    /// None: every write comes by here.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
