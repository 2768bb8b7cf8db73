//! The texts of open branches, in slots of three sizes.

use giro_base::Region;
use giro_base::limits::BRANCHES_OPEN_MAX;

/// Where the texts of a branch lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which size.
    pub(super) class: u8,
    pub(super) slot: u32,
}

/// Memory for texts. Only address space until it is used; what was used stays.
pub(super) struct Texts {
    small: Slots<64>,
    medium: Slots<128>,
    large: Slots<256>,
}

/// Slots of one size.
struct Slots<const BYTES: usize> {
    memory: Region<[u8; BYTES]>,
    free: Vec<u32>,
}

impl<const BYTES: usize> Slots<BYTES> {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            memory: Region::new(BRANCHES_OPEN_MAX)?,
            free: Vec::new(),
        })
    }

    fn insert(&mut self, first: &[u8], second: &[u8]) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.memory.push([0; BYTES]);
            self.memory.len() as u32 - 1
        });
        let bytes = &mut self.memory[slot as usize];
        bytes[..first.len()].copy_from_slice(first);
        bytes[first.len()..first.len() + second.len()].copy_from_slice(second);
        slot
    }
}

impl Texts {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            small: Slots::new()?,
            medium: Slots::new()?,
            large: Slots::new()?,
        })
    }

    /// Keeps two texts, of at most 128 bytes each.
    pub(super) fn insert(&mut self, first: &[u8], second: &[u8]) -> Place {
        let (class, slot) = match first.len() + second.len() {
            0..=64 => (0, self.small.insert(first, second)),
            65..=128 => (1, self.medium.insert(first, second)),
            _ => (2, self.large.insert(first, second)),
        };
        Place { class, slot }
    }

    /// Both texts, one behind the other, and whatever is behind them.
    pub(super) fn get(&self, place: Place) -> &[u8] {
        let slot = place.slot as usize;
        match place.class {
            0 => &self.small.memory[slot],
            1 => &self.medium.memory[slot],
            _ => &self.large.memory[slot],
        }
    }

    /// Gives the slot back.
    pub(super) fn remove(&mut self, place: Place) {
        let free = match place.class {
            0 => &mut self.small.free,
            1 => &mut self.medium.free,
            _ => &mut self.large.free,
        };
        free.push(place.slot);
    }
}
