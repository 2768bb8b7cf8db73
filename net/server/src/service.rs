//! What happens with each message of a client.

use giro::{DropReason, EvictReason, Reply, RequestMeta, Verdict};
use giro_base::limits::MESSAGE_BYTES_MAX;
use giro_base::multi_batch::Body;
use giro_base::{Buffer, Operation, Timestamp};
use giro_wire::{EvictionReason, PingHeader, RefusalReason, Release, RequestHeader};
use zerocopy::IntoBytes;

use crate::admission::admit;
use crate::connection::Place;
use crate::counters::count;
use crate::desk::Desk;
use crate::ledger::Ledger;
use crate::receive::{BODY_AT, MESSAGE_AT, Received, Receiver, SMALL_BYTES};
use crate::send::Sender;

/// Bodies from here on are written to the log where they lie, in a record of their own; copying
/// a smaller one into a group costs less than a write.
const IN_PLACE_BYTES_MIN: usize = 64 << 10;
/// Replies to reads up to this size are copied, and the buffer is used again.
const COPIED_BODY_BYTES_MAX: usize = 4096;

/// The ledger and the desk in front of it.
pub(crate) struct Service<L> {
    pub(crate) ledger: L,
    pub(crate) desk: Desk,
    /// Where reads write their results.
    scratch: Option<Buffer>,
}

/// Whether a message is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    /// It is; [`Receiver::consume`] was called.
    Done,
    /// The ledger has no room for it now; ask again with the same message.
    Hold,
    /// There is no buffer for its reply now; ask again. Writes need not wait behind it.
    HoldRead,
}

/// The circumstances of a message.
#[derive(Clone, Copy)]
pub(crate) struct Circumstance {
    /// The connection it came on.
    pub(crate) place: Place,
    /// Wall clock (ns).
    pub(crate) now: Timestamp,
    /// Others wait for room, and it is not this one's turn.
    pub(crate) others_wait: bool,
}

impl<L: Ledger> Service<L> {
    pub(crate) fn new(ledger: L, desk: Desk) -> Self {
        Self {
            ledger,
            desk,
            scratch: None,
        }
    }

    /// Handles the receiver's message.
    pub(crate) fn handle(
        &mut self,
        at: Circumstance,
        receiver: &mut Receiver,
        sender: &mut Sender,
    ) -> Handled {
        let handled = match receiver.message() {
            Received::Ping(ping) => {
                self.ping(ping, sender);
                Outcome::Done
            }
            Received::Request(header, body) => self.request(at, header, body, sender),
        };
        match handled {
            Outcome::Done => drop(receiver.consume()),
            Outcome::Hold => return Handled::Hold,
            Outcome::HoldRead => return Handled::HoldRead,
            Outcome::Submit(meta) => self.submit(at.now, &meta, receiver),
        }
        Handled::Done
    }

    fn ping(&mut self, ping: &PingHeader, sender: &mut Sender) {
        if ping.refusals != 0 {
            sender.take_refusals();
        }
        let client = ping.client.get();
        let session = ping.session.get();
        let was_known = session != 0 && session <= self.ledger.commit_op();
        let reason = if was_known && self.ledger.last_reply(client).is_none() {
            EvictionReason::NoSession
        } else if ping.frame.release() < Release::CLIENT_MIN {
            EvictionReason::ClientReleaseTooLow
        } else {
            return self.desk.pong(ping, sender);
        };
        self.desk.evict(client, 0, reason, sender);
    }

    fn request(
        &mut self,
        at: Circumstance,
        header: &RequestHeader,
        body: &[u8],
        sender: &mut Sender,
    ) -> Outcome {
        let client = header.client.get();
        let seen = header.frame.view.get();
        let ledger = &self.ledger;
        let (operation, body) = match admit(header, body, |operation| ledger.supports(operation)) {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.desk.evict(client, seen, reason, sender);
                return Outcome::Done;
            }
        };
        let meta = meta_of(header, operation);
        let verdict = self.ledger.check(&meta);
        if !matches!(verdict, Verdict::Evict(_)) {
            self.route(client, at.place);
        }
        match verdict {
            Verdict::Accept if operation.is_write() => {
                let room = !at.others_wait && self.ledger.can_submit(header.frame.body_bytes());
                if room {
                    Outcome::Submit(meta)
                } else {
                    Outcome::Hold
                }
            }
            Verdict::Accept => self.read(&meta, &body, sender),
            Verdict::Resend => {
                if let Some(reply) = self.ledger.last_reply(client) {
                    self.desk.reply(&reply, sender);
                }
                Outcome::Done
            }
            Verdict::Drop(reason) => {
                count(&self.desk.counters.dropped);
                if reason == DropReason::Full {
                    self.desk
                        .refuse(header, RefusalReason::SessionsFull, sender);
                }
                Outcome::Done
            }
            Verdict::Evict(reason) => {
                self.desk.evict(client, seen, reason_of(reason), sender);
                Outcome::Done
            }
        }
    }

    /// Replies to the client go where it last spoke. Only clients that the ledger knows, or is
    /// about to, have a route.
    fn route(&mut self, client: u128, place: Place) {
        let ledger = &self.ledger;
        let keep = |client| ledger.last_reply(client).is_some();
        self.desk.router.set(client, place, keep);
    }

    fn submit(&mut self, now: Timestamp, meta: &RequestMeta, receiver: &mut Receiver) {
        count(&self.desk.counters.requests);
        let Received::Request(_, body) = receiver.message() else {
            unreachable!("only requests are submitted");
        };
        let body_bytes = body.len();
        if goes_in_place(body_bytes) {
            let buffer = receiver.consume();
            let buffer = buffer.expect("a message above the small buffer's size has a large one");
            self.ledger.submit_in_place(now, meta, body_bytes, buffer);
        } else {
            self.ledger.submit_copy(now, meta, body);
            drop(receiver.consume());
        }
    }

    fn read(&mut self, meta: &RequestMeta, body: &Body<'_>, sender: &mut Sender) -> Outcome {
        let Some(mut buffer) = self.scratch.take().or_else(|| self.desk.replies.take()) else {
            return Outcome::HoldRead;
        };
        count(&self.desk.counters.requests);
        self.ledger.touch(meta.client);
        let out = &mut buffer[BODY_AT..MESSAGE_AT + MESSAGE_BYTES_MAX];
        let bytes = match meta.operation {
            Operation::Noop => 0,
            operation => self.ledger.read(operation, body, out),
        };
        let reply = Reply {
            client: meta.client,
            session: meta.session,
            request: meta.request,
            request_checksum: meta.request_checksum,
            operation: meta.operation,
            release: meta.release,
            op: self.ledger.commit_op(),
            timestamp: self.ledger.read_timestamp(),
            body: &buffer[BODY_AT..BODY_AT + bytes],
        };
        if bytes <= COPIED_BODY_BYTES_MAX {
            let header = self.desk.header(&reply);
            if sender.push(header.as_bytes(), reply.body) {
                count(&self.desk.counters.replies);
            }
            self.scratch = Some(buffer);
        } else {
            let header = self.desk.header(&reply);
            buffer[MESSAGE_AT..BODY_AT].copy_from_slice(header.as_bytes());
            sender.push_large(buffer, BODY_AT - MESSAGE_AT + bytes);
            count(&self.desk.counters.replies);
        }
        Outcome::Done
    }
}

/// Whether a body is written to the log from where it was received.
fn goes_in_place(body_bytes: usize) -> bool {
    body_bytes >= IN_PLACE_BYTES_MIN
}

const _: () = assert!(IN_PLACE_BYTES_MIN > SMALL_BYTES);

/// What becomes of a message while it is still borrowed.
enum Outcome {
    Done,
    Hold,
    HoldRead,
    Submit(RequestMeta),
}

fn reason_of(reason: EvictReason) -> EvictionReason {
    match reason {
        EvictReason::NoSession => EvictionReason::NoSession,
        EvictReason::SessionTooLow => EvictionReason::SessionTooLow,
        EvictReason::ReleaseMismatch => EvictionReason::SessionReleaseMismatch,
    }
}

fn meta_of(header: &RequestHeader, operation: Operation) -> RequestMeta {
    RequestMeta {
        client: header.client.get(),
        session: header.session.get(),
        request: header.request.get(),
        request_checksum: header.frame.checksum.get(),
        checksum_body: header.frame.checksum_body.get(),
        operation,
        release: header.frame.release.get(),
    }
}
