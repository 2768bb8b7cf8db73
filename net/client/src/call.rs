//! One call of the user, from the handle to the driver and back.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use giro_base::Operation;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::CallError;

/// A call on its way.
pub(crate) struct Call {
    pub(crate) operation: Operation,
    /// Whole events, without a trailer; or an archive of branches.
    pub(crate) events: Vec<u8>,
    /// Most rows of its answer.
    pub(crate) rows_max: usize,
    /// Legs of its branches, as many as they can have; 0 if it is about something else.
    pub(crate) legs: usize,
    pub(crate) deadline: Instant,
    pub(crate) stage: Arc<Stage>,
    pub(crate) answer: oneshot::Sender<Result<Rows, CallError>>,
    /// Its place in the queue; given by the queue.
    pub(crate) order: u64,
}

/// A call's part of a reply's body.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) body: Arc<Vec<u8>>,
    pub(crate) range: Range<usize>,
}

impl Call {
    pub(crate) fn event_count(&self) -> usize {
        self.events.len() / self.operation.event_bytes()
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    pub(crate) fn finish(self, result: Result<Rows, CallError>) {
        // Who no longer waits was told by its own clock, or does not want to know.
        let _ = self.answer.send(result);
    }
}

impl Rows {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.body[self.range.clone()]
    }
}

/// Whether a call has been sent. The driver and the caller's clock race for it: a call whose
/// caller gave up first is never sent.
#[derive(Debug, Default)]
pub(crate) struct Stage(AtomicU8);

const WAITING: u8 = 0;
const SENT: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Stage {
    /// Before it is sent; false when the caller gave up.
    pub(crate) fn send(&self) -> bool {
        self.change(WAITING, SENT)
    }

    /// The server did not take what was sent; it may be sent again.
    pub(crate) fn take_back(&self) {
        self.change(SENT, WAITING);
    }

    /// The caller's deadline passed; false when it was sent.
    pub(crate) fn give_up(&self) -> bool {
        self.change(WAITING, GIVEN_UP)
    }

    fn change(&self, from: u8, to: u8) -> bool {
        // Sequential consistency costs nothing here and needs no argument.
        self.0
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) type Answer = oneshot::Receiver<Result<Rows, CallError>>;

    /// A call with this many events, all bytes `fill`.
    pub(crate) fn call(operation: Operation, events: usize, fill: u8) -> (Call, Answer) {
        let (answer, receiver) = oneshot::channel();
        let call = Call {
            operation,
            events: vec![fill; events * operation.event_bytes()],
            rows_max: events,
            legs: 0,
            deadline: Instant::now() + std::time::Duration::from_secs(1),
            stage: Arc::default(),
            answer,
            order: 0,
        };
        (call, receiver)
    }

    #[test]
    fn a_call_is_sent_or_given_up_never_both() {
        let stage = Stage::default();
        assert!(stage.send());
        assert!(!stage.give_up());
        stage.take_back();
        assert!(stage.give_up());
        assert!(!stage.send());
    }
}
