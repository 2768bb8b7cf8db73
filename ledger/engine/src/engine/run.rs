//! Executing what is durable, and answering reads.

use giro_base::Operation;
use giro_base::limits::BODY_BYTES_MAX;
use giro_base::multi_batch::{Body, write_trailer};
use giro_base::operation::Kind;
use giro_core::{Batch, StateMachine};
use giro_log::{OpHeader, ops};
use smallvec::SmallVec;

use super::Engine;
use crate::session::{Executed, Reply, RequestMeta};

impl Engine {
    /// Whether [`Self::resolve_ahead`] has something to do that is worth handing the writes to the
    /// kernel for.
    #[must_use]
    pub fn can_resolve_ahead(&self) -> bool {
        // A group of many ops gains nothing: each op may create what the next one names.
        self.flying.front().is_some_and(|group| {
            !group.durable && group.op_count == 1 && group.ops_bytes >= RESOLVE_AHEAD_FROM
        })
    }

    /// Looks up what the oldest group not yet durable names, while the disk works. Call it when
    /// the kernel has the writes.
    pub fn resolve_ahead(&mut self) {
        if !self.can_resolve_ahead() {
            return;
        }
        let Some(group) = self.flying.front() else {
            return;
        };
        let (header, body) = ops(&group.buffer).next().expect("a group has an op");
        if let Some(batch) = batch_of(header, &group.buffer[body]) {
            self.executor.resolve_ahead(header.op, &batch);
        }
    }

    /// Executes the oldest group if it is durable, hands out the replies, and says whether there
    /// is more to execute.
    pub fn execute(&mut self, reply: &mut dyn FnMut(Reply<'_>)) -> bool {
        if !self.is_ready() {
            return false;
        }
        let group = self.flying.pop_front().expect("looked at it above");
        for (header, body) in ops(&group.buffer) {
            self.execute_op(header, &group.buffer[body], Some(&mut *reply));
        }
        self.log.advance_executed(group.index);
        self.is_ready()
    }

    /// Executes one op, from the log or just made durable.
    pub(crate) fn execute_op(
        &mut self,
        header: &OpHeader,
        body: &[u8],
        reply: Option<&mut dyn FnMut(Reply<'_>)>,
    ) {
        let meta = meta_of(header);
        match meta.operation.kind() {
            Kind::Register => self.execute_register(header, &meta),
            Kind::Pulse => {
                self.executor.expire(header.timestamp);
                self.pulsing = false;
            }
            _ => self.execute_create(header, &meta, body),
        }
        self.executed_op = header.op;
        self.executed_at = header.timestamp;
        if let Some(reply) = reply
            && meta.operation != Operation::Pulse
        {
            self.hand_out(header, &meta, reply);
        }
    }

    fn execute_register(&mut self, header: &OpHeader, meta: &RequestMeta) {
        let slot = self.sessions.open(meta, header.op, header.evicted_client);
        let (_, out) = self
            .sessions
            .reply_memory(meta.client)
            .expect("just opened");
        out[..REGISTER_REPLY_BYTES].fill(0);
        out[..4].copy_from_slice(&(BODY_BYTES_MAX as u32).to_le_bytes());
        let executed = executed(header, REGISTER_REPLY_BYTES);
        self.sessions.finish(slot, meta, executed);
    }

    fn execute_create(&mut self, header: &OpHeader, meta: &RequestMeta, body: &[u8]) {
        let batch = batch_of(header, body).expect("validated before it was logged");
        self.events_in_flight = self.events_in_flight.saturating_sub(batch.len());
        match self.sessions.reply_memory(meta.client) {
            Some((slot, out)) => {
                let reply_bytes = self.executor.execute(header.op, &batch, out);
                self.sessions
                    .finish(slot, meta, executed(header, reply_bytes));
            }
            None => {
                // No session, or one that a register displaced meanwhile.
                self.own_reply
                    .resize(giro_base::limits::CREATE_REPLY_BYTES_MAX, 0);
                let bytes = self
                    .executor
                    .execute(header.op, &batch, &mut self.own_reply);
                self.own_reply.truncate(bytes);
            }
        }
    }

    fn hand_out(&self, header: &OpHeader, meta: &RequestMeta, reply: &mut dyn FnMut(Reply<'_>)) {
        if meta.client != 0 {
            if let Some(last) = self.sessions.last_reply(meta.client) {
                reply(last);
            }
            return;
        }
        reply(Reply {
            client: 0,
            session: 0,
            request: 0,
            request_checksum: header.request_checksum,
            operation: meta.operation,
            release: 0,
            op: header.op,
            timestamp: header.timestamp,
            body: &self.own_reply,
        });
    }
}

/// Smallest op (bytes) whose keys are looked up while its write is in flight.
const RESOLVE_AHEAD_FROM: usize = 8 << 10;

/// Bytes of a register's reply: the largest body the ledger takes (u32), and zeros.
const REGISTER_REPLY_BYTES: usize = 64;

fn executed(header: &OpHeader, reply_bytes: usize) -> Executed {
    Executed {
        op: header.op,
        timestamp: header.timestamp,
        reply_bytes,
    }
}

/// The batch of a create op; none for other ops.
fn batch_of<'a>(header: &OpHeader, body: &'a [u8]) -> Option<Batch<'a>> {
    let operation = Operation::try_from(header.operation).ok()?;
    Batch::parse(operation, header.timestamp, body).ok()
}

/// The request an op was made from.
pub(crate) fn meta_of(header: &OpHeader) -> RequestMeta {
    RequestMeta {
        client: header.client,
        session: header.session,
        request: header.request,
        request_checksum: header.request_checksum,
        checksum_body: header.checksum_body,
        operation: Operation::try_from(header.operation).expect("only known ops are logged"),
        release: header.release,
    }
}

/// Answers a read; see [`Engine::read`].
pub(super) fn read(
    machine: &StateMachine,
    operation: Operation,
    body: &Body<'_>,
    out: &mut [u8],
) -> usize {
    let event_bytes = operation.event_bytes();
    let result_bytes = operation.result_bytes();
    if event_bytes == 0 {
        return 0;
    }
    let mut counts = SmallVec::<[u16; 64]>::with_capacity(body.batch_count());
    let mut events = body.events;
    let mut results = 0;
    for batch in body.batches() {
        let (these, rest) = events.split_at(batch * event_bytes);
        events = rest;
        let rows = read_batch(
            machine,
            operation,
            these,
            &mut out[results * result_bytes..],
        );
        counts.push(rows as u16);
        results += rows;
    }
    let bytes = results * result_bytes;
    if !operation.is_multi_batch() {
        return bytes;
    }
    let counts = counts.iter().map(|count| usize::from(*count));
    write_trailer(out, bytes, result_bytes, counts)
}

fn read_batch(
    machine: &StateMachine,
    operation: Operation,
    events: &[u8],
    out: &mut [u8],
) -> usize {
    let limit = operation.events_max();
    match operation.kind() {
        Kind::LookupAccounts => machine.lookup_accounts(events, out),
        Kind::LookupTransfers => machine.lookup_transfers(events, out),
        Kind::GetAccountTransfers => machine.account_transfers(events, limit, out),
        Kind::GetAccountBalances => machine.account_balances(events, limit, out),
        Kind::QueryAccounts => machine.query_accounts(events, limit, out),
        Kind::QueryTransfers => machine.query_transfers(events, limit, out),
        kind => unreachable!("{kind:?} is not a supported read"),
    }
}
