//! Memory that files are made in, one after the other: fresh memory costs the system more than
//! most of what is done in it.

use std::sync::{Arc, Mutex, PoisonError};

use giro_base::Region;
use zerocopy::{FromBytes, IntoBytes};

use crate::format::Entry;
use crate::output::Chunks;
use crate::segment::indexes::Indexes;
use crate::sort::{clear, nothing};

/// What making one file at a time takes.
pub struct Scratch {
    /// A segment's indexes.
    pub indexes: Indexes,
    /// A run's entries.
    pub(crate) entries: EntryMemory,
    /// Pages before they are written.
    pub(crate) chunks: Chunks,
}

/// Room for entries, and as much again to sort them.
pub(crate) struct EntryMemory {
    words: Region<u64>,
    spare: Region<u64>,
}

/// Scratch memory of threads that take turns.
#[derive(Clone, Default)]
pub struct ScratchPool(Arc<Mutex<Vec<Scratch>>>);

impl Default for Scratch {
    fn default() -> Self {
        Self {
            indexes: Indexes::default(),
            entries: EntryMemory {
                words: nothing(),
                spare: nothing(),
            },
            chunks: Chunks::default(),
        }
    }
}

impl ScratchPool {
    /// Lends scratch memory.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let pool = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lent = pool().pop();
        let mut scratch = lent.unwrap_or_default();
        let made = work(&mut scratch);
        pool().push(scratch);
        made
    }
}

impl EntryMemory {
    /// Memory for `count` entries, and as much again. What is in it is of no meaning.
    pub(crate) fn room(&mut self, count: usize) -> (&mut [Entry], &mut [Entry]) {
        (
            entries(&mut self.words, count),
            entries(&mut self.spare, count),
        )
    }
}

fn entries(words: &mut Region<u64>, count: usize) -> &mut [Entry] {
    let count = 2 * count;
    clear(words, count);
    words.set_len(count);
    <[Entry]>::mut_from_bytes(words.as_mut_bytes()).expect("an entry is two words")
}
