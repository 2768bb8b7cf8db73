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

/// What resolve found for each event.
pub struct Found {
    events: Box<[FoundEvent]>,
    /// Some place is [`ASK`].
    asked: AtomicBool,
}

/// What resolve found for an event: what decide needs together lies together. [`NONE`] where there
/// is nothing.
#[repr(align(32))]
pub struct FoundEvent {
    /// Hash of the event's id.
    pub hash: Hash,
    /// Place of the object that has the event's id: an account's slot, or what
    /// [`Stored`](crate::place::Stored) says.
    pub existing: Place,
    /// The nearest earlier event of this operation with the same id.
    pub earlier: Place,
    /// Slot of the debit account.
    pub debit: Place,
    /// Slot of the credit account.
    pub credit: Place,
    /// Place of the transfer that `pending_id` names. For an imported account: anything but
    /// [`NONE`] says that a transfer of the history has its timestamp.
    pub pending: Place,
    /// The nearest earlier event of this operation whose id is `pending_id`.
    pub pending_earlier: Place,
}

impl Found {
    /// What was found for event `i`.
    #[inline(always)]
    #[must_use]
    pub fn at(&self, i: usize) -> &FoundEvent {
        &self.events[i]
    }

    /// What was found for the first `count` events.
    #[must_use]
    pub fn of(&self, count: usize) -> &[FoundEvent] {
        &self.events[..count]
    }

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
    /// Some event asked for a pending transfer with a timeout.
    pub has_timeouts: bool,
}

/// A place that one shard sets.
pub struct Place(AtomicU32);

/// A hash that one shard sets.
pub struct Hash(AtomicU64);

impl Place {
    /// The place.
    #[inline(always)]
    #[must_use]
    pub fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Sets it.
    #[inline(always)]
    pub fn set(&self, value: u32) {
        self.0.store(value, Relaxed);
    }
}

impl Hash {
    /// The hash.
    #[inline(always)]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Sets it.
    #[inline(always)]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

impl Default for FoundEvent {
    fn default() -> Self {
        let nothing = || Place(AtomicU32::new(NONE));
        Self {
            hash: Hash(AtomicU64::new(0)),
            existing: nothing(),
            earlier: nothing(),
            debit: nothing(),
            credit: nothing(),
            pending: nothing(),
            pending_earlier: nothing(),
        }
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
                events: (0..EVENTS_MAX_UNBATCHED)
                    .map(|_| FoundEvent::default())
                    .collect(),
                asked: AtomicBool::new(false),
            },
            decided: Decided {
                place: vec![NONE; EVENTS_MAX_UNBATCHED],
                results: vec![empty; EVENTS_MAX_UNBATCHED],
                effect: vec![0; EVENTS_MAX_UNBATCHED],
                branches: vec![BranchResult::default(); BRANCHES_MAX],
                has_timeouts: false,
            },
            past: Vec::new(),
        }
    }
}
