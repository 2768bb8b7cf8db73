//! Where answers become messages and find their connection.

use std::collections::VecDeque;
use std::sync::Arc;

use giro::Reply;
use giro_base::BufferPool;
use giro_base::limits::MESSAGE_HEADER_BYTES;
use giro_wire::{
    EvictionHeader, EvictionReason, NewReply, PingHeader, PongHeader, RefusalHeader, RefusalReason,
    Release, RequestHeader,
};
use zerocopy::IntoBytes;

use crate::counters::{Counters, count};
use crate::outbox::{Outbox, Outlets};
use crate::receive::BODY_AT;
use crate::router::Router;

/// Replies up to this size, header included, are copied; larger ones take a pooled buffer.
const COPIED_BYTES_MAX: usize = 4096;

/// Builds messages and hands them to senders.
pub(crate) struct Desk {
    pub(crate) cluster: u128,
    /// The view that messages carry.
    pub(crate) view: u32,
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
            view: 1,
            router,
            counters,
            replies,
            owed: VecDeque::with_capacity(sessions_max),
            owed_max: sessions_max,
        }
    }

    /// Answers a ping.
    pub(crate) fn pong(&self, ping: &PingHeader, outbox: &mut impl Outbox) {
        outbox.notice(PongHeader::build(ping, self.view).as_bytes());
    }

    /// Tells the client of a request the view of who leads, if that is newer than the one it knew
    /// when it made the request. Otherwise it hears of it only when it next asks, every 30 s.
    pub(crate) fn tell_view(&self, request: &RequestHeader, view: u32, outbox: &mut impl Outbox) {
        if request.frame.view.get() < view {
            outbox.notice(PongHeader::unasked(self.cluster, view).as_bytes());
        }
    }

    /// Ends the session of `client`, which has seen view `seen`.
    pub(crate) fn evict(
        &self,
        client: u128,
        seen: u32,
        reason: EvictionReason,
        outbox: &mut impl Outbox,
    ) {
        count(&self.counters.evicted);
        // A client ignores an eviction of a view older than one it has seen.
        let header = EvictionHeader::build(self.cluster, self.view.max(seen), client, reason);
        outbox.notice(header.as_bytes());
    }

    /// Sends a reply, copying its body out of the ledger. One that needs a buffer when there is
    /// none is owed.
    pub(crate) fn reply(&mut self, reply: &Reply<'_>, outbox: &mut impl Outbox) {
        let new = self.new_reply(reply);
        if MESSAGE_HEADER_BYTES + reply.body.len() <= COPIED_BYTES_MAX {
            return outbox.reply(&new, reply.body);
        }
        let Some(mut buffer) = self.replies.take() else {
            if self.owed.len() < self.owed_max {
                self.owed.push_back(reply.client);
            }
            return;
        };
        buffer[BODY_AT..BODY_AT + reply.body.len()].copy_from_slice(reply.body);
        outbox.reply_large(&new, buffer, reply.body.len());
    }

    /// Sends a reply to the connection that last spoke for its client.
    pub(crate) fn deliver(&mut self, reply: &Reply<'_>, outlets: &mut impl Outlets) {
        let route = self.router.get(reply.client);
        let Some(mut outbox) = route.and_then(|route| outlets.outbox(route)) else {
            // It is recorded: the client gets it when it asks again.
            count(&self.counters.unroutable);
            return;
        };
        self.reply(reply, &mut outbox);
    }

    /// A client whose owed reply can be sent now.
    pub(crate) fn next_owed(&mut self) -> Option<u128> {
        if self.replies.free_count() == 0 {
            return None;
        }
        self.owed.pop_front()
    }

    /// Whether replies wait for a buffer.
    pub(crate) fn is_owing(&self) -> bool {
        !self.owed.is_empty()
    }

    /// What the header of a reply is built from.
    pub(crate) fn new_reply(&self, reply: &Reply<'_>) -> NewReply {
        NewReply {
            cluster: self.cluster,
            view: self.view,
            release: Release(reply.release),
            request_checksum: reply.request_checksum,
            client: reply.client,
            op: reply.op,
            timestamp: reply.timestamp,
            request: reply.request,
            operation: reply.operation,
        }
    }
}

/// The view of a message that says nothing about who leads.
pub(crate) const VIEW_SILENT: u32 = 0;

/// Tells the client that this copy of its request was not taken, if it understands that. `view`
/// leads it to where the next copy should go.
pub(crate) fn refuse(
    request: &RequestHeader,
    view: u32,
    reason: RefusalReason,
    outbox: &mut impl Outbox,
) {
    let header = RefusalHeader::build(request, view, reason);
    outbox.refusal(header.as_bytes());
}
