//! Where the log's writes go: the hot path, asynchronous.

mod memory;
mod uring;

use std::io;

use giro_base::Buffer;

use crate::segment::SegmentFile;

pub use memory::MemoryDisk;
pub use uring::UringDisk;

/// Slots a disk needs for segments. More than writes in flight, so that a slot gets another file
/// only when nothing is in flight to the one before.
pub const SLOT_COUNT: u32 = 16;

/// A write of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// The slot its segment was attached to.
    pub slot: u32,
    /// Where in the segment, a multiple of a sector.
    pub offset: u64,
    /// How much, from the start of the buffer, a multiple of a sector.
    pub bytes: usize,
    /// The record; [`Log::on_write`](crate::Log::on_write) wants it back.
    pub index: u64,
}

/// Takes the log's writes.
pub trait Disk {
    /// Makes the segment reachable under the slot, replacing what was there.
    ///
    /// # Errors
    /// The system's.
    fn attach(&mut self, slot: u32, segment: &SegmentFile) -> io::Result<()>;

    /// Starts a durable write. Its end is reported to [`Log::on_write`](crate::Log::on_write) by
    /// whoever drives the disk; until then the buffer must stay alive and unchanged.
    fn start_write(&mut self, write: Write, buffer: &Buffer);
}
