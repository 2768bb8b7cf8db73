//! Reading pages: many at a time, each checked before a byte of it is used.

mod file;
mod ring;

use std::ops::Range;

use giro_base::Region;
use zerocopy::FromBytes;

pub use file::{Expected, PageFile};
use ring::{EXTENT_PAGES, ReadRing};

use crate::error::StoreError;
use crate::format::{Record, Section};
use crate::page::{PAGE_BYTES, Page, Payload};

/// Reads pages for one thread. May be sent to another.
pub struct Reader {
    /// None where the system has no rings: pages are read one by one then.
    ring: Option<ReadRing>,
    memory: Region<Page>,
    pages_read: u64,
}

/// Some pages of a file that follow each other.
#[derive(Clone, Copy)]
pub struct Extent<'f> {
    /// The file.
    pub file: &'f PageFile,
    /// Its first page.
    pub page: u64,
    /// How many, at most [`EXTENT_PAGES_MAX`].
    pub pages: u32,
}

/// Most pages of an [`Extent`].
pub const EXTENT_PAGES_MAX: u32 = EXTENT_PAGES as u32;

/// Page `page` of the extent `extent`, and the place in it.
#[derive(Clone, Copy)]
struct At {
    extent: usize,
    page: usize,
}

impl Reader {
    /// A reader with 4 MiB of memory.
    ///
    /// # Errors
    /// The system's when it has no memory.
    pub fn new() -> std::io::Result<Self> {
        let ring = ReadRing::new();
        if let Err(error) = &ring {
            tracing::warn!(%error, "no io_uring for the history: pages are read one by one");
        }
        let mut memory = Region::new(1)?;
        memory.set_len(1);
        Ok(Self {
            ring: ring.ok(),
            memory,
            pages_read: 0,
        })
    }

    /// Pages read since it was made.
    #[must_use]
    pub fn pages_read(&self) -> u64 {
        self.pages_read
    }

    /// Reads all extents, up to 64 at once, and hands over each page as it arrives, in no order:
    /// the extent's place in `extents`, the page's place in the extent, and its payload.
    ///
    /// # Errors
    /// The first of the system's, or that a page is damaged, or `each`'s. Nothing is under way
    /// when it returns.
    pub fn read(
        &mut self,
        extents: &[Extent<'_>],
        mut each: impl FnMut(usize, usize, &Payload) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut each = |at: At, payload: &Payload| each(at.extent, at.page, payload);
        self.pages_read += extents.iter().map(|e| u64::from(e.pages)).sum::<u64>();
        let in_kernel = extents
            .iter()
            .all(|extent| extent.file.raw().fd().is_some());
        let Some(ring) = self.ring.as_mut().filter(|_| in_kernel) else {
            return read_plain(&mut self.memory[0], extents, &mut each);
        };
        let outcome = read_by_ring(ring, &mut self.memory[0], extents, &mut each);
        if ring.in_flight() > 0 {
            // The ring itself failed: it is of no more use.
            self.ring = None;
        }
        outcome
    }

    /// Reads the records of a section at `positions`, each page once if positions that share it
    /// stand together. `each` gets the place in `positions`, and the record; in no order.
    ///
    /// # Errors
    /// As [`read`](Self::read), and that a position lies behind the section's end.
    pub fn gather<T: Record>(
        &mut self,
        file: &PageFile,
        section: &Section,
        positions: &[u64],
        mut each: impl FnMut(usize, &T) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut extents: Vec<Extent<'_>> = Vec::new();
        // Places in `positions` that each extent serves.
        let mut served: Vec<Range<usize>> = Vec::new();
        for (place, position) in positions.iter().enumerate() {
            if *position >= section.count || position / T::PER_PAGE >= section.pages {
                return Err(file.damaged(section.page, "something points behind a section"));
            }
            let page = section.page + position / T::PER_PAGE;
            if let (Some(extent), Some(range)) = (extents.last_mut(), served.last_mut()) {
                let behind = page.wrapping_sub(extent.page);
                if behind == u64::from(extent.pages) && extent.pages < EXTENT_PAGES_MAX {
                    extent.pages += 1;
                }
                if behind < u64::from(extent.pages) {
                    range.end = place + 1;
                    continue;
                }
            }
            let pages = 1;
            extents.push(Extent { file, page, pages });
            served.push(place..place + 1);
        }
        self.read(&extents, |extent, page, payload| {
            let page = extents[extent].page - section.page + page as u64;
            let records = records::<T>(payload);
            for place in served[extent].clone() {
                if positions[place] / T::PER_PAGE == page {
                    each(place, &records[(positions[place] % T::PER_PAGE) as usize])?;
                }
            }
            Ok(())
        })
    }

    /// Reads some records of a section that follow each other.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    pub fn range<T: Record>(
        &mut self,
        file: &PageFile,
        section: &Section,
        range: Range<u64>,
    ) -> Result<Vec<T>, StoreError> {
        let positions: Vec<u64> = range.collect();
        let mut found = vec![T::new_zeroed(); positions.len()];
        self.gather(file, section, &positions, |place, record| {
            found[place] = *record;
            Ok(())
        })?;
        Ok(found)
    }

    /// Reads one record of a section.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    pub fn one<T: Record>(
        &mut self,
        file: &PageFile,
        section: &Section,
        position: u64,
    ) -> Result<T, StoreError> {
        let mut found = T::new_zeroed();
        self.gather(file, section, &[position], |_, record| {
            found = *record;
            Ok(())
        })?;
        Ok(found)
    }
}

/// The records a page holds, with what may follow the last one.
///
/// # Panics
/// Never: pages are aligned to more than any record.
#[must_use]
pub fn records<T: Record>(payload: &Payload) -> &[T] {
    let count = T::PER_PAGE as usize;
    let (records, _) =
        <[T]>::ref_from_prefix_with_elems(payload, count).expect("pages are aligned");
    records
}

/// Extents of at most 16 pages that cover a stretch of a file.
#[must_use]
pub fn extents_of(file: &PageFile, pages: Range<u64>) -> Vec<Extent<'_>> {
    let step = EXTENT_PAGES as u64;
    pages
        .clone()
        .step_by(EXTENT_PAGES)
        .map(|page| Extent {
            file,
            page,
            pages: (pages.end - page).min(step) as u32,
        })
        .collect()
}

type Each<'e> = &'e mut dyn FnMut(At, &Payload) -> Result<(), StoreError>;

fn read_plain(memory: &mut Page, extents: &[Extent<'_>], each: Each<'_>) -> Result<(), StoreError> {
    for (extent, wanted) in extents.iter().enumerate() {
        for page in 0..wanted.pages as usize {
            let payload = wanted.file.read_plain(wanted.page + page as u64, memory)?;
            each(At { extent, page }, payload)?;
        }
    }
    Ok(())
}

fn read_by_ring(
    ring: &mut ReadRing,
    memory: &mut Page,
    extents: &[Extent<'_>],
    each: Each<'_>,
) -> Result<(), StoreError> {
    let mut next = 0;
    let mut outcome = Ok(());
    while ring.in_flight() > 0 || (next < extents.len() && outcome.is_ok()) {
        while outcome.is_ok() && next < extents.len() {
            let Extent { file, page, pages } = extents[next];
            let fd = file.raw().fd().expect("the caller looked");
            if !ring.push(fd, page, pages, next as u32) {
                break;
            }
            next += 1;
        }
        if let Err(error) = ring.wait() {
            let path = extents[next.saturating_sub(1)].file.path();
            return Err(StoreError::io("read", path)(error));
        }
        while let Some(finished) = ring.next() {
            if outcome.is_ok() {
                outcome = take(ring, memory, extents, &finished, each);
            }
            ring.release(finished.slot);
        }
    }
    outcome
}

fn take(
    ring: &ReadRing,
    memory: &mut Page,
    extents: &[Extent<'_>],
    finished: &ring::Finished,
    each: Each<'_>,
) -> Result<(), StoreError> {
    let extent = finished.token as usize;
    let wanted = extents[extent];
    let count = match &finished.result {
        Ok(count) => *count,
        Err(error) => {
            let error = std::io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0));
            return Err(StoreError::io("read", wanted.file.path())(error));
        }
    };
    for page in 0..wanted.pages as usize {
        let number = wanted.page + page as u64;
        let payload = if count >= (page + 1) * PAGE_BYTES {
            wanted
                .file
                .check(&ring.pages(finished.slot)[page], number)?
        } else {
            // A read may end early for reasons that pass; the plain one tries again.
            wanted.file.read_plain(number, memory)?
        };
        each(At { extent, page }, payload)?;
    }
    Ok(())
}
