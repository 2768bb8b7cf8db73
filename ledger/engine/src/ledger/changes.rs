//! Following the change feed.

use std::collections::VecDeque;
use std::time::Duration;

use giro_base::limits::CHANGE_EVENTS_MAX;
use giro_base::{ChangeEvent, Position};

use super::Ledger;
use crate::error::Error;

/// Shortest and longest pause before an up-to-date feed is looked at again. It grows while nothing
/// happens.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// An event, and where a reader stands who has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub event: ChangeEvent,
    /// From here a reader goes on who has dealt with it. Keep it together with what was done about
    /// the event, and nothing is missed or seen twice, whenever the reader is stopped.
    pub position: Position,
}

/// The change feed, from a position on: every transfer and every expiry, in the order they took
/// effect, each after it was durable.
///
/// As an iterator it ends where the feed does, and goes on when that has grown. [`Changes::follow`]
/// waits for more. It keeps the ledger running.
///
/// ```
/// use giro::{Ledger, Options, Position};
/// # use giro::{Account, Transfer};
/// # fn main() -> Result<(), giro::Error> {
/// let ledger = Ledger::in_memory(Options::default())?;
/// # let account = |id| Account { id, ledger: 1, code: 1, ..Account::default() };
/// # ledger.create_accounts(&[account(1), account(2)]).wait()?;
/// # let transfer = Transfer {
/// #     id: 10, debit_account_id: 1, credit_account_id: 2, amount: 5, ledger: 1, code: 1,
/// #     ..Transfer::default()
/// # };
/// # ledger.create_transfers(&[transfer]).wait()?;
/// let mut last = Position::START;
/// for change in ledger.changes(last) {
///     let change = change?;
///     assert_eq!(change.event.debit_account.debits_posted, 5);
///     last = change.position;
/// }
/// // Later, perhaps in another process: what has happened since.
/// assert!(ledger.changes(last).next().is_none());
/// # Ok(())
/// # }
/// ```
pub struct Changes {
    ledger: Ledger,
    /// Behind the last event that was fetched.
    fetched: Position,
    /// Behind the last event that was handed out.
    position: Position,
    ready: VecDeque<ChangeEvent>,
    page: u32,
}

impl Changes {
    pub(super) fn new(ledger: Ledger, position: Position) -> Self {
        Self {
            ledger,
            fetched: position,
            position,
            ready: VecDeque::new(),
            page: CHANGE_EVENTS_MAX as u32,
        }
    }

    /// Fetches at most so many events at a time; not 0.
    #[must_use]
    pub fn with_page(mut self, events: u32) -> Self {
        self.page = events.max(1);
        self
    }

    /// Behind the last event that was handed out.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next event; blocks until there is one, and looks every 1 to 100 ms.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the ledger has stopped.
    pub fn follow(&mut self) -> Result<Change, Error> {
        let mut pause = PAUSE_MIN;
        loop {
            if let Some(change) = self.next() {
                return change;
            }
            std::thread::sleep(pause);
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }

    fn fetch(&mut self) -> Result<(), Error> {
        let events = self.ledger.get_changes_after(self.fetched, self.page);
        let events = events.wait()?;
        for event in &events {
            self.fetched = self.fetched.behind(event);
        }
        self.ready.extend(events);
        Ok(())
    }
}

impl Iterator for Changes {
    type Item = Result<Change, Error>;

    fn next(&mut self) -> Option<Result<Change, Error>> {
        if self.ready.is_empty()
            && let Err(error) = self.fetch()
        {
            return Some(Err(error));
        }
        let event = self.ready.pop_front()?;
        self.position = self.position.behind(&event);
        Some(Ok(Change {
            event,
            position: self.position,
        }))
    }
}
