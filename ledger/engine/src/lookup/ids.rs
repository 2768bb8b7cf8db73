//! What ids stand for, as of one moment: from memory at once, from the history some at a time.

use giro_core::StateMachine;
use giro_core::branches::Known;
use giro_store::{Catalog, StoreError};

use crate::past::Past;
use crate::reading::ReadTurn;

/// Ids that the history is asked for together: enough to keep the disk's queue full, and few
/// enough that a disk which takes 0.1 ms for a page is done with them in a millisecond.
const IDS_AT_ONCE: usize = 256;

/// Ids, and what is known of them.
#[derive(Default)]
pub(super) struct Ids {
    /// Of each id, in order.
    pub(super) known: Vec<Known>,
    /// Those that memory does not have, with their places.
    missing: Vec<(usize, u128)>,
    /// How many of these the history was asked for.
    asked: usize,
}

impl Ids {
    /// Ids that may be in memory or, where there is one, the history.
    pub(super) fn of_all(
        machine: &StateMachine,
        has_past: bool,
        ids: impl Iterator<Item = u128>,
    ) -> Self {
        let mut of_all = Self::default();
        for (place, id) in ids.enumerate() {
            let known = machine.known(id);
            of_all.known.push(known);
            if has_past && known == Known::Nothing {
                of_all.missing.push((place, id));
            }
        }
        of_all
    }

    /// Ids that memory does not have.
    pub(super) fn of_past(ids: impl Iterator<Item = u128>) -> Self {
        let missing: Vec<(usize, u128)> = ids.enumerate().collect();
        Self {
            known: vec![Known::Nothing; missing.len()],
            missing,
            asked: 0,
        }
    }

    /// Goes on, as much as the turn allows. True when all are answered.
    pub(super) fn step(
        &mut self,
        past: &mut Past,
        catalog: &Catalog,
        turn: &mut ReadTurn,
    ) -> Result<bool, StoreError> {
        loop {
            let left = &self.missing[self.asked..];
            if left.is_empty() {
                return Ok(true);
            }
            if turn.pages == 0 || turn.rows == 0 {
                return Ok(false);
            }
            let left = &left[..left.len().min(IDS_AT_ONCE).min(turn.rows)];
            let ids: Vec<u128> = left.iter().map(|(_, id)| *id).collect();
            let before = past.history().reader().pages_read();
            let known = past.known(catalog, &ids)?;
            let read = past.history().reader().pages_read() - before;
            turn.pages = turn.pages.saturating_sub(read as usize);
            turn.rows -= ids.len();
            for ((place, _), known) in left.iter().zip(known) {
                self.known[*place] = known;
            }
            self.asked += ids.len();
        }
    }
}
