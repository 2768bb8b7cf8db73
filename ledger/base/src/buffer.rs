//! Message buffers: the memory a message is received into and written to the log from.
//!
//! A buffer is [`BUFFER_BYTES`] long and aligned to a sector, so that a message received at
//! offset [`RECORD_HEADER_BYTES`](crate::limits::RECORD_HEADER_BYTES) can go to disk by direct
//! I/O where it lies, behind a record header. All buffers of a pool are one mapping, which is
//! what the kernel wants registered.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use memmap2::{MmapMut, MmapOptions};

use crate::free_list::FreeList;
use crate::limits::BUFFER_BYTES;

/// A fixed number of buffers, allocated once. Clones share them.
#[derive(Clone)]
pub struct BufferPool {
    shared: Arc<Shared>,
}

struct Shared {
    memory: Memory,
    free: FreeList,
}

/// One buffer, exclusively owned; dropping it gives it back to its pool.
pub struct Buffer {
    pool: Arc<Shared>,
    index: u32,
}

struct Memory {
    /// Keeps the mapping alive; only reached through `base`.
    _map: MmapMut,
    base: *mut u8,
}

// SAFETY: the memory is only reached through `Buffer`s, and each part has at most one.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl BufferPool {
    /// A pool of `count` buffers. Memory becomes resident as buffers are first used.
    ///
    /// # Errors
    /// The system's when it has no address space for them.
    pub fn new(count: u32) -> std::io::Result<Self> {
        let bytes = BUFFER_BYTES * count as usize;
        let mut map = MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?;
        let base = map.as_mut_ptr();
        Ok(Self {
            shared: Arc::new(Shared {
                memory: Memory { _map: map, base },
                free: FreeList::full(count),
            }),
        })
    }

    /// A free buffer, or none when all are in use. Its content is whatever it last held.
    #[must_use]
    pub fn take(&self) -> Option<Buffer> {
        let index = self.shared.free.pop()?;
        Some(Buffer {
            pool: Arc::clone(&self.shared),
            index,
        })
    }

    /// Buffers not in use.
    #[must_use]
    pub fn free_count(&self) -> usize {
        self.shared.free.len()
    }

    /// Address and length of all buffers together, for registering them with the kernel.
    #[must_use]
    pub fn memory(&self) -> (*mut u8, usize) {
        (
            self.shared.memory.base,
            self.shared.free.capacity() * BUFFER_BYTES,
        )
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the index lies in the mapping, and only this buffer has it.
        unsafe { std::slice::from_raw_parts(self.start(), BUFFER_BYTES) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes it exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start(), BUFFER_BYTES) }
    }
}

impl Buffer {
    fn start(&self) -> *mut u8 {
        self.pool
            .memory
            .base
            .wrapping_add(self.index as usize * BUFFER_BYTES)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.free.push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_exclusive_and_come_back() {
        let pool = BufferPool::new(2).unwrap();
        let mut first = pool.take().unwrap();
        let second = pool.take().unwrap();
        assert!(pool.take().is_none());
        assert!(first.as_ptr().addr().is_multiple_of(4096));
        first.fill(7);
        assert_eq!(second[0], 0);
        drop(first);
        assert_eq!(pool.take().unwrap()[BUFFER_BYTES - 1], 7);
    }
}
