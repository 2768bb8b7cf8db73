//! Where answers become messages and find their connection.

use std::collections::VecDeque;
use std::sync::Arc;

use giro::Reply;
use giro_base::BufferPool;
use giro_base::limits::MESSAGE_HEADER_BYTES;
use giro_wire::{
    EvictionHeader, EvictionReason, NewReply, PingHeader, PongHeader, RefusalHeader, RefusalReason,
    Release, ReplyHeader, RequestHeader,
};
use zerocopy::IntoBytes;

use crate::connection::Connections;
use crate::counters::{Counters, count};
use crate::receive::{BODY_AT, MESSAGE_AT};
use crate::router::Router;
use crate::send::Sender;

/// The view this server claims. Any constant works for a server that is alone.
const VIEW: u32 = 1;
/// Replies up to this size, header included, are copied; larger ones take a pooled buffer.
const COPIED_BYTES_MAX: usize = 4096;

/// Builds messages and hands them to senders.
pub(crate) struct Desk {
    pub(crate) cluster: u128,
    pub(crate) router: Router,
    pub(crate) counters: Arc<Counters>,
    /// Buffers of large replies. A pool of their own, so that they never wait for receives.
    pub(crate) replies: BufferPool,
    /// Clients whose recorded reply found no buffer.
    owed: VecDeque<u128>,
    owed_max: usize,
}

impl Desk {
    pub(crate) fn new(
        cluster: u128,
        router: Router,
        replies: BufferPool,
        counters: Arc<Counters>,
        sessions_max: usize,
    ) -> Self {
        Self {
            cluster,
            router,
            counters,
            replies,
            owed: VecDeque::with_capacity(sessions_max),
            owed_max: sessions_max,
        }
    }

    /// Answers a ping.
    pub(crate) fn pong(&self, ping: &PingHeader, sender: &mut Sender) {
        // A pong that finds no room is no loss: the client asks again.
        let _ = sender.push(PongHeader::build(ping, VIEW).as_bytes(), &[]);
    }

    /// Tells the client that this copy of its request was not taken, if it understands that.
    pub(crate) fn refuse(
        &self,
        request: &RequestHeader,
        reason: RefusalReason,
        sender: &mut Sender,
    ) {
        if !sender.takes_refusals() {
            return;
        }
        let header = RefusalHeader::build(request, VIEW, reason);
        // Without room the client asks again.
        if sender.push(header.as_bytes(), &[]) {
            count(&self.counters.told);
        }
    }

    /// Ends the session of `client`, which has seen view `seen`.
    pub(crate) fn evict(
        &self,
        client: u128,
        seen: u32,
        reason: EvictionReason,
        sender: &mut Sender,
    ) {
        count(&self.counters.evicted);
        // A client ignores an eviction of a view older than one it has seen.
        let header = EvictionHeader::build(self.cluster, VIEW.max(seen), client, reason);
        // Without room the client asks again and is told then.
        let _ = sender.push(header.as_bytes(), &[]);
    }

    /// Sends a reply, copying its body out of the ledger. One that needs a buffer when there is
    /// none is owed.
    pub(crate) fn reply(&mut self, reply: &Reply<'_>, sender: &mut Sender) {
        let bytes = MESSAGE_HEADER_BYTES + reply.body.len();
        if bytes <= COPIED_BYTES_MAX {
            let header = self.header(reply);
            if sender.push(header.as_bytes(), reply.body) {
                count(&self.counters.replies);
            }
            return;
        }
        let Some(mut buffer) = self.replies.take() else {
            if self.owed.len() < self.owed_max {
                self.owed.push_back(reply.client);
            }
            return;
        };
        let header = self.header(reply);
        buffer[MESSAGE_AT..BODY_AT].copy_from_slice(header.as_bytes());
        buffer[BODY_AT..BODY_AT + reply.body.len()].copy_from_slice(reply.body);
        sender.push_large(buffer, bytes);
        count(&self.counters.replies);
    }

    /// Sends a reply to the connection that last spoke for its client.
    pub(crate) fn deliver(&mut self, reply: &Reply<'_>, connections: &mut Connections) {
        let place = self.router.get(reply.client);
        let Some((place, connection)) =
            place.and_then(|place| connections.get(place).map(|found| (place, found)))
        else {
            // It is recorded: the client gets it when it asks again.
            count(&self.counters.unroutable);
            return;
        };
        self.reply(reply, &mut connection.sender);
        connections.list(place);
    }

    /// A client whose owed reply can be sent now.
    pub(crate) fn next_owed(&mut self) -> Option<u128> {
        if self.replies.free_count() == 0 {
            return None;
        }
        self.owed.pop_front()
    }

    /// The header of a reply.
    pub(crate) fn header(&self, reply: &Reply<'_>) -> ReplyHeader {
        let new = NewReply {
            cluster: self.cluster,
            view: VIEW,
            release: Release(reply.release),
            request_checksum: reply.request_checksum,
            client: reply.client,
            op: reply.op,
            timestamp: reply.timestamp,
            request: reply.request,
            operation: reply.operation,
        };
        ReplyHeader::build(&new, reply.body)
    }
}
