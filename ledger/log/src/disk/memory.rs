//! A disk that keeps nothing and is done at once.

use std::collections::VecDeque;
use std::io;

use giro_base::Buffer;

use super::{Disk, Write};
use crate::log::IN_FLIGHT_MAX;
use crate::segment::SegmentFile;

/// For ledgers in memory, which lose everything when the process ends: a write is done as soon as
/// it starts.
#[derive(Debug)]
pub struct MemoryDisk {
    done: VecDeque<Write>,
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self {
            done: VecDeque::with_capacity(IN_FLIGHT_MAX),
        }
    }
}

impl MemoryDisk {
    /// The next write that is done: give `index` and `Ok(bytes)` to the log.
    pub fn next_done(&mut self) -> Option<Write> {
        self.done.pop_front()
    }
}

impl Disk for MemoryDisk {
    fn attach(&mut self, _: u32, _: &SegmentFile) -> io::Result<()> {
        Ok(())
    }

    fn start_write(&mut self, write: Write, _: &Buffer) {
        self.done.push_back(write);
    }
}
