//! What the port needs from a ledger. The engine implements it; tests have a simple one.

use std::io;

use giro_base::multi_batch::Body;
use giro_base::{Buffer, Operation, Timestamp};
use giro_log::uring::Ring;
use giro_wire::EvictionReason;

/// What a request says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestMeta {
    /// Who asks.
    pub client: u128,
    /// In which session; 0 in a register.
    pub session: u64,
    /// Which request of the session; 0 in a register.
    pub request: u32,
    /// The request's header checksum, by which a resend is known.
    pub request_checksum: u128,
    /// The body's checksum, already verified.
    pub checksum_body: u128,
    /// What is asked.
    pub operation: Operation,
    /// The client's release.
    pub release: u32,
}

/// What the rules of sessions say about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is new.
    Accept,
    /// It was executed: its recorded reply is the answer.
    Resend,
    /// It has no answer.
    Drop(DropReason),
    /// Its session is over.
    Evict(EvictReason),
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// A request of the session is being worked on, perhaps this one.
    InProgress,
    /// The session has answered later requests.
    Old,
    /// Another request with this number was answered.
    Different,
    /// The session's number lies in the future.
    SessionFromFuture,
    /// All sessions are taken and busy.
    Full,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictReason {
    /// There is none, or none any more.
    NoSession,
    /// The client has a newer one.
    SessionTooLow,
    /// It belongs to another release.
    ReleaseMismatch,
}

impl From<EvictReason> for EvictionReason {
    fn from(reason: EvictReason) -> Self {
        match reason {
            EvictReason::NoSession => Self::NoSession,
            EvictReason::SessionTooLow => Self::SessionTooLow,
            EvictReason::ReleaseMismatch => Self::SessionReleaseMismatch,
        }
    }
}

/// The outcome of a request, whose body lies in the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// Who asked.
    pub client: u128,
    /// Which request.
    pub request: u32,
    /// Its header checksum.
    pub request_checksum: u128,
    /// What was asked.
    pub operation: Operation,
    /// The client's release.
    pub release: u32,
    /// The op it became.
    pub op: u64,
    /// When (ns).
    pub timestamp: Timestamp,
    /// The results.
    pub body: &'a [u8],
}

/// A ledger that is driven by the port's thread. No method waits.
pub trait Ledger {
    /// What ends the process when it happens.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Whether it implements the operation.
    fn supports(&self, operation: Operation) -> bool;

    /// The rules of sessions, for a request that is valid by itself. A request of a client whose
    /// last one is still being worked on is to be dropped.
    fn check(&self, meta: &RequestMeta) -> Verdict;

    /// The recorded reply of a client's last write; none when it has no session.
    fn last_reply(&self, client: u128) -> Option<Reply<'_>>;

    /// Whether there is room for a write with a body of this many bytes.
    fn can_submit(&self, body_bytes: usize) -> bool;

    /// The same for a write that brings its buffer.
    fn can_submit_in_place(&self) -> bool;

    /// Takes a write whose body lies at `buffer[512..512 + body_bytes]` and goes to disk from
    /// there. Only after `check` accepted it and `can_submit_in_place` said yes.
    fn submit_in_place(
        &mut self,
        now: Timestamp,
        meta: &RequestMeta,
        body_bytes: usize,
        buffer: Buffer,
    );

    /// Takes a write whose body is copied, after `check` and `can_submit`.
    fn submit_copy(&mut self, now: Timestamp, meta: &RequestMeta, body: &[u8]);

    /// Answers a read from the state as executed; returns the bytes written to `out`, which has
    /// room for the largest reply.
    fn read(&mut self, operation: Operation, body: &Body<'_>, out: &mut [u8]) -> usize;

    /// A session's client is there, though it only reads.
    fn touch(&mut self, client: u128);

    /// The last op executed.
    fn commit_op(&self) -> u64;

    /// The timestamp of the state that reads see (ns).
    fn read_timestamp(&self) -> Timestamp;

    /// Starts the writes of what was taken, as operations of `ring` with owner
    /// [`giro_log::uring::OWNER_DISK`].
    ///
    /// # Errors
    /// Those that must end the process.
    fn flush(&mut self, ring: &mut Ring) -> Result<(), Self::Error>;

    /// Does what can be done before the writes are durable; called when the kernel has them.
    fn resolve_ahead(&mut self);

    /// A disk operation ended: the token's value and the result.
    ///
    /// # Errors
    /// Those that must end the process: nobody knows what a failed write left on disk.
    fn on_write(&mut self, value: u64, result: io::Result<usize>) -> Result<(), Self::Error>;

    /// Whether something durable waits to be executed.
    fn is_ready(&self) -> bool;

    /// Executes some of what is durable, handing out each reply; true when more is ready.
    fn execute(&mut self, reply: &mut dyn FnMut(Reply<'_>)) -> bool;

    /// Lets time pass: expiry of pending transfers.
    fn tick(&mut self, now: Timestamp);

    /// Whether all that was taken has been executed.
    fn is_idle(&self) -> bool;
}
