//! Deadlines of connections, looked at every now and then.

use std::time::Duration;

use crate::connection::{Connection, Connections, Place, Stage};
use crate::options::Options;

/// Between two looks.
pub(crate) const SWEEP_INTERVAL_NS: u64 = 100_000_000;

/// The deadlines, in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Deadlines {
    receive_ns: u64,
    send_ns: u64,
    greeting_ns: u64,
}

/// The deadline a connection missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// A message that began is not complete.
    Receive,
    /// What was sent has not been taken.
    Send,
    /// No valid message ever came.
    Greeting,
}

impl Deadlines {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            receive_ns: nanoseconds(options.receive_deadline),
            send_ns: nanoseconds(options.send_deadline),
            greeting_ns: nanoseconds(options.greeting_deadline),
        }
    }

    /// The connections that missed one.
    pub(crate) fn missed(&self, connections: &Connections, now: u64) -> Vec<(Place, Missed)> {
        let missed = |(place, connection)| Some((place, self.of(connection, now)?));
        connections.iter().filter_map(missed).collect()
    }

    fn of(&self, connection: &Connection, now: u64) -> Option<Missed> {
        if connection.stage == Stage::Closing {
            return None;
        }
        let late = |since: u64, deadline: u64| now.saturating_sub(since) > deadline;
        if connection.send_in_flight && late(connection.send_began, self.send_ns) {
            return Some(Missed::Send);
        }
        let began = connection.message_began;
        if began.is_some_and(|began| late(began, self.receive_ns)) {
            return Some(Missed::Receive);
        }
        let silent = !connection.has_greeted && late(connection.opened, self.greeting_ns);
        silent.then_some(Missed::Greeting)
    }
}

/// A duration in nanoseconds; one beyond five centuries is for ever.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
