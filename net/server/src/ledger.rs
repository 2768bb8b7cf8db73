//! What the port needs from a ledger. The engine implements it (`engine`); tests have a simple
//! one that can be told to be slow or full.

use std::io;
use std::time::Duration;

use giro::{Reply, RequestMeta, Verdict};
use giro_base::multi_batch::Body;
use giro_base::{Buffer, Operation, Timestamp};
use giro_log::uring::{Completion, Ring};
use giro_node::GateStatus;

/// Whether requests are taken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are.
    Serving,
    /// Not now; this node is about to lead, or hands its role over.
    Busy,
    /// Another node takes them. The view may say which.
    Elsewhere,
}

/// Whether what the state says may be told to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It may.
    Now,
    /// It is not known yet whether the state is the newest; ask again.
    Later,
    /// Another node has to say.
    Elsewhere,
}

/// A ledger that is driven by the port's thread. No method waits.
pub trait Ledger {
    /// What ends the process when it happens.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Called once with the ring that later disk operations go to.
    ///
    /// # Errors
    /// The ring's.
    fn prepare(&mut self, ring: &mut Ring) -> io::Result<()>;

    /// Whether requests are taken. A ledger that is alone always takes them.
    fn standing(&self) -> Standing {
        Standing::Serving
    }

    /// Whether no other node could have taken over.
    fn is_alone(&self) -> bool {
        true
    }

    /// The view that answers carry: it leads clients to the node that takes their requests, and
    /// never falls. Any constant works for a ledger that is alone.
    fn view(&self) -> u32 {
        1
    }

    /// Whether the state may be told to the request with this key: another node may have taken
    /// over unnoticed, or the state has what is not durable yet.
    fn may_tell(&mut self, _key: u128) -> Told {
        Told::Now
    }

    /// What [`Self::may_tell`] allowed was told.
    fn told(&mut self, _key: u128) {}

    /// Lets time pass, every turn, for what has deadlines shorter than a [`tick`](Self::tick)'s.
    /// `now` is the port's clock (ns).
    ///
    /// # Errors
    /// Those that must end the process.
    fn begin_turn(&mut self, _now: u64) -> Result<(), Self::Error> {
        Ok(())
    }

    /// How long a turn may wait, where that is less than the port would.
    fn wait_max(&self) -> Option<Duration> {
        None
    }

    /// An operation of [`giro_log::uring::OWNER_PEER`] ended.
    ///
    /// # Errors
    /// Those that must end the process.
    fn on_peer(
        &mut self,
        _ring: &mut Ring,
        _value: u64,
        _completion: Completion,
    ) -> Result<(), Self::Error> {
        unreachable!("only a ledger with peers starts operations for them");
    }

    /// Whether it has ended by itself, and is to be opened again: the server returns.
    fn is_over(&self) -> bool {
        false
    }

    /// The process is asked to end: what others could do instead is handed to them.
    fn begin_stop(&mut self) {}

    /// Whether it implements the operation.
    fn supports(&self, operation: Operation) -> bool;

    /// The rules of sessions, for a request that is valid by itself. A request of a client whose
    /// last one is still being worked on is to be dropped.
    fn check(&self, meta: &RequestMeta) -> Verdict;

    /// The recorded reply of a client's last write; none when it has no session.
    fn last_reply(&self, client: u128) -> Option<Reply<'_>>;

    /// Whether that reply may be sent again now: it may be one that has not left at all yet, and
    /// will leave by itself.
    fn may_resend(&mut self, _client: u128) -> bool {
        true
    }

    /// The gate that replies to writes wait for, if there is one.
    fn gate(&self) -> Option<GateStatus> {
        None
    }

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
    fn decide_ahead(&mut self) -> Result<(), Self::Error>;

    /// Whether that is enough work to hand the writes to the kernel for.
    fn can_decide_ahead(&self) -> bool;

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
