//! What the port needs from a ledger. The engine implements it (`engine`); tests have a simple
//! one that can be told to be slow or full.

use std::io;

use giro::{Reply, RequestMeta, Verdict};
use giro_base::multi_batch::Body;
use giro_base::{Buffer, Operation, Timestamp};
use giro_log::uring::Ring;

/// A ledger that is driven by the port's thread. No method waits.
pub trait Ledger {
    /// What ends the process when it happens.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Called once with the ring that later disk operations go to.
    ///
    /// # Errors
    /// The ring's.
    fn prepare(&mut self, ring: &mut Ring) -> io::Result<()>;

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

    /// Does some of the work that a read needs beforehand; false when there is more, and it is to
    /// be asked again soon. `key` tells the request from others.
    ///
    /// # Errors
    /// Those that must end the process.
    fn prepare_read(
        &mut self,
        _key: u128,
        _operation: Operation,
        _body: &Body<'_>,
    ) -> Result<bool, Self::Error> {
        Ok(true)
    }

    /// Answers a read from the state as executed; returns the bytes written to `out`, which has
    /// room for the largest reply.
    ///
    /// # Errors
    /// Those that must end the process.
    fn read(
        &mut self,
        key: u128,
        operation: Operation,
        body: &Body<'_>,
        out: &mut [u8],
    ) -> Result<usize, Self::Error>;

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
    ///
    /// # Errors
    /// Those that must end the process.
    fn resolve_ahead(&mut self) -> Result<(), Self::Error>;

    /// Whether that is enough work to hand the writes to the kernel for.
    fn can_resolve_ahead(&self) -> bool;

    /// A disk operation ended: the token's value and the result.
    ///
    /// # Errors
    /// Those that must end the process: nobody knows what a failed write left on disk.
    fn on_write(&mut self, value: u64, result: io::Result<usize>) -> Result<(), Self::Error>;

    /// Whether what was taken waits for something that no completion will announce.
    fn is_stalled(&self) -> bool;

    /// Whether something durable waits to be executed.
    fn is_ready(&self) -> bool;

    /// Executes some of what is durable, handing out each reply; true when more is ready.
    ///
    /// # Errors
    /// Those that must end the process.
    fn execute(&mut self, reply: &mut dyn FnMut(Reply<'_>)) -> Result<bool, Self::Error>;

    /// Whether executing left something to do behind its replies.
    fn is_settled(&self) -> bool;

    /// Does it.
    fn settle(&mut self);

    /// Lets time pass: expiry of pending transfers.
    fn tick(&mut self, now: Timestamp);

    /// Whether all that was taken has been executed.
    fn is_idle(&self) -> bool;
}
