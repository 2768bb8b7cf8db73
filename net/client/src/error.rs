//! The ways a call can end that are not an answer.

use std::io;
use std::time::Duration;

use giro_base::branch::BranchBodyError;
use giro_wire::{AddressError, EvictionReason, RefusalReason};
use thiserror::Error;

/// A call without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// Nothing happened, and nothing of this call will happen.
    #[error("refused, nothing happened: {0}")]
    Refused(Refusal),
    /// The call was sent, and whether it happened is not known. Sending the same ids again is
    /// safe and tells; so does [`crate::Client::resolve`].
    #[error("unknown, it may have happened: {0}")]
    Unknown(Uncertainty),
}

/// Why nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// More events than one call takes.
    #[error("{events} events in one call; at most {events_max}")]
    TooLarge {
        /// Events of the call.
        events: usize,
        /// Most events of a call.
        events_max: usize,
    },
    /// A branch that no server takes.
    #[error("{0}")]
    Branches(BranchBodyError),
    /// The deadline passed before the call could be sent, or a read was not answered by then.
    #[error("its deadline passed")]
    Deadline,
    /// The server had no room for it in time. Later there may be.
    #[error("the server is busy ({0})")]
    Busy(RefusalReason),
    /// The server does not accept the client, or not this operation.
    #[error("the server ended the session: {0}")]
    Evicted(EvictionReason),
    /// The client's runtime was shut down.
    #[error("the client was closed")]
    Closed,
}

/// Why nobody knows whether it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Uncertainty {
    /// No answer came by the deadline.
    #[error("no answer by the deadline")]
    Deadline,
    /// The server forgot the session while the answer was on its way.
    #[error("the server ended the session: {0}")]
    SessionLost(EvictionReason),
    /// The answer makes no sense to this client.
    #[error("the answer cannot be read by this client")]
    Answer,
    /// The client's runtime was shut down.
    #[error("the client was closed")]
    Closed,
}

/// Why a client did not get a session.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// An address is not one.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The server does not accept the client.
    #[error("the server refused the session: {0}")]
    Evicted(EvictionReason),
    /// No session by the deadline.
    #[error("no session within {waited:?}: {}", why(.last))]
    Deadline {
        /// The deadline.
        waited: Duration,
        /// What the last attempt to connect failed of; none when there was a connection, but no
        /// answer on it.
        last: Option<io::Error>,
    },
}

fn why(last: &Option<io::Error>) -> String {
    match last {
        Some(error) => error.to_string(),
        None => "the server does not answer, or has no session free".into(),
    }
}

impl CallError {
    /// Whether it may have happened.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}
