//! The outcome of a request that is under way.

use std::pin::Pin;
use std::task::{Context, Poll};

use giro_base::ChangeEvent;
use giro_base::multi_batch::split_trailer;
use giro_base::result::CreateResult;
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::{AccountResult, TransferResult};
use crate::error::Error;

/// A result that is not there yet: [`wait`](Self::wait) blocks for it, `.await` does not.
/// Dropping it does not undo the request.
#[must_use = "the outcome is known only once waited for"]
pub struct Pending<T> {
    receiver: oneshot::Receiver<Result<T, Error>>,
}

impl<T> Pending<T> {
    pub(super) fn new(receiver: oneshot::Receiver<Result<T, Error>>) -> Self {
        Self { receiver }
    }

    /// One that has failed already.
    pub(crate) fn failed(error: Error) -> Self {
        let (answer, receiver) = oneshot::channel();
        let _ = answer.send(Err(error));
        Self { receiver }
    }

    /// Blocks until the outcome is known.
    ///
    /// # Errors
    /// [`Error::TooManyEvents`] and [`Error::Full`] when nothing was done; [`Error::Unknown`]
    /// when the ledger stopped first.
    pub fn wait(self) -> Result<T, Error> {
        self.receiver.recv().unwrap_or(Err(Error::Unknown))
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let received = Pin::new(&mut self.receiver).poll(context);
        received.map(|result| result.unwrap_or(Err(Error::Unknown)))
    }
}

pub(super) fn account_results(reply: &[u8]) -> Vec<AccountResult> {
    let result = |r: CreateResult| AccountResult {
        timestamp: r.timestamp,
        status: r.status.try_into().expect("the state machine's own status"),
    };
    rows::<CreateResult>(reply)
        .into_iter()
        .map(result)
        .collect()
}

pub(super) fn transfer_results(reply: &[u8]) -> Vec<TransferResult> {
    let result = |r: CreateResult| TransferResult {
        timestamp: r.timestamp,
        status: r.status.try_into().expect("the state machine's own status"),
    };
    rows::<CreateResult>(reply)
        .into_iter()
        .map(result)
        .collect()
}

/// The change events of a reply, which has no batches.
pub(super) fn change_events(reply: &[u8]) -> Vec<ChangeEvent> {
    let event = |bytes| ChangeEvent::read_from_bytes(bytes).expect("cut to an event's size");
    let events = reply.chunks_exact(size_of::<ChangeEvent>());
    events.map(event).collect()
}

/// The elements of a reply of one batch, copied to where they are aligned.
pub(super) fn rows<T: FromBytes + Immutable + KnownLayout>(reply: &[u8]) -> Vec<T> {
    let (elements, _) = split_trailer(reply, size_of::<T>()).expect("the engine's own reply");
    let row = |bytes| T::read_from_bytes(bytes).expect("cut to the element's size");
    elements.chunks_exact(size_of::<T>()).map(row).collect()
}
