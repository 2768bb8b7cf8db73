//! Copying finished files, page by page: what is damaged is not copied.

use std::path::{Path, PathBuf};

use giro_base::{Region, checksum};
use giro_log::storage::Storage;
use zerocopy::IntoBytes;

use crate::error::StoreError;
use crate::page::{PAGE_BYTES, PAYLOAD_BYTES, Page};
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
    make_file(storage, to, file.pages(), &mut |first, pages| {
        file.read_pages(first, pages)?;
        copied(size_of_val(pages) as u64);
        Ok(())
    })
}

/// Gets the number of a stretch's first page, and room for its pages.
pub type Fill<'a, E> = dyn FnMut(u64, &mut [Page]) -> Result<(), E> + 'a;

/// Makes a file of so many pages, which is there whole and durable when it returns. `fill` gets
/// stretch after stretch.
///
/// # Errors
/// The system's, and those of `fill`; nothing of the name `to` is there then.
pub fn make_file<E: From<StoreError>>(
    storage: &dyn Storage,
    to: &Path,
    pages: u64,
    fill: &mut Fill<'_, E>,
) -> Result<(), E> {
    let mut temporary = to.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let temporary = PathBuf::from(temporary);
    let outcome = write_pages(storage, &temporary, pages, fill);
    if let Err(error) = outcome {
        let _ = storage.remove(&temporary);
        return Err(error);
    }
    storage
        .rename(&temporary, to)
        .map_err(StoreError::io("rename", &temporary))?;
    let dir = to.parent().unwrap_or(Path::new("."));
    Ok(storage
        .sync_dir(dir)
        .map_err(StoreError::io("flush", dir))?)
}

fn write_pages<E: From<StoreError>>(
    storage: &dyn Storage,
    to: &Path,
    pages: u64,
    fill: &mut Fill<'_, E>,
) -> Result<(), E> {
    let file = storage.create(to).map_err(StoreError::io("create", to))?;
    let mut chunk = Region::<Page>::new(CHUNK_PAGES).map_err(StoreError::io("buffer", to))?;
    let mut first = 0;
    while first < pages {
        let count = (pages - first).min(CHUNK_PAGES as u64) as usize;
        chunk.set_len(count);
        fill(first, &mut chunk)?;
        file.write_at(chunk.as_bytes(), first * PAGE_BYTES as u64)
            .map_err(StoreError::io("write", to))?;
        first += count as u64;
    }
    Ok(file.sync().map_err(StoreError::io("flush", to))?)
}

/// What tells a file from others of its kind and generations: the checksums of its header, of the
/// page behind that, and of its last page. A piece has its whole place in the log on the second
/// page; segments and runs follow from the rows they begin with and from their fences.
///
/// # Errors
/// The system's, and that one of these pages is damaged.
pub fn fingerprint(file: &PageFile) -> Result<u128, StoreError> {
    let mut page = Region::<Page>::new(1).map_err(StoreError::io("buffer", file.path()))?;
    page.set_len(1);
    let mut sums = [0; 3 * 16];
    let last = file.pages() - 1;
    for (number, sum) in [0, last.min(1), last].into_iter().zip(sums.chunks_mut(16)) {
        file.read_pages(number, &mut page)?;
        sum.copy_from_slice(&page[0][PAYLOAD_BYTES..]);
    }
    Ok(checksum(&sums))
}
