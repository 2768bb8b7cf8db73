//! Copying a finished file, page by page: what is damaged is not copied.

use std::path::{Path, PathBuf};

use giro_base::Region;
use giro_log::storage::Storage;
use zerocopy::IntoBytes;

use crate::error::StoreError;
use crate::page::{PAGE_BYTES, Page};
use crate::reader::PageFile;
use crate::writer::{CHUNK_PAGES, TEMPORARY};

/// Copies a file to `to`, which is there whole and durable when it returns. `copied` is told of the
/// bytes of each stretch.
///
/// # Errors
/// The system's, and that a page is damaged; nothing of the name `to` is there then.
pub fn copy_file(
    file: &PageFile,
    storage: &dyn Storage,
    to: &Path,
    copied: &mut dyn FnMut(u64),
) -> Result<(), StoreError> {
    let mut temporary = to.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let temporary = PathBuf::from(temporary);
    let outcome = write_copy(file, storage, &temporary, copied);
    if let Err(error) = outcome {
        let _ = storage.remove(&temporary);
        return Err(error);
    }
    storage
        .rename(&temporary, to)
        .map_err(StoreError::io("rename", &temporary))?;
    let dir = to.parent().unwrap_or(Path::new("."));
    storage.sync_dir(dir).map_err(StoreError::io("flush", dir))
}

fn write_copy(
    file: &PageFile,
    storage: &dyn Storage,
    to: &Path,
    copied: &mut dyn FnMut(u64),
) -> Result<(), StoreError> {
    let copy = storage.create(to).map_err(StoreError::io("create", to))?;
    let mut chunk = Region::<Page>::new(CHUNK_PAGES).map_err(StoreError::io("buffer", to))?;
    let mut first = 0;
    while first < file.pages() {
        let count = (file.pages() - first).min(CHUNK_PAGES as u64) as usize;
        chunk.set_len(count);
        file.read_pages(first, &mut chunk)?;
        copy.write_at(chunk.as_bytes(), first * PAGE_BYTES as u64)
            .map_err(StoreError::io("write", to))?;
        first += count as u64;
        copied((count * PAGE_BYTES) as u64);
    }
    copy.sync().map_err(StoreError::io("flush", to))
}
