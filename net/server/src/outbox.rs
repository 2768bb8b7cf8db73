//! Where answers go: to a connection of this thread, or by way of another thread to one of its.

use giro_base::Buffer;
use giro_base::limits::MESSAGE_HEADER_BYTES;
use giro_wire::{NewReply, ReplyHeader};
use zerocopy::IntoBytes;

use crate::connection::{Connections, Place};
use crate::counters::{Counters, count};
use crate::receive::{BODY_AT, MESSAGE_AT};
use crate::send::Sender;

/// A connection, whichever thread it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The thread's number; 0 when there is one.
    pub(crate) port: u16,
    /// The connection on that thread.
    pub(crate) place: Place,
}

/// Takes what is said to one connection. The connection's thread builds the headers of replies,
/// which contain the checksum of the body.
pub(crate) trait Outbox {
    /// A reply whose body is copied. Without room it is lost, and the client asks again.
    fn reply(&mut self, new: &NewReply, body: &[u8]);

    /// A reply whose body of `body_bytes` bytes lies in the buffer at [`BODY_AT`].
    fn reply_large(&mut self, new: &NewReply, buffer: Buffer, body_bytes: usize);

    /// A pong or an eviction. Without room it is lost, and the client asks again.
    fn notice(&mut self, message: &[u8]);

    /// A refusal, for clients that understand it.
    fn refusal(&mut self, message: &[u8]);
}

/// Finds the outbox of a connection.
pub(crate) trait Outlets {
    /// Its outbox.
    type Outbox<'a>: Outbox
    where
        Self: 'a;

    /// The outbox of a connection; none when it is known to be closed.
    fn outbox(&mut self, route: Route) -> Option<Self::Outbox<'_>>;
}

/// The outbox of a connection of this thread.
pub(crate) struct LocalOutbox<'a> {
    pub(crate) sender: &'a mut Sender,
    pub(crate) counters: &'a Counters,
}

impl<'a> LocalOutbox<'a> {
    /// The outbox of the connection at a place, which is sent from in this turn.
    pub(crate) fn find(
        connections: &'a mut Connections,
        counters: &'a Counters,
        place: Place,
    ) -> Option<Self> {
        connections.list(place);
        let sender = &mut connections.get(place)?.sender;
        Some(Self { sender, counters })
    }
}

impl Outbox for LocalOutbox<'_> {
    fn reply(&mut self, new: &NewReply, body: &[u8]) {
        let header = ReplyHeader::build(new, body);
        if self.sender.push(header.as_bytes(), body) {
            count(&self.counters.replies);
        }
    }

    fn reply_large(&mut self, new: &NewReply, mut buffer: Buffer, body_bytes: usize) {
        let header = ReplyHeader::build(new, &buffer[BODY_AT..BODY_AT + body_bytes]);
        buffer[MESSAGE_AT..BODY_AT].copy_from_slice(header.as_bytes());
        self.sender
            .push_large(buffer, MESSAGE_HEADER_BYTES + body_bytes);
        count(&self.counters.replies);
    }

    fn notice(&mut self, message: &[u8]) {
        let _ = self.sender.push(message, &[]);
    }

    fn refusal(&mut self, message: &[u8]) {
        if self.sender.takes_refusals() && self.sender.push(message, &[]) {
            count(&self.counters.told);
        }
    }
}
