//! Memory for the last reply of each session, at an address that never changes.

use giro_base::limits::{CREATE_REPLY_BYTES_MAX, SECTOR_BYTES};
use memmap2::{MmapMut, MmapOptions};

/// A fixed piece of memory for each session; it becomes resident as far as replies fill it.
pub(super) struct Replies {
    memory: MmapMut,
    slots_max: u32,
}

/// Whole pages, so that a session that never had a large reply costs one.
const SLOT_BYTES: usize = CREATE_REPLY_BYTES_MAX.next_multiple_of(SECTOR_BYTES);

impl Replies {
    pub(super) fn new(slots_max: u32) -> std::io::Result<Self> {
        let bytes = slots_max as usize * SLOT_BYTES;
        let memory = MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?;
        Ok(Self { memory, slots_max })
    }

    pub(super) fn slots_max(&self) -> u32 {
        self.slots_max
    }

    pub(super) fn slot(&self, slot: u32) -> &[u8] {
        &self.memory[slot as usize * SLOT_BYTES..][..SLOT_BYTES]
    }

    pub(super) fn slot_mut(&mut self, slot: u32) -> &mut [u8] {
        &mut self.memory[slot as usize * SLOT_BYTES..][..SLOT_BYTES]
    }
}
