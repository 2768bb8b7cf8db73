//! A growable array that never moves: address space is reserved at the start, memory becomes
//! resident as elements are pushed. Growth therefore copies nothing and pauses nobody.

use std::ops::{Deref, DerefMut, Range};

use memmap2::{Advice, MmapMut, MmapOptions};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::prefetch::prefetch_write;

/// Bytes made resident at a time: a huge page.
const PREFAULT_BYTES: usize = 2 << 20;
/// No machine has larger pages.
const PAGE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// A vector of `T` with a fixed largest length, backed by huge pages where the machine has them.
pub struct Region<T> {
    /// Keeps the mapping alive; only reached through `base`.
    map: MmapMut,
    base: *mut T,
    len: usize,
    len_max: usize,
}

// SAFETY: a region owns its memory, as a `Vec<T>` does.
unsafe impl<T: Send> Send for Region<T> {}
// SAFETY: shared access reads only, as with a `Vec<T>`.
unsafe impl<T: Sync> Sync for Region<T> {}

impl<T: FromBytes + IntoBytes + Immutable + Copy> Region<T> {
    /// An empty region for up to `len_max` elements.
    ///
    /// # Errors
    /// The system's when it has no address space for them.
    pub fn new(len_max: usize) -> std::io::Result<Self> {
        let bytes = (len_max * size_of::<T>()).max(1);
        let mut map = MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?;
        // Without huge pages the region works the same, only with more TLB misses.
        let _ = map.advise(Advice::HugePage);
        let base = map.as_mut_ptr().cast::<T>();
        assert!(base.is_aligned(), "a mapping is aligned to pages");
        Ok(Self {
            map,
            base,
            len: 0,
            len_max,
        })
    }

    /// Appends an element.
    ///
    /// # Panics
    /// When the region is full: callers admit no more than fits.
    #[inline(always)]
    pub fn push(&mut self, value: T) {
        assert!(self.len < self.len_max, "region is full");
        // SAFETY: `len` is below the reserved length, so the slot lies in the mapping.
        unsafe { self.base.add(self.len).write(value) };
        self.len += 1;
    }

    /// Appends a copy of an element, made straight from where it lies, and gives it to be changed.
    ///
    /// # Panics
    /// As [`push`](Self::push).
    #[inline(always)]
    pub fn push_copy(&mut self, value: &T) -> &mut T {
        assert!(self.len < self.len_max, "region is full");
        // SAFETY: as in `push`; `value` cannot lie in the slot, which nobody was given yet.
        let slot = unsafe {
            let slot = self.base.add(self.len);
            slot.copy_from_nonoverlapping(value, 1);
            &mut *slot
        };
        self.len += 1;
        slot
    }

    /// Hints that the element `ahead` places behind the last one will be pushed soon: its first and
    /// its last line.
    #[inline(always)]
    pub fn prefetch_push(&self, ahead: usize) {
        let first = self.base.wrapping_add(self.len + ahead).cast_const();
        prefetch_write(first);
        if size_of::<T>() > LINE_BYTES {
            prefetch_write(first.cast::<u8>().wrapping_add(size_of::<T>() - 1));
        }
    }

    /// Sets the length. Elements above the old length are zero bytes or what was there before a
    /// shrink.
    ///
    /// # Panics
    /// When `len` exceeds the largest length.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.len_max, "region is full");
        // Every byte of the mapping is initialised (zero at first) and `T` takes any bytes.
        self.len = len;
    }

    /// Makes the memory of the first `len` elements resident now, so that their first use does
    /// not wait for it. A system that cannot does it later, as ever.
    pub fn prefault(&self, len: usize) {
        let bytes = len.min(self.len_max) * size_of::<T>();
        // Piece by piece: other threads wait for the whole call when they change the address
        // space.
        for start in (0..bytes).step_by(PREFAULT_BYTES) {
            let piece = PREFAULT_BYTES.min(bytes - start);
            let _ = self.map.advise_range(Advice::PopulateWrite, start, piece);
        }
    }

    /// The memory between the last element and the first `len` ones, for another thread to make
    /// resident while this one fills it.
    #[must_use]
    pub fn ahead(&self, len: usize) -> Ahead {
        let end = len.clamp(self.len, self.len_max) * size_of::<T>();
        let start = (self.len * size_of::<T>()).next_multiple_of(PAGE_BYTES_MAX);
        Ahead {
            base: self.base.addr(),
            bytes: start..end,
        }
    }

    /// Most elements it can hold.
    #[must_use]
    pub fn len_max(&self) -> usize {
        self.len_max
    }
}

/// Memory of a region that nothing has been written to yet, and may be by now.
pub struct Ahead {
    /// Address of the region's first byte.
    base: usize,
    /// What is not resident yet, counted from there; it begins with a page.
    bytes: Range<usize>,
}

impl Ahead {
    /// Makes a piece of it resident, of a huge page at most: other threads wait for the whole call
    /// when they change the address space. What is written there stays. False when there is no
    /// more. Once the region is gone, it is about whatever lies in its place, or nothing.
    pub fn make_resident(&mut self) -> bool {
        let Range { start, end } = self.bytes;
        let piece = PREFAULT_BYTES.min(end.saturating_sub(start));
        if piece > 0 {
            let at = std::ptr::without_provenance_mut(self.base + start);
            // SAFETY: the call changes no byte of anything. Where the region's memory is somebody
            // else's by now, that becomes resident; where it is nobody's, the kernel refuses.
            let _ = unsafe { libc::madvise(at, piece, libc::MADV_POPULATE_WRITE) };
        }
        self.bytes.start += piece;
        self.bytes.start < end
    }
}

impl<T> Deref for Region<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` elements lie in the mapping and are initialised.
        unsafe { std::slice::from_raw_parts(self.base, self.len) }
    }
}

impl<T> DerefMut for Region<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `&mut self` makes it exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.base, self.len) }
    }
}

impl<'a, T> IntoIterator for &'a Region<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_where_they_were_pushed() {
        let mut region = Region::<u64>::new(1 << 30).unwrap();
        region.push(1);
        let first = std::ptr::from_ref(&region[0]);
        for value in 2..100_000 {
            region.push(value);
        }
        assert_eq!(first, std::ptr::from_ref(&region[0]));
        assert_eq!(region[99_998], 99_999);
        *region.push_copy(&7) += 1;
        assert_eq!(region[99_999], 8);
        region.set_len(1);
        assert_eq!(region.len(), 1);
    }

    #[test]
    fn what_is_written_while_memory_is_made_resident_stays() {
        let mut region = Region::<u64>::new(4 << 20).unwrap();
        (0..1000).for_each(|value| region.push(value));
        let mut ahead = region.ahead(3 << 20);
        let other = std::thread::spawn(move || {
            let mut pieces = 1;
            while ahead.make_resident() {
                pieces += 1;
            }
            pieces
        });
        (1000..2 << 20).for_each(|value| region.push(value));
        // 24 MiB without the page that was written to.
        assert_eq!(other.join().unwrap(), 12);
        assert!((0..2 << 20).eq(region.iter().copied()));
        assert!(!region.ahead(7).make_resident(), "there is no more to do");
    }
}
