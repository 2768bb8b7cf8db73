//! Looking up transfers and branches by their ids, in turns, between operations.
//!
//! The answer is as of the moment the lookup began. All ids are looked up in memory then, at
//! once. What memory does not have can only be in the files that the history has at that moment,
//! which never change: so these are held, and asked some ids at a time. What is created, burned or
//! settled meanwhile is in neither, and what leaves memory meanwhile was found there. Asking the
//! ledger as it is at each turn instead could show what came later without what came before it.

mod branches;
mod ids;

use std::sync::Arc;

use giro_base::operation::Kind;
use giro_base::{Operation, Transfer};
use giro_core::branches::Known;
use giro_store::{Catalog, StoreError};
use zerocopy::IntoBytes;

use self::branches::OfBranches;
use self::ids::Ids;
use crate::error::Error;
use crate::executor::Executor;
use crate::past::Past;
use crate::queue::Next;
use crate::reading::ReadTurn;

/// Whether an operation's answer is looked up here. Accounts are all in memory.
pub(crate) fn is_lookup(operation: Operation) -> bool {
    matches!(
        operation.kind(),
        Kind::LookupTransfers | Kind::LookupBranches
    )
}

impl Executor {
    /// Works on a lookup, if it is this one's turn. True when it is complete, for
    /// [`lookup`](Self::lookup).
    pub(crate) fn prepare_lookup(
        &mut self,
        key: u128,
        kind: Kind,
        events: &[u8],
    ) -> Result<bool, Error> {
        let mut lookup = match self.lookups.ask(key) {
            Next::Wait => return Ok(false),
            Next::Done => return Ok(true),
            Next::GoOn(lookup) => lookup,
            Next::Begin => self.begin_lookup(kind, events),
        };
        let turn = self.read_turn;
        let is_done = lookup.step(self.past(), turn)?;
        self.lookups.put(key, lookup, is_done);
        Ok(is_done)
    }

    /// A complete lookup: that which was prepared, or all of it now.
    pub(crate) fn lookup(&mut self, key: u128, kind: Kind, events: &[u8]) -> Result<Lookup, Error> {
        if let Some(lookup) = self.lookups.take(key) {
            return Ok(lookup);
        }
        let mut lookup = self.begin_lookup(kind, events);
        while !lookup.step(self.past(), ReadTurn::WHOLE)? {}
        Ok(lookup)
    }

    fn begin_lookup(&mut self, kind: Kind, events: &[u8]) -> Lookup {
        self.settle();
        let catalog = self.catalog();
        let has_past = catalog.is_some();
        let machine = self.machine();
        let asked = if kind == Kind::LookupBranches {
            Asked::Branches(OfBranches::new(machine, has_past, events))
        } else {
            let ids = events.as_chunks::<16>().0.iter();
            let ids = ids.map(|id| u128::from_le_bytes(*id));
            Asked::Transfers(Ids::of_all(machine, has_past, ids))
        };
        Lookup { catalog, asked }
    }
}

/// A request whose ids are looked up.
pub(crate) struct Lookup {
    /// The history as it was when the lookup began; none where all is in memory.
    catalog: Option<Arc<Catalog>>,
    asked: Asked,
}

enum Asked {
    Transfers(Ids),
    Branches(OfBranches),
}

impl Lookup {
    /// Goes on, as much as the turn allows. True when all is known.
    fn step(&mut self, past: Option<&mut Past>, mut turn: ReadTurn) -> Result<bool, StoreError> {
        let Some((past, catalog)) = past.zip(self.catalog.as_ref()) else {
            return Ok(true);
        };
        match &mut self.asked {
            Asked::Transfers(ids) => ids.step(past, catalog, &mut turn),
            Asked::Branches(branches) => branches.step(past, catalog, &mut turn),
        }
    }

    /// Writes the transfers of some of the ids, which stand together, to `out`, one behind the
    /// other; returns how many there are.
    pub(crate) fn write_transfers(&self, ids: std::ops::Range<usize>, out: &mut [u8]) -> usize {
        let Asked::Transfers(all) = &self.asked else {
            unreachable!("transfers were asked for");
        };
        let found = all.known[ids].iter().filter_map(|known| match known {
            Known::Transfer(transfer) => Some(transfer),
            Known::Nothing | Known::Burned => None,
        });
        let rows = out.chunks_exact_mut(size_of::<Transfer>()).zip(found);
        rows.map(|(row, found)| row.copy_from_slice(found.as_bytes()))
            .count()
    }

    /// Writes what there is to say of each branch to `out`; returns how many bytes.
    pub(crate) fn write_branches(&self, out: &mut [u8]) -> usize {
        let Asked::Branches(branches) = &self.asked else {
            unreachable!("branches were asked for");
        };
        branches.write(out)
    }
}
