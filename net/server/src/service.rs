//! What happens with each message of a client.

use giro::{DropReason, EvictReason, Reply, RequestMeta, Verdict};
use giro_base::limits::MESSAGE_BYTES_MAX;
use giro_base::multi_batch::Body;
use giro_base::{Buffer, Operation, Timestamp};
use giro_wire::{EvictionReason, PingHeader, RefusalReason, Release, RequestHeader};

use crate::admission::admit;
use crate::connection::Connection;
use crate::counters::count;
use crate::desk::{Desk, refuse};
use crate::ledger::{Ledger, Standing, Told};
use crate::outbox::{LocalOutbox, Outbox, Route};
use crate::port::{Handled, Handler, Occasion};
use crate::receive::{BODY_AT, Incoming, MESSAGE_AT, Received, SMALL_BYTES};

/// Bodies from here on are written to the log where they lie, in a record of their own; copying
/// a smaller one into a group costs less than a write.
const IN_PLACE_BYTES_MIN: usize = 64 << 10;
/// Replies to reads up to this size are copied, and the buffer is used again.
const COPIED_BODY_BYTES_MAX: usize = 4096;

/// The ledger and the desk in front of it.
pub(crate) struct Service<L: Ledger> {
    pub(crate) ledger: L,
    pub(crate) desk: Desk,
    /// Where reads write their results.
    scratch: Option<Buffer>,
    /// A read is being prepared: the next turn must not wait.
    pub(crate) is_preparing: bool,
    /// What a read failed with: the process ends with it.
    pub(crate) failure: Option<L::Error>,
}

/// The circumstances of a message.
#[derive(Clone, Copy)]
pub(crate) struct Circumstance {
    /// The connection it came on.
    pub(crate) route: Route,
    /// When it was there (ns of the port's clock).
    pub(crate) spoken: u64,
    /// Wall clock (ns).
    pub(crate) wall: Timestamp,
    /// Others wait for room, and it is not this one's turn.
    pub(crate) others_wait: bool,
}

impl<L: Ledger> Handler for Service<L> {
    fn handle(&mut self, at: &Occasion<'_>, connection: &mut Connection) -> Handled {
        let circumstance = Circumstance {
            route: Route {
                port: 0,
                place: at.place,
            },
            spoken: at.clock.now,
            wall: at.clock.wall,
            others_wait: at.others_wait,
        };
        let mut outbox = LocalOutbox {
            sender: &mut connection.sender,
            counters: at.counters,
        };
        self.answer(circumstance, &mut connection.receiver, &mut outbox)
    }
}

impl<L: Ledger> Service<L> {
    pub(crate) fn new(ledger: L, desk: Desk) -> Self {
        Self {
            ledger,
            desk,
            scratch: None,
            is_preparing: false,
            failure: None,
        }
    }

    /// Handles a message; its answer, if it has one at once, goes to the outbox.
    pub(crate) fn answer(
        &mut self,
        at: Circumstance,
        incoming: &mut impl Incoming,
        outbox: &mut impl Outbox,
    ) -> Handled {
        let outcome = match incoming.message() {
            Received::Ping(ping) => {
                self.ping(ping, outbox);
                Outcome::Done
            }
            Received::Request(header, body) => self.request(at, header, body, outbox),
        };
        match outcome {
            Outcome::Done => drop(incoming.consume()),
            Outcome::Hold => return Handled::Hold,
            Outcome::HoldRead => return Handled::HoldRead,
            Outcome::Submit(meta) => self.submit(at.wall, &meta, incoming),
        }
        Handled::Done
    }

    fn ping(&mut self, ping: &PingHeader, outbox: &mut impl Outbox) {
        let client = ping.client.get();
        let session = ping.session.get();
        let was_known = session != 0 && session <= self.ledger.commit_op();
        let is_gone = was_known && self.ledger.last_reply(client).is_none();
        // Where it is not known at once that this node still leads, the next request tells.
        let reason = if is_gone && self.ledger.is_alone() {
            EvictionReason::NoSession
        } else if ping.frame.release() < Release::CLIENT_MIN {
            EvictionReason::ClientReleaseTooLow
        } else {
            return self.desk.pong(ping, outbox);
        };
        self.desk.evict(client, 0, reason, outbox);
    }

    fn request(
        &mut self,
        at: Circumstance,
        header: &RequestHeader,
        body: &[u8],
        outbox: &mut impl Outbox,
    ) -> Outcome {
        let client = header.client.get();
        let seen = header.frame.view.get();
        let ledger = &self.ledger;
        let (operation, body) = match admit(header, body, |operation| ledger.supports(operation)) {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.desk.evict(client, seen, reason, outbox);
                return Outcome::Done;
            }
        };
        let meta = meta_of(header, operation);
        match self.ledger.standing() {
            Standing::Serving => {}
            Standing::Busy => return Outcome::Hold,
            Standing::Elsewhere => return self.send_away(header, outbox),
        }
        let verdict = self.ledger.check(&meta);
        if !matches!(verdict, Verdict::Evict(_)) {
            self.route(client, &at);
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
            Verdict::Accept => match self.ledger.may_tell(meta.request_checksum) {
                Told::Now => self.read(&meta, &body, outbox),
                Told::Later => Outcome::HoldRead,
                Told::Elsewhere => self.send_away(header, outbox),
            },
            Verdict::Resend => self.resend(client, outbox),
            Verdict::Drop(reason) => {
                count(&self.desk.counters.dropped);
                if reason == DropReason::Full {
                    refuse(header, self.desk.view, RefusalReason::SessionsFull, outbox);
                }
                Outcome::Done
            }
            // A node that was replaced and has not heard of it does not know newer sessions.
            Verdict::Evict(reason) => match self.ledger.may_tell(meta.request_checksum) {
                Told::Now => {
                    self.ledger.told(meta.request_checksum);
                    self.desk.evict(client, seen, reason_of(reason), outbox);
                    Outcome::Done
                }
                Told::Later => Outcome::HoldRead,
                Told::Elsewhere => self.send_away(header, outbox),
            },
        }
    }

    /// The recorded reply once more, unless it has not left yet and will do so by itself.
    fn resend(&mut self, client: u128, outbox: &mut impl Outbox) -> Outcome {
        if !self.ledger.may_resend(client) {
            count(&self.desk.counters.dropped);
        } else if let Some(reply) = self.ledger.last_reply(client) {
            self.desk.reply(&reply, outbox);
        }
        Outcome::Done
    }

    /// Another node has to take the request. Clients of the field send it again, to the node that
    /// the view names, and to another one.
    fn send_away(&self, header: &RequestHeader, outbox: &mut impl Outbox) -> Outcome {
        count(&self.desk.counters.sent_away);
        self.desk.tell_view(header, self.ledger.view(), outbox);
        refuse(header, self.desk.view, RefusalReason::NotLeader, outbox);
        Outcome::Done
    }

    /// Replies to the client go where it last spoke. Only clients that the ledger knows, or is
    /// about to, have a route.
    fn route(&mut self, client: u128, at: &Circumstance) {
        let ledger = &self.ledger;
        let keep = |client| ledger.last_reply(client).is_some();
        let router = &mut self.desk.router;
        router.set(client, at.route, at.spoken, keep);
    }

    fn submit(&mut self, now: Timestamp, meta: &RequestMeta, incoming: &mut impl Incoming) {
        count(&self.desk.counters.requests);
        let Received::Request(_, body) = incoming.message() else {
            unreachable!("only requests are submitted");
        };
        let body_bytes = body.len();
        if goes_in_place(body_bytes) {
            let buffer = incoming.consume();
            let buffer = buffer.expect("a message above the small buffer's size has a large one");
            self.ledger.submit_in_place(now, meta, body_bytes, buffer);
        } else {
            self.ledger.submit_copy(now, meta, body);
            drop(incoming.consume());
        }
    }

    fn read(&mut self, meta: &RequestMeta, body: &Body<'_>, outbox: &mut impl Outbox) -> Outcome {
        match self
            .ledger
            .prepare_read(meta.request_checksum, meta.operation, body)
        {
            Ok(true) => {}
            Ok(false) => {
                self.is_preparing = true;
                return Outcome::HoldRead;
            }
            Err(error) => {
                self.failure = Some(error);
                return Outcome::Done;
            }
        }
        let Some(mut buffer) = self.scratch.take().or_else(|| self.desk.replies.take()) else {
            return Outcome::HoldRead;
        };
        count(&self.desk.counters.requests);
        self.ledger.told(meta.request_checksum);
        self.ledger.touch(meta.client);
        let out = &mut buffer[BODY_AT..MESSAGE_AT + MESSAGE_BYTES_MAX];
        let read = match meta.operation {
            Operation::Noop => Ok(0),
            operation => self
                .ledger
                .read(meta.request_checksum, operation, body, out),
        };
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                self.failure = Some(error);
                return Outcome::Done;
            }
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
        let new = self.desk.new_reply(&reply);
        if bytes <= COPIED_BODY_BYTES_MAX {
            outbox.reply(&new, reply.body);
            self.scratch = Some(buffer);
        } else {
            outbox.reply_large(&new, buffer, bytes);
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
