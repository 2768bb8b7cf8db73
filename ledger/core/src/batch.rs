//! A create operation's events with everything execution needs to know about them.

use giro_base::branch::Branches;
use giro_base::multi_batch::{Body, BodyError};
use giro_base::operation;
use giro_base::{Account, Operation, Timestamp, Transfer};
use thiserror::Error;
use zerocopy::FromBytes;

use crate::branches::Expanded;

/// One create operation, ready to be executed.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// Which form of create it is.
    pub operation: Operation,
    /// The operation's timestamp: that of its last event (ns).
    pub timestamp: Timestamp,
    /// The events.
    pub events: Events<'a>,
    /// How the events divide into batches.
    pub body: Body<'a>,
}

/// The events of a create operation.
#[derive(Clone, Copy)]
pub enum Events<'a> {
    /// Of `create_accounts`.
    Accounts(&'a [Account]),
    /// Of `create_transfers`.
    Transfers(&'a [Transfer]),
    /// Of `try_branches`, `confirm_branches` and `cancel_branches`.
    Branches(Branches<'a>, &'a Expanded),
}

impl<'a> Events<'a> {
    /// The transfers, or the legs of the branches; none where the events are accounts.
    #[must_use]
    pub fn transfers(&self) -> &'a [Transfer] {
        match *self {
            Self::Accounts(_) => &[],
            Self::Transfers(transfers) => transfers,
            Self::Branches(_, expanded) => expanded.events(),
        }
    }
}

/// What an operation's ids are ids of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Accounts.
    Accounts,
    /// Transfers.
    Transfers,
}

/// All that is needed to add an operation's ids to the indexes once it is decided: its events may
/// be gone by then.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    pub(crate) kind: Kind,
    pub(crate) events: usize,
}

impl Made {
    /// Number of events in all batches.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events
    }
}

/// Why a body cannot be executed.
#[derive(Clone, Copy, Debug, Error)]
pub enum BatchError {
    /// The body is not valid for the operation.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Only create operations are batches.
    #[error("{0} is not a create operation")]
    NotCreate(Operation),
    /// Events are read in place and must lie at a multiple of 16 bytes.
    #[error("events are not aligned to 16 bytes")]
    Misaligned,
}

impl<'a> Batch<'a> {
    /// Reads a create operation's body.
    ///
    /// # Errors
    /// When the body is not valid for the operation, or not aligned to 16 bytes.
    pub fn parse(
        operation: Operation,
        timestamp: Timestamp,
        body: &'a [u8],
    ) -> Result<Self, BatchError> {
        let body = Body::parse(operation, body)?;
        let events = match operation.kind() {
            operation::Kind::CreateAccounts => <[Account]>::ref_from_bytes(body.events)
                .map(Events::Accounts)
                .ok(),
            operation::Kind::CreateTransfers => <[Transfer]>::ref_from_bytes(body.events)
                .map(Events::Transfers)
                .ok(),
            _ => return Err(BatchError::NotCreate(operation)),
        };
        let events = events.ok_or(BatchError::Misaligned)?;
        Ok(Self {
            operation,
            timestamp,
            events,
            body,
        })
    }

    /// An operation on branches, whose body was read and [expanded](crate::StateMachine::expand).
    #[must_use]
    pub fn of_branches(
        operation: Operation,
        timestamp: Timestamp,
        body: &'a [u8],
        (branches, expanded): (Branches<'a>, &'a Expanded),
    ) -> Self {
        Self {
            operation,
            timestamp,
            events: Events::Branches(branches, expanded),
            body: Body::whole(body),
        }
    }

    /// Number of events in all batches. The events of branches are their legs.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.events {
            Events::Accounts(events) => events.len(),
            Events::Transfers(events) => events.len(),
            Events::Branches(_, expanded) => expanded.events().len(),
        }
    }

    /// What there is to apply once it is decided.
    #[must_use]
    pub fn made(&self) -> Made {
        let kind = match self.events {
            Events::Accounts(_) => Kind::Accounts,
            Events::Transfers(_) | Events::Branches(..) => Kind::Transfers,
        };
        Made {
            kind,
            events: self.len(),
        }
    }

    /// Whether it has no events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Timestamp of event `i` (ns).
    #[inline(always)]
    #[must_use]
    pub fn event_timestamp(&self, i: usize) -> Timestamp {
        self.timestamp - self.len() as u64 + i as u64 + 1
    }
}
