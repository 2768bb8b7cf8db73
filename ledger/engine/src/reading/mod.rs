//! Queries over everything: what is in memory and, before it, the history on disk. They are worked
//! on in turns, between operations, so that none holds payments up.
//!
//! What a query shows is the ledger as it was when the query began: transfers only ever come
//! behind, so it is enough not to look at later ones. Accounts are shown as they are at its end.
//!
//! Generations leave memory whatever is being read: payments need the room. Where one did, the way
//! through memory begins again. As later transfers are not shown, that happens once for each
//! generation that was there as the query began, at most.

mod query;
mod turns;

use std::sync::Arc;

use giro_base::operation::Kind;
use giro_base::{Operation, Timestamp};
use giro_core::StateMachine;
use giro_store::{Catalog, Reader};

use crate::error::Error;
use crate::executor::Executor;

pub(crate) use self::query::Reading;
pub use self::turns::ReadTurn;

/// A ledger's memory and its history.
pub(crate) struct Both<'a> {
    pub(crate) machine: &'a StateMachine,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) reader: &'a mut Reader,
}

impl Both<'_> {
    /// Generations that are not in memory any more.
    pub(crate) fn generations(&self) -> u64 {
        generations_left(self.machine)
    }
}

/// Generations that left memory.
fn generations_left(machine: &StateMachine) -> u64 {
    let mut in_memory = machine.tables().window.generations();
    in_memory.next().map_or(0, |oldest| oldest.number)
}

/// Whether an operation's answer is worked out in turns here.
pub(crate) fn is_query(operation: Operation) -> bool {
    matches!(
        operation.kind(),
        Kind::GetAccountTransfers
            | Kind::GetAccountBalances
            | Kind::QueryTransfers
            | Kind::QueryAccounts
    )
}

impl Executor {
    /// Answers one filter of a query, all at once: writes rows to `out`, at most `rows_max`, and
    /// returns how many.
    ///
    /// # Errors
    /// The history's.
    pub fn query(
        &mut self,
        kind: Kind,
        filter: &[u8],
        rows_max: usize,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        self.settle();
        let mut reading = Reading::new(kind, self.until());
        reading.ask(self.machine(), filter, rows_max);
        while !reading.step(self, ReadTurn::WHOLE)? {}
        Ok(reading.write(out))
    }

    /// [`Self::query`] for an [`giro_base::filter::AccountFilter`].
    ///
    /// # Errors
    /// The history's.
    pub fn account_transfers(
        &mut self,
        filter: &[u8],
        rows_max: usize,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        self.query(Kind::GetAccountTransfers, filter, rows_max, out)
    }

    /// [`Self::query`] for an [`giro_base::filter::AccountFilter`].
    ///
    /// # Errors
    /// The history's.
    pub fn account_balances(
        &mut self,
        filter: &[u8],
        rows_max: usize,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        self.query(Kind::GetAccountBalances, filter, rows_max, out)
    }

    /// [`Self::query`] for a [`giro_base::filter::QueryFilter`].
    ///
    /// # Errors
    /// The history's.
    pub fn query_transfers(
        &mut self,
        filter: &[u8],
        rows_max: usize,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        self.query(Kind::QueryTransfers, filter, rows_max, out)
    }

    /// Timestamp of the newest transfer (ns): what a query that begins now shows.
    pub(crate) fn until(&self) -> Timestamp {
        self.machine().tables().window.timestamp_last()
    }
}
