//! From changes in the order they took effect to an answer in the order asked for.

use giro_base::{Position, Timestamp};

use super::Change;
use super::query::{ChangesQuery, Order};

/// Why a [`Source`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// As many as wanted were found.
    Full,
    /// It has done what a turn may do; there may be more.
    Paused,
    /// There are no more.
    End,
}

/// Where changes come from, in the order they took effect.
pub trait Source {
    /// Why it can fail.
    type Error;

    /// Appends the next changes the reader lacks to `found`, until that has `found_max`, or the
    /// turn is over.
    ///
    /// # Errors
    /// The source's.
    fn step(&mut self, found_max: usize, found: &mut Vec<Change>) -> Result<Step, Self::Error>;

    /// Timestamp of the next transfer it would come to (ns), wanted or not.
    ///
    /// # Errors
    /// The source's.
    fn next_transfer_at(&mut self) -> Result<Option<Timestamp>, Self::Error>;
}

/// An answer.
pub struct Gathered {
    /// The changes, in the order asked for.
    pub changes: Vec<Change>,
    /// Everything before the place where the source stands now is at this position or before; and
    /// all of it that was wanted is in the answer. None if the source has gone further.
    pub reached: Option<Position>,
}

/// An answer on its way.
pub struct Gathering {
    query: ChangesQuery,
    changes: Vec<Change>,
    reached: Position,
    /// A change beyond the last timestamp wanted was seen. All later expiries are beyond it, too.
    is_beyond: bool,
    /// So was a transfer: nothing wanted can come any more.
    is_over: bool,
    /// All changes passed are in the answer.
    is_exact: bool,
}

impl Gathering {
    /// The beginning of an answer.
    #[must_use]
    pub fn new(query: ChangesQuery) -> Self {
        Self {
            query,
            changes: Vec::new(),
            reached: query.after,
            is_beyond: false,
            is_over: false,
            is_exact: true,
        }
    }

    /// What is asked for.
    #[must_use]
    pub fn query(&self) -> &ChangesQuery {
        &self.query
    }

    /// Takes from `source`, which finds what is behind the query's position and stands where it
    /// was left, what the query wants. Whether the answer is complete. Until it is taken it can go
    /// on: what is complete because there was no more is longer when there is.
    ///
    /// By effect an answer is complete with one change, too, when the source's turn is over: the
    /// way to the next one may be long, and only an empty answer says that there are no more. By
    /// time it has as many as there are, up to the limit: what may come later belongs between.
    ///
    /// # Errors
    /// The source's.
    pub fn go_on<S: Source>(&mut self, source: &mut S) -> Result<bool, S::Error> {
        match self.query.order {
            Order::Effect => self.by_effect(source),
            Order::Time => self.by_time(source),
        }
    }

    /// The answer.
    #[must_use]
    pub fn finish(mut self) -> Gathered {
        if self.query.order == Order::Time {
            self.arrange();
        }
        Gathered {
            changes: self.changes,
            reached: self.is_exact.then_some(self.reached),
        }
    }

    fn by_effect<S: Source>(&mut self, source: &mut S) -> Result<bool, S::Error> {
        let limit = self.query.limit;
        let mut step = Step::Full;
        while self.changes.len() < limit && step == Step::Full {
            let before = self.changes.len();
            step = source.step(limit, &mut self.changes)?;
            for change in &self.changes[before..] {
                note(&mut self.reached, change);
            }
        }
        Ok(step != Step::Paused || !self.changes.is_empty())
    }

    /// Transfers rise, and so do expiries, which are later than all that took effect before them.
    /// So what is earlier than the next transfer is in its place for good.
    fn by_time<S: Source>(&mut self, source: &mut S) -> Result<bool, S::Error> {
        let limit = self.query.limit;
        let mut found = Vec::new();
        let mut step = Step::Full;
        loop {
            if self.is_final(source)? || step == Step::End {
                return Ok(true);
            }
            if step == Step::Paused {
                return Ok(false);
            }
            let missing = limit - self.changes.len();
            step = source.step(if missing > 0 { missing } else { limit }, &mut found)?;
            self.take(&mut found);
        }
    }

    /// Whether nothing that comes later can belong to the answer.
    fn is_final<S: Source>(&mut self, source: &mut S) -> Result<bool, S::Error> {
        if self.is_over {
            return Ok(true);
        }
        self.arrange();
        let last = self.changes.get(self.query.limit - 1);
        let last = last.map(|last| last.timestamp);
        if last.is_none() && !self.is_beyond {
            return Ok(false);
        }
        let next = source.next_transfer_at()?;
        let is_behind = |timestamp| next.is_none_or(|next| next > timestamp);
        Ok(last.is_some_and(is_behind) || (self.is_beyond && is_behind(self.query.until)))
    }

    /// Keeps what is wanted.
    fn take(&mut self, found: &mut Vec<Change>) {
        for change in found.drain(..) {
            note(&mut self.reached, &change);
            if change.timestamp <= self.query.until {
                self.changes.push(change);
            } else {
                self.is_beyond = true;
                self.is_exact = false;
                self.is_over |= change.is_transfer();
            }
        }
    }

    fn arrange(&mut self) {
        self.changes.sort_by_key(|change| change.timestamp);
        if self.changes.len() > self.query.limit {
            self.changes.truncate(self.query.limit);
            self.is_exact = false;
        }
    }
}

fn note(reached: &mut Position, change: &Change) {
    if change.is_transfer() {
        reached.transfers = change.timestamp;
    } else {
        reached.expiries = change.timestamp;
    }
}
