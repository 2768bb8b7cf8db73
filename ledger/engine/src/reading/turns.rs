//! Queries in turns.

use giro_base::multi_batch::Body;
use giro_base::{Operation, Timestamp};

use super::Reading;
use crate::error::Error;
use crate::executor::Executor;
use crate::queue::Next;

/// How much of a query is done before payments have their turn.
#[derive(Clone, Copy, Debug)]
pub struct ReadTurn {
    /// Pages of the history.
    pub pages: usize,
    /// Rows or accounts in memory. A filter that is begun counts as some.
    pub rows: usize,
}

impl ReadTurn {
    /// As good as all at once.
    pub(crate) const WHOLE: Self = Self {
        pages: 1 << 20,
        rows: usize::MAX,
    };
}

impl Default for ReadTurn {
    /// Half a millisecond or so.
    fn default() -> Self {
        Self {
            pages: 64,
            rows: 8192,
        }
    }
}

impl Executor {
    /// Makes turns of queries and lookups shorter or longer.
    pub fn set_read_turn(&mut self, turn: ReadTurn) {
        self.read_turn = turn;
    }

    /// Works on the answer to a query, if it is this one's turn. True when it is complete, for
    /// [`reading`](Self::reading).
    pub(crate) fn prepare_query(
        &mut self,
        key: u128,
        operation: Operation,
        body: &Body<'_>,
    ) -> Result<bool, Error> {
        let mut reading = match self.readings.ask(key) {
            Next::Wait => return Ok(false),
            Next::Done => return Ok(true),
            Next::GoOn(reading) => reading,
            Next::Begin => {
                self.settle();
                self.reading_of(operation, body, self.until())
            }
        };
        let is_done = reading.step(self, self.read_turn)?;
        self.readings.put(key, reading, is_done);
        Ok(is_done)
    }

    /// The complete answer to a query: that which was prepared, or all of it now.
    pub(crate) fn reading(
        &mut self,
        key: u128,
        operation: Operation,
        body: &Body<'_>,
    ) -> Result<Reading, Error> {
        if let Some(reading) = self.readings.take(key) {
            return Ok(reading);
        }
        self.settle();
        let mut reading = self.reading_of(operation, body, self.until());
        while !reading.step(self, ReadTurn::WHOLE)? {}
        Ok(reading)
    }

    /// A request with all its filters.
    fn reading_of(&self, operation: Operation, body: &Body<'_>, until: Timestamp) -> Reading {
        let mut reading = Reading::new(operation.kind(), until);
        let (bytes, limit) = (operation.event_bytes(), operation.events_max());
        let mut events = body.events;
        for batch in body.batches() {
            let (filter, rest) = events.split_at(batch * bytes);
            events = rest;
            reading.ask(self.machine(), filter, limit);
        }
        reading
    }
}
