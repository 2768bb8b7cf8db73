//! A storage that sees which thread closes files whose names are gone.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use giro_log::storage::{Access, RealStorage, Removed, Storage, StorageFile};

#[derive(Clone, Default)]
pub(crate) struct Witness {
    closed: Arc<Mutex<Vec<ThreadId>>>,
}

struct Watched {
    file: Box<dyn StorageFile>,
    path: PathBuf,
    witness: Witness,
}

impl Witness {
    /// Who closed files that had been removed.
    pub(crate) fn closed(&self) -> Vec<ThreadId> {
        self.closed.lock().unwrap().clone()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.path.exists() {
            let mut closed = self.witness.closed.lock().unwrap();
            closed.push(std::thread::current().id());
        }
    }
}

impl Storage for Witness {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealStorage.create_dir(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        RealStorage.create(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(Watched {
            file: RealStorage.open(path, access)?,
            path: path.to_owned(),
            witness: self.clone(),
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealStorage.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealStorage.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<Removed> {
        RealStorage.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealStorage.sync_dir(dir)
    }
}

impl StorageFile for Watched {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.file.allocate(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.fd()
    }
}
