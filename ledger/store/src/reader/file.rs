//! A finished file of the history, open for reading.

use std::path::{Path, PathBuf};

use giro_base::Region;
use giro_log::storage::{Access, Storage, StorageFile};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::StoreError;
use crate::format::{Header, MAGIC, SECTIONS, VERSION};
use crate::page::{FileTag, Kind, PAGE_BYTES, PAYLOAD_BYTES, Page, Payload, open};

/// A file whose header was read and makes sense.
pub struct PageFile {
    path: PathBuf,
    file: Box<dyn StorageFile>,
    tag: FileTag,
    pages: u64,
}

/// What a file should be.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The ledger.
    pub cluster: u128,
    /// What kind of file.
    pub kind: Kind,
    /// First generation in it.
    pub first: u64,
    /// Last one.
    pub last: u64,
}

impl PageFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// The system's; that it is damaged, or not what it should be.
    pub fn open(
        storage: &dyn Storage,
        path: &Path,
        expected: Expected,
    ) -> Result<(Self, Header), StoreError> {
        let file = storage
            .open(path, Access::Random)
            .map_err(StoreError::io("open", path))?;
        let bytes = file.bytes().map_err(StoreError::io("read", path))?;
        let Expected {
            cluster,
            kind,
            first,
            last,
        } = expected;
        let mut file = Self {
            path: path.to_owned(),
            file,
            tag: FileTag::new(cluster, kind, first, last),
            pages: 1,
        };
        let mut memory = Region::<Page>::new(1).map_err(StoreError::io("buffer", path))?;
        memory.set_len(1);
        let payload = file.read_plain(0, &mut memory[0])?;
        let Ok((header, _)) = Header::read_from_prefix(payload) else {
            return Err(file.damaged(0, "the header is too short"));
        };
        if header.magic != MAGIC || header.version != VERSION {
            return Err(StoreError::Foreign {
                path: path.to_owned(),
                reason: format!("its layout has version {}", header.version),
            });
        }
        let named = (header.cluster, header.kind, header.first, header.last);
        if named != (cluster, kind as u16, first, last) {
            return Err(file.damaged(0, "the header names another file"));
        }
        if bytes != header.pages.saturating_mul(PAGE_BYTES as u64) {
            let reason = format!(
                "the file has {bytes} bytes instead of {} pages",
                header.pages
            );
            return Err(file.damaged(bytes / PAGE_BYTES as u64, &reason));
        }
        file.pages = header.pages;
        for section in 0..SECTIONS {
            let section = header.sections[section];
            let end = section.page.checked_add(section.pages);
            if end.is_none_or(|end| end > file.pages) {
                return Err(file.damaged(0, "a section lies behind the end"));
            }
        }
        Ok((file, header))
    }

    /// Its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many pages it has.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// The file itself.
    pub(super) fn raw(&self) -> &dyn StorageFile {
        &*self.file
    }

    /// The payload of a page that was just read.
    ///
    /// # Errors
    /// That it is damaged.
    pub(super) fn check<'p>(&self, bytes: &'p Page, page: u64) -> Result<&'p Payload, StoreError> {
        open(bytes, self.tag, page)
            .ok_or_else(|| self.damaged(page, "the checksum of the page does not match"))
    }

    /// Reads one page without a ring.
    ///
    /// # Errors
    /// The system's, and that it is damaged.
    pub(super) fn read_plain<'p>(
        &self,
        page: u64,
        memory: &'p mut Page,
    ) -> Result<&'p Payload, StoreError> {
        let count = self
            .file
            .read_at(memory, page * PAGE_BYTES as u64)
            .map_err(StoreError::io("read", &self.path))?;
        if count != PAGE_BYTES {
            return Err(self.damaged(page, "the file ends here"));
        }
        self.check(memory, page)
    }

    /// Reads pages that follow each other, as they are on disk, each checked.
    ///
    /// # Errors
    /// The system's, and that one is damaged.
    pub fn read_pages(&self, first: u64, pages: &mut [Page]) -> Result<(), StoreError> {
        let count = self
            .file
            .read_at(pages.as_mut_bytes(), first * PAGE_BYTES as u64)
            .map_err(StoreError::io("read", &self.path))?;
        if count != size_of_val(pages) {
            let page = first + (count / PAGE_BYTES) as u64;
            return Err(self.damaged(page, "the file ends here"));
        }
        for (page, number) in pages.iter().zip(first..) {
            self.check(page, number)?;
        }
        Ok(())
    }

    /// The error that `page` is not what it must be.
    #[must_use]
    pub fn damaged(&self, page: u64, reason: &str) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            offset: page.saturating_mul(PAGE_BYTES as u64),
            reason: reason.to_owned(),
        }
    }
}

const _: () = assert!(size_of::<Header>() <= PAYLOAD_BYTES);
