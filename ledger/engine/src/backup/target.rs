//! The directory that a copy goes to.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use giro_log::storage::Storage;
use giro_store::copy::copy_file;
use giro_store::page::PAGE_BYTES;
use giro_store::reader::PageFile;
use giro_store::{Catalog, Names};

use super::{BackupError, Stage};

/// A directory that is being filled with a copy. It is no ledger before its identity is there.
pub struct Target {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    bytes: u64,
}

impl Target {
    /// Makes the directory, unless there is an empty one.
    ///
    /// # Errors
    /// [`BackupError::NotEmpty`] and [`BackupError::Io`].
    pub fn make(storage: &Arc<dyn Storage>, dir: &Path) -> Result<Self, BackupError> {
        storage.create_dir(dir).map_err(failed("create", dir))?;
        let found = storage.list(dir).map_err(failed("list", dir))?;
        if !found.is_empty() {
            return Err(BackupError::NotEmpty {
                dir: dir.to_owned(),
            });
        }
        let log = dir.join("log");
        storage.create_dir(&log).map_err(failed("create", &log))?;
        Ok(Self {
            storage: Arc::clone(storage),
            dir: dir.to_owned(),
            bytes: 0,
        })
    }

    /// Bytes that were copied.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// So many more bytes were copied.
    pub fn count(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Copies the files of a history that are not there yet, each page checked, and removes others
    /// that an earlier attempt left.
    ///
    /// # Errors
    /// The history's, when a page is damaged, and [`BackupError::Io`].
    pub fn copy_history(
        &mut self,
        catalog: &Catalog,
        progress: &mut dyn FnMut(Stage),
    ) -> Result<(), BackupError> {
        let names = Names::new(&self.dir);
        let dirs = [&names.segments, &names.ids, &names.checkpoints];
        let mut there = HashSet::new();
        for dir in dirs {
            self.storage
                .create_dir(dir)
                .map_err(failed("create", dir))?;
            let found = self.storage.list(dir).map_err(failed("list", dir))?;
            there.extend(found.into_iter().map(|name| dir.join(name)));
        }
        let segments = catalog.segments.iter();
        let segments = segments.map(|s| (names.segment(s.number()), s.file()));
        let runs = catalog.runs.iter();
        let runs = runs.map(|run| (names.run(run.first(), run.last()), run.file()));
        let pieces = catalog.pieces.iter();
        let pieces = pieces.map(|p| (names.piece(p.first(), p.last()), p.file()));
        let wanted: Vec<(PathBuf, &PageFile)> = segments.chain(runs).chain(pieces).collect();
        let bytes_of = |file: &PageFile| file.pages() * PAGE_BYTES as u64;
        let bytes_total = wanted.iter().map(|(_, file)| bytes_of(file)).sum();
        let mut done = 0;
        for (path, file) in &wanted {
            if there.remove(path) {
                done += bytes_of(file);
                continue;
            }
            copy_file(file, &*self.storage, path, &mut |bytes| {
                done += bytes;
                progress(Stage::History {
                    bytes: done,
                    bytes_total,
                });
            })?;
            self.bytes += bytes_of(file);
        }
        // Copied by an earlier attempt, and merged since.
        for path in there.iter().filter(|path| !dirs.contains(path)) {
            drop(self.storage.remove(path).map_err(failed("remove", path))?);
        }
        Ok(())
    }

    /// Removes what an earlier attempt left of a log.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    pub fn clear_log(&self) -> Result<(), BackupError> {
        let log = self.dir.join("log");
        for name in self.storage.list(&log).map_err(failed("list", &log))? {
            let path = log.join(name);
            drop(
                self.storage
                    .remove(&path)
                    .map_err(failed("remove", &path))?,
            );
        }
        Ok(())
    }

    /// Copies a small file of another directory if it is there.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    pub fn copy_small(&mut self, from: &Path, name: &str) -> Result<(), BackupError> {
        let (from, to) = (from.join(name), self.dir.join(name));
        if !from.exists() {
            return Ok(());
        }
        self.bytes += std::fs::copy(&from, &to).map_err(failed("copy", &from))?;
        std::fs::File::open(&to)
            .and_then(|file| file.sync_all())
            .map_err(failed("flush", &to))?;
        self.storage
            .sync_dir(&self.dir)
            .map_err(failed("flush", &self.dir))
    }
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io {
        action,
        path,
        source,
    }
}
