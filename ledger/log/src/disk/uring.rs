//! The disk on a thread's ring.

use std::io;

use giro_base::Buffer;

use super::{Disk, SLOT_COUNT, Write};
use crate::segment::SegmentFile;
use crate::uring::{OWNER_DISK, Ring, Target, Token};

/// The log's view of a ring. Made anew whenever the log is called; it holds nothing.
///
/// The ring's file table must have [`SLOT_COUNT`] slots from `slot_base` on, see
/// [`Ring::register_files_sparse`].
pub struct UringDisk<'a> {
    ring: &'a mut Ring,
    slot_base: u32,
}

impl<'a> UringDisk<'a> {
    /// A disk on `ring`, with the ring's file slots `slot_base..slot_base + SLOT_COUNT`.
    ///
    /// # Safety
    /// Every buffer that is given to [`Disk::start_write`] stays alive and unchanged until that
    /// write's completion has been taken from the ring, or the ring was dropped.
    pub unsafe fn new(ring: &'a mut Ring, slot_base: u32) -> Self {
        Self { ring, slot_base }
    }

    /// The record whose write a completion ends. Its token's owner is [`OWNER_DISK`].
    #[must_use]
    pub fn index_of(token: u64) -> u64 {
        let token = Token(token);
        assert_eq!(token.owner(), OWNER_DISK, "only disk writes carry an index");
        token.value()
    }
}

impl Disk for UringDisk<'_> {
    fn attach(&mut self, slot: u32, segment: &SegmentFile) -> io::Result<()> {
        assert!(slot < SLOT_COUNT, "the log uses its own slots");
        let file = segment.file.as_ref().and_then(|file| file.fd());
        let fd = file.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        self.ring.update_file(self.slot_base + slot, Some(fd))
    }

    fn start_write(&mut self, write: Write, buffer: &Buffer) {
        let bytes = u32::try_from(write.bytes).expect("a record is smaller than its buffer");
        assert!(write.bytes <= buffer.len(), "the record lies in its buffer");
        let file = Target::Slot(self.slot_base + write.slot);
        let token = Token::new(OWNER_DISK, write.index).0;
        let memory = (buffer.as_ptr(), bytes);
        // SAFETY: the bytes lie in the buffer, and `new`'s caller keeps that until the completion.
        unsafe { self.ring.write_at(file, memory, write.offset, token) };
    }
}
