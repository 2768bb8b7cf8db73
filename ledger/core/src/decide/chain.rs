//! Linked events: all of a chain take effect, or none.

use giro_base::{Timestamp, time};

/// Where the walk through a batch stands with regard to chains.
#[derive(Clone, Copy, Default)]
pub(super) struct Chain {
    /// First event of the open chain.
    start: Option<usize>,
    broken: bool,
}

/// What the rules about chains and imports say of an event before it is looked at itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Go on.
    Open,
    /// The batch ended inside the chain.
    ChainOpen,
    /// An earlier event of the chain failed.
    ChainFailed,
    /// The batch imports, this event does not.
    ImportedExpected,
    /// This event imports, the batch does not.
    ImportedNotExpected,
    /// An imported timestamp outside the valid range.
    ImportedOutOfRange,
    /// An imported timestamp that is not in the past.
    ImportedMustNotAdvance,
    /// A timestamp that was not asked for.
    TimestampMustBeZero,
}

/// What [`Chain::enter`] needs to know of an event.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) i: usize,
    pub(super) linked: bool,
    pub(super) last: bool,
    pub(super) imported: bool,
    pub(super) imported_batch: bool,
    pub(super) timestamp: Timestamp,
    pub(super) batch_timestamp: Timestamp,
}

impl Chain {
    /// The checks that come before an event's own, in their order.
    #[inline(always)]
    pub(super) fn enter(&mut self, event: Entry) -> Gate {
        if event.linked {
            self.start.get_or_insert(event.i);
            if event.last {
                return Gate::ChainOpen;
            }
        }
        if self.broken {
            return Gate::ChainFailed;
        }
        if event.imported != event.imported_batch {
            return if event.imported {
                Gate::ImportedNotExpected
            } else {
                Gate::ImportedExpected
            };
        }
        if !event.imported {
            return if event.timestamp == 0 {
                Gate::Open
            } else {
                Gate::TimestampMustBeZero
            };
        }
        if !time::is_valid(event.timestamp) {
            return Gate::ImportedOutOfRange;
        }
        if event.timestamp >= event.batch_timestamp {
            return Gate::ImportedMustNotAdvance;
        }
        Gate::Open
    }

    /// Takes note of an event's failure; the first of a chain gives the event the chain began
    /// with, from which on everything must be taken back.
    #[inline(always)]
    pub(super) fn fail(&mut self) -> Option<usize> {
        if self.broken {
            return None;
        }
        self.broken = self.start.is_some();
        self.start
    }

    /// Ends the chain behind an event that is not linked, or that left it open.
    #[inline(always)]
    pub(super) fn leave(&mut self, linked: bool, gate: Gate) {
        if !linked || gate == Gate::ChainOpen {
            *self = Self::default();
        }
    }
}
