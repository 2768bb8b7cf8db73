//! Memory that files are made in, one after the other: fresh memory costs the system more than
//! most of what is done in it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::buckets::Buckets;
use crate::format::Entry;
use crate::output::Chunks;
use crate::segment::indexes::Indexes;

/// What making one file at a time takes.
#[derive(Default)]
pub struct Scratch {
    /// A segment's indexes.
    pub indexes: Indexes,
    /// A run's entries.
    pub(crate) entries: Buckets<Entry>,
    /// Pages before they are written.
    pub(crate) chunks: Chunks,
}

/// Scratch memory of threads that take turns.
#[derive(Clone, Default)]
pub struct ScratchPool(Arc<Mutex<Vec<Scratch>>>);

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
