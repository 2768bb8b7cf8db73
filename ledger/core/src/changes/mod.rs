//! The change feed: every transfer and every expiry, with both accounts right after it.
//!
//! Changes have two orders. They *take effect* in the order of the log, and balances add up from
//! one to the next in that order. The order of their *timestamps* is the same but for imported
//! transfers, which may bear an earlier timestamp than an expiry before them.
//!
//! Balances after a change are kept nowhere. A cursor works them out, so that who reads on does
//! well to keep it: [`ChangeCursor`] for generations in memory, and one for segments in the
//! history. A [`Gathering`] makes an answer of what they find.

mod cursor;
mod event;
mod gather;
mod query;

pub use cursor::{ChangeCursor, WholeCursor};
pub use event::event_of;
pub use gather::{Gathered, Gathering, Source, Step};
pub use query::{ChangesQuery, Order};

use giro_base::{Position, Timestamp, Transfer};
use zerocopy::IntoBytes;

use crate::machine::StateMachine;
use crate::replay::AccountState;
use crate::tables::Tables;

/// One change of two accounts. Pairs are the debit account's, then the credit account's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it took effect (ns); of an imported transfer, what the user said.
    pub timestamp: Timestamp,
    /// What it was.
    pub what: What,
    /// The accounts' slots.
    pub slots: [u32; 2],
    /// The accounts after it.
    pub after: [AccountState; 2],
}

/// What a change was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A transfer.
    Transfer {
        /// Its row.
        row: u64,
        /// The transfer.
        transfer: Transfer,
    },
    /// A pending transfer's end by time.
    Expiry {
        /// Row of the pending transfer, perhaps long gone from memory.
        pending_row: u64,
        /// Its id.
        pending_id: u128,
        /// What it had reserved.
        amount: u128,
    },
}

impl Change {
    /// Whether it is a transfer, not an expiry.
    #[must_use]
    pub fn is_transfer(&self) -> bool {
        matches!(self.what, What::Transfer { .. })
    }

    /// Whether a reader who has everything up to `position` lacks it.
    #[must_use]
    pub fn is_after(&self, position: Position) -> bool {
        let reached = if self.is_transfer() {
            position.transfers
        } else {
            position.expiries
        };
        self.timestamp > reached
    }
}

impl StateMachine {
    /// Writes the change events in memory that a query selects to `out`, and returns how many.
    /// For a ledger that is wholly in memory.
    pub fn change_events(&self, query: &ChangesQuery, out: &mut [u8]) -> usize {
        let tables = self.tables();
        let mut source = Memory {
            tables,
            after: query.after,
            cursor: ChangeCursor::at(tables, query.after),
        };
        let mut gathering = Gathering::new(*query);
        loop {
            let Ok(is_complete) = gathering.go_on(&mut source);
            if is_complete {
                break;
            }
        }
        let gathered = gathering.finish();
        let rows = out.chunks_exact_mut(size_of::<giro_base::ChangeEvent>());
        for (out, change) in rows.zip(&gathered.changes) {
            let pending = match change.what {
                What::Transfer { .. } => None,
                What::Expiry { pending_row, .. } => Some(tables.transfer(pending_row)),
            };
            out.copy_from_slice(event_of(change, &tables.accounts, pending).as_bytes());
        }
        gathered.changes.len()
    }
}

struct Memory<'a> {
    tables: &'a Tables,
    after: Position,
    cursor: ChangeCursor,
}

impl Source for Memory<'_> {
    type Error = std::convert::Infallible;

    fn step(&mut self, found_max: usize, found: &mut Vec<Change>) -> Result<Step, Self::Error> {
        let mut all = usize::MAX;
        let (tables, after) = (self.tables, self.after);
        Ok(self.cursor.step(tables, after, found_max, &mut all, found))
    }

    fn next_transfer_at(&mut self) -> Result<Option<Timestamp>, Self::Error> {
        Ok(self.cursor.next_transfer_at(self.tables))
    }
}
