//! From changes in the order they took effect to an answer in the order asked for.

use giro_base::{Position, Timestamp};

use super::Change;
use super::query::{ChangesQuery, Order};

/// Where changes come from, in the order they took effect.
pub trait Source {
    /// Why it can fail.
    type Error;

    /// Appends the next changes the reader lacks to `found`, until that has `found_max`. False
    /// when there are no more.
    ///
    /// # Errors
    /// The source's.
    fn step(&mut self, found_max: usize, found: &mut Vec<Change>) -> Result<bool, Self::Error>;

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

/// Takes from `source`, which finds what is behind `query.after`, what the query wants.
///
/// # Errors
/// The source's.
pub fn gather<S: Source>(query: &ChangesQuery, source: &mut S) -> Result<Gathered, S::Error> {
    let mut gathering = Gathering {
        query,
        changes: Vec::new(),
        reached: query.after,
        is_beyond: false,
        is_exact: true,
    };
    match query.order {
        Order::Effect => gathering.by_effect(source)?,
        Order::Time => gathering.by_time(source)?,
    }
    let Gathering {
        changes,
        reached,
        is_exact,
        ..
    } = gathering;
    Ok(Gathered {
        changes,
        reached: is_exact.then_some(reached),
    })
}

struct Gathering<'a> {
    query: &'a ChangesQuery,
    changes: Vec<Change>,
    reached: Position,
    /// A change beyond the last timestamp wanted was seen. All later expiries are beyond it, too.
    is_beyond: bool,
    /// All changes passed are in the answer.
    is_exact: bool,
}

impl Gathering<'_> {
    fn by_effect<S: Source>(&mut self, source: &mut S) -> Result<(), S::Error> {
        while self.changes.len() < self.query.limit
            && source.step(self.query.limit, &mut self.changes)?
        {}
        for change in &self.changes {
            note(&mut self.reached, change);
        }
        Ok(())
    }

    /// Transfers rise, and so do expiries, which are later than all that took effect before them.
    /// So what is earlier than the next transfer is in its place for good.
    fn by_time<S: Source>(&mut self, source: &mut S) -> Result<(), S::Error> {
        let limit = self.query.limit;
        let mut found = Vec::new();
        loop {
            let missing = limit - self.changes.len();
            let more = source.step(if missing > 0 { missing } else { limit }, &mut found)?;
            let is_over = self.take(&mut found);
            if !more || is_over {
                break;
            }
            let next = source.next_transfer_at()?;
            if self.is_beyond && next.is_none_or(|next| next > self.query.until) {
                break;
            }
            self.arrange();
            let last = self.changes.get(limit - 1);
            if last.is_some_and(|last| next.is_none_or(|next| next > last.timestamp)) {
                break;
            }
        }
        self.arrange();
        Ok(())
    }

    /// Keeps what is wanted; whether nothing wanted can come any more.
    fn take(&mut self, found: &mut Vec<Change>) -> bool {
        let mut is_over = false;
        for change in found.drain(..) {
            note(&mut self.reached, &change);
            if change.timestamp <= self.query.until {
                self.changes.push(change);
            } else {
                self.is_beyond = true;
                self.is_exact = false;
                is_over |= change.is_transfer();
            }
        }
        is_over
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
