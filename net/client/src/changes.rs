//! Following the change feed.

use std::collections::VecDeque;
use std::time::Duration;

use giro_base::limits::CHANGE_EVENTS_MAX;
use giro_base::{ChangeEvent, Position};
use tokio::time::sleep;

use crate::client::Client;
use crate::error::{CallError, Refusal};

/// Shortest and longest pause before an up-to-date feed is looked at again. It grows while nothing
/// happens.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// How often a busy server is asked again. It takes half a second to say so.
const BUSY_MAX: u32 = 20;

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
/// ```no_run
/// # async fn example(client: giro_client::Client) -> Result<(), giro_client::CallError> {
/// use giro_client::Position;
///
/// let mut changes = client.changes(Position::START);
/// loop {
///     let change = changes.follow().await?;
///     println!("{} {}", change.position, change.event.transfer_id);
/// }
/// # }
/// ```
pub struct Changes {
    client: Client,
    /// Behind the last event that was fetched.
    fetched: Position,
    /// Behind the last event that was handed out.
    position: Position,
    ready: VecDeque<ChangeEvent>,
    page: u32,
}

impl Changes {
    pub(crate) fn new(client: Client, position: Position) -> Self {
        Self {
            client,
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

    /// Whether the next event is here already, and needs no call.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next event; none when there is none yet. There may be one later.
    ///
    /// Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`CallError::Refused`]. It may be called again.
    pub async fn next(&mut self) -> Result<Option<Change>, CallError> {
        if self.ready.is_empty() {
            let events = self.fetch().await?;
            for event in &events {
                self.fetched = self.fetched.behind(event);
            }
            self.ready.extend(events);
        }
        Ok(self.ready.pop_front().map(|event| {
            self.position = self.position.behind(&event);
            Change {
                event,
                position: self.position,
            }
        }))
    }

    /// The next event; waits for it, with pauses of 1 to 100 ms while there is none.
    ///
    /// Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn follow(&mut self) -> Result<Change, CallError> {
        let mut pause = PAUSE_MIN;
        loop {
            if let Some(change) = self.next().await? {
                return Ok(change);
            }
            sleep(pause).await;
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }

    /// The next page. A server that must find the way to a reader's place first may say that it is
    /// busy; it goes on from there when it is asked again.
    async fn fetch(&self) -> Result<Vec<ChangeEvent>, CallError> {
        let mut left = BUSY_MAX;
        loop {
            let page = self.client.get_changes_after(self.fetched, self.page);
            match page.await {
                Err(CallError::Refused(Refusal::Busy(_))) if left > 0 => left -= 1,
                page => return page,
            }
            sleep(PAUSE_MIN).await;
        }
    }
}
