//! The working memory of one operation: what resolve found, and what decide fixed.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use giro_base::branch::BranchResult;
use giro_base::limits::{BRANCHES_MAX, EVENTS_MAX_UNBATCHED};
use giro_base::result::CreateResult;

use crate::archive::Past;
use crate::place::{ASK, NONE};

/// Arrays with one element an event, allocated once and used again for each operation.
///
/// Shards write what they find through shared references, each to the events whose keys it owns;
/// the hand-over between phases orders those writes, so relaxed atomics (plain moves) are enough.
pub struct Scratch {
    /// Found by resolve.
    pub found: Found,
    /// Fixed by decide.
    pub decided: Decided,
    /// Transfers of the history on disk that events name.
    pub past: Vec<Past>,
}

/// What resolve found for each event. [`NONE`] where there is nothing.
pub struct Found {
    /// Hash of the event's id.
    pub hash: Column64,
    /// Place of the object that has the event's id: an account's slot, or what
    /// [`Stored`](crate::place::Stored) says.
    pub existing: Column,
    /// The nearest earlier event of this operation with the same id.
    pub earlier: Column,
    /// Slot of the debit account.
    pub debit: Column,
    /// Slot of the credit account.
    pub credit: Column,
    /// Place of the transfer that `pending_id` names. For an imported account: anything but
    /// [`NONE`] says that a transfer of the history has its timestamp.
    pub pending: Column,
    /// The nearest earlier event of this operation whose id is `pending_id`.
    pub pending_earlier: Column,
    /// Some place is [`ASK`].
    asked: AtomicBool,
}

impl Found {
    /// The place that has the history asked.
    #[inline(always)]
    pub(crate) fn ask(&self) -> u32 {
        self.asked.store(true, Relaxed);
        ASK
    }

    /// Whether the history has to be asked before the operation can be decided.
    #[must_use]
    pub fn has_asked(&self) -> bool {
        self.asked.load(Relaxed)
    }

    /// All that was asked has its answer.
    pub(crate) fn set_answered(&self) {
        self.asked.store(false, Relaxed);
    }
}

/// What decide fixed for each event.
pub struct Decided {
    /// Place of the object the event made (slot, row or burned id), or [`NONE`].
    pub place: Vec<u32>,
    /// The answer.
    pub results: Vec<CreateResult>,
    /// See [`crate::digest::effect`]; only of events that made an object.
    pub effect: Vec<u64>,
    /// The answer to each branch.
    pub branches: Vec<BranchResult>,
}

/// One 32-bit number an event.
pub struct Column(Box<[AtomicU32]>);

/// One 64-bit number an event.
pub struct Column64(Box<[AtomicU64]>);

impl Column {
    fn new() -> Self {
        Self(
            (0..EVENTS_MAX_UNBATCHED)
                .map(|_| AtomicU32::new(NONE))
                .collect(),
        )
    }

    /// The number of event `i`.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, i: usize) -> u32 {
        self.0[i].load(Relaxed)
    }

    /// Sets the number of event `i`.
    #[inline(always)]
    pub fn set(&self, i: usize, value: u32) {
        self.0[i].store(value, Relaxed);
    }
}

impl Column64 {
    fn new() -> Self {
        Self(
            (0..EVENTS_MAX_UNBATCHED)
                .map(|_| AtomicU64::new(0))
                .collect(),
        )
    }

    /// The number of event `i`.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, i: usize) -> u64 {
        self.0[i].load(Relaxed)
    }

    /// Sets the number of event `i`.
    #[inline(always)]
    pub fn set(&self, i: usize, value: u64) {
        self.0[i].store(value, Relaxed);
    }
}

impl Default for Scratch {
    fn default() -> Self {
        let empty = CreateResult {
            timestamp: 0,
            status: 0,
            reserved: 0,
        };
        Self {
            found: Found {
                hash: Column64::new(),
                existing: Column::new(),
                earlier: Column::new(),
                debit: Column::new(),
                credit: Column::new(),
                pending: Column::new(),
                pending_earlier: Column::new(),
                asked: AtomicBool::new(false),
            },
            decided: Decided {
                place: vec![NONE; EVENTS_MAX_UNBATCHED],
                results: vec![empty; EVENTS_MAX_UNBATCHED],
                effect: vec![0; EVENTS_MAX_UNBATCHED],
                branches: vec![BranchResult::default(); BRANCHES_MAX],
            },
            past: Vec::new(),
        }
    }
}
