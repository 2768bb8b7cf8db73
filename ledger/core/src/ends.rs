//! How pending transfers of earlier generations ended.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use giro_base::hash::fold;

use crate::phase::Phase;

/// Phases by row. There may be one for each pending transfer that expires or is closed.
#[derive(Default)]
pub(crate) struct Ends(HashMap<u64, Phase, BuildHasherDefault<RowHasher>>);

impl Ends {
    /// Takes note of an end.
    pub(crate) fn insert(&mut self, row: u64, phase: Phase) {
        self.0.insert(row, phase);
    }

    /// How the pending transfer in this row ended, if it is noted here.
    pub(crate) fn get(&self, row: u64) -> Option<Phase> {
        self.0.get(&row).copied()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes room for so many.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.0.reserve(count.saturating_sub(self.0.len()));
    }

    /// Forgets all, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Nobody chooses a row's number, so it needs no defence.
#[derive(Default)]
struct RowHasher(u64);

impl Hasher for RowHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, row: u64) {
        self.0 = fold(self.0 ^ row, 0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
