//! Whose turn it is: several requests are worked on at a time, a bounded step each turn in all.

use giro_base::multi_batch::Body;
use giro_base::{Operation, Timestamp};

use super::Reading;
use crate::error::Error;
use crate::executor::Executor;

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

/// Requests being worked on at a time. Others wait.
const READINGS_MAX: usize = 16;
/// Turns without being asked for after which a request is given up: its client is gone.
const UNASKED_MAX: u32 = 1000;

/// The requests being worked on.
#[derive(Default)]
pub(crate) struct Readings {
    /// That which had its turn longest ago first.
    waiting: Vec<Waiting>,
    turn: ReadTurn,
    /// One of them had this turn.
    is_used: bool,
}

struct Waiting {
    reading: Reading,
    unasked: u32,
    is_done: bool,
}

impl Readings {
    /// A new turn begins.
    pub(crate) fn begin_turn(&mut self) {
        self.is_used = false;
        for waiting in &mut self.waiting {
            waiting.unasked += 1;
        }
        self.waiting
            .retain(|waiting| waiting.unasked <= UNASKED_MAX);
    }

    /// The answer to a request, if it is complete.
    pub(crate) fn take(&mut self, key: u128) -> Option<Reading> {
        let is_it = |waiting: &Waiting| waiting.reading.key == key && waiting.is_done;
        let place = self.waiting.iter().position(is_it)?;
        Some(self.waiting.remove(place).reading)
    }

    fn find(&mut self, key: u128) -> Option<&mut Waiting> {
        let mut waiting = self.waiting.iter_mut();
        waiting.find(|waiting| waiting.reading.key == key)
    }
}

impl Executor {
    /// Makes turns of queries shorter or longer.
    pub fn set_read_turn(&mut self, turn: ReadTurn) {
        self.readings.turn = turn;
        self.lookups.set_turn(turn);
    }

    /// Works on the answer to a query, if it is this one's turn. True when it is complete, for
    /// [`Readings::take`].
    pub(crate) fn prepare_query(
        &mut self,
        key: u128,
        operation: Operation,
        body: &Body<'_>,
    ) -> Result<bool, Error> {
        let readings = &mut self.readings;
        let Some(waiting) = readings.find(key) else {
            if readings.waiting.len() == READINGS_MAX {
                return Ok(false);
            }
            self.settle();
            let reading = self.reading_of(key, operation, body, self.until());
            // Most are done at once, and need not wait for those that are not.
            return self.work_on(Waiting {
                reading,
                unasked: 0,
                is_done: false,
            });
        };
        waiting.unasked = 0;
        if waiting.is_done {
            return Ok(true);
        }
        let mut undone = readings.waiting.iter();
        let next = undone.position(|waiting| !waiting.is_done);
        let next = next.expect("this one is not done");
        if readings.is_used || readings.waiting[next].reading.key != key {
            return Ok(false);
        }
        readings.is_used = true;
        let waiting = readings.waiting.remove(next);
        self.work_on(waiting)
    }

    /// Gives a request its turn, and puts it behind the others.
    fn work_on(&mut self, mut waiting: Waiting) -> Result<bool, Error> {
        let turn = self.readings.turn;
        waiting.is_done = waiting.reading.step(self, turn)?;
        let is_done = waiting.is_done;
        self.readings.waiting.push(waiting);
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
        let mut reading = self.reading_of(key, operation, body, self.until());
        while !reading.step(self, ReadTurn::WHOLE)? {}
        Ok(reading)
    }

    /// A request with all its filters.
    fn reading_of(
        &self,
        key: u128,
        operation: Operation,
        body: &Body<'_>,
        until: Timestamp,
    ) -> Reading {
        let mut reading = Reading::new(key, operation.kind(), until);
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
