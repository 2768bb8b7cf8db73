//! Executing what is durable, and answering reads.

use giro_base::limits::{BODY_BYTES_MAX, CREATE_REPLY_BYTES_MAX};
use giro_base::multi_batch::{Body, write_trailer};
use giro_base::operation::Kind;
use giro_base::{Operation, Transfer};
use giro_core::Batch;
use giro_log::{OpHeader, ops};
use giro_store::Mark;
use smallvec::SmallVec;

use super::Engine;
use crate::error::Error;
use crate::executor::{BranchOp, Executor};
use crate::lookup::{Lookup, is_lookup};
use crate::reading::is_query;
use crate::session::{Executed, Reply, RequestMeta};

impl Engine {
    /// Whether [`Self::decide_ahead`] has something to do that is worth handing the writes to the
    /// kernel for.
    #[must_use]
    pub fn can_decide_ahead(&self) -> bool {
        // A group of many ops gains nothing: each op may create what the next one names.
        self.flying.front().is_some_and(|group| {
            !group.durable && group.op_count == 1 && group.ops_bytes >= RESOLVE_AHEAD_FROM
        })
    }

    /// Decides the oldest group not yet durable, while the disk works. Call it when the kernel has
    /// the writes. Nobody sees what came of it before it is durable: replies are made by
    /// [`execute`](Self::execute), and reads wait ([`is_ahead`](Self::is_ahead)). A write that
    /// fails ends the process, and the state with it.
    ///
    /// # Errors
    /// The history's, when it cannot be read or is damaged.
    pub fn decide_ahead(&mut self) -> Result<(), Error> {
        if !self.can_decide_ahead() {
            return Ok(());
        }
        let Some(group) = self.flying.front() else {
            return Ok(());
        };
        let (header, body) = ops(&group.buffer).next().expect("a group has an op");
        let body = &group.buffer[body];
        decide_op_ahead(&mut self.executor, header, body)
    }

    /// Whether the state has changes that are not durable. Reads are answered later then.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.executor.is_ahead()
    }

    /// Executes the oldest group if it is durable, hands out the replies, and says whether there
    /// is more to execute.
    ///
    /// # Errors
    /// The history's, when it cannot be read or written, or is damaged: nothing more can be
    /// executed.
    pub fn execute(&mut self, reply: &mut dyn FnMut(Reply<'_>)) -> Result<bool, Error> {
        if !self.is_ready() {
            return Ok(false);
        }
        let group = self.flying.pop_front().expect("looked at it above");
        for (header, body) in ops(&group.buffer) {
            let op = (header, &group.buffer[body]);
            self.execute_op(group.index, op, &mut Vec::new, Some(&mut *reply))?;
        }
        self.log.advance_executed(group.index);
        Ok(self.is_ready())
    }

    /// Executes one op of this record, from the log or just made durable. A mark gets what
    /// `group` says of the group of nodes.
    pub(crate) fn execute_op(
        &mut self,
        record: u64,
        (header, body): (&OpHeader, &[u8]),
        group: &mut dyn FnMut() -> Vec<u8>,
        reply: Option<&mut dyn FnMut(Reply<'_>)>,
    ) -> Result<(), Error> {
        let meta = meta_of(header);
        match meta.operation.kind() {
            Kind::Register => self.execute_register(header, &meta),
            Kind::Pulse => {
                self.executor.expire(header.timestamp);
                self.pulsing = false;
            }
            _ => self.execute_task(header, &meta, body)?,
        }
        self.executed_op = header.op;
        self.executed_at = header.timestamp;
        if let Some(reply) = reply
            && meta.operation != Operation::Pulse
        {
            self.hand_out(header, &meta, reply);
        }
        let (sessions, marked_op) = (&self.sessions, &mut self.marked_op);
        let place = (record, size_of::<OpHeader>() + body.len());
        self.executor.turn_over(place, |digest| Mark {
            op: header.op,
            timestamp: header.timestamp,
            record,
            digest: digest.value(),
            sessions: sessions.states_since(std::mem::replace(marked_op, header.op)),
            group: group(),
        })
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

    fn execute_task(
        &mut self,
        header: &OpHeader,
        meta: &RequestMeta,
        body: &[u8],
    ) -> Result<(), Error> {
        let task = task_of(header, body).expect("validated before it was logged");
        self.events_in_flight = self.events_in_flight.saturating_sub(task.events());
        match self.sessions.reply_memory(meta.client) {
            Some((slot, out)) => {
                let reply_bytes = task.execute(&mut self.executor, header.op, out)?;
                self.sessions
                    .finish(slot, meta, executed(header, reply_bytes));
            }
            None => {
                // No session, or one that a register displaced meanwhile.
                self.own_reply.resize(CREATE_REPLY_BYTES_MAX, 0);
                let out = &mut self.own_reply;
                self.own_reply_bytes = task.execute(&mut self.executor, header.op, out)?;
            }
        }
        Ok(())
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
            body: &self.own_reply[..self.own_reply_bytes],
        });
    }
}

/// Looks up what an op names, which is the next one.
pub(super) fn resolve_op_ahead(
    executor: &mut Executor,
    header: &OpHeader,
    body: &[u8],
) -> Result<(), Error> {
    match task_of(header, body) {
        Some(Task::Create(batch)) => executor.resolve_ahead(header.op, &batch),
        Some(Task::Branches(asked)) => executor.resolve_branches_ahead(header.op, &asked),
        None => Ok(()),
    }
}

/// Decides an op, which is the next one and will be executed whatever comes.
pub(super) fn decide_op_ahead(
    executor: &mut Executor,
    header: &OpHeader,
    body: &[u8],
) -> Result<(), Error> {
    match task_of(header, body) {
        Some(Task::Create(batch)) => executor.decide_ahead(header.op, &batch),
        Some(Task::Branches(asked)) => executor.decide_branches_ahead(header.op, &asked),
        None => Ok(()),
    }
}

/// Smallest op (bytes) whose keys are looked up while its write is in flight.
pub(super) const RESOLVE_AHEAD_FROM: usize = 8 << 10;

/// Bytes of a register's reply: the largest body the ledger takes (u32), and zeros.
const REGISTER_REPLY_BYTES: usize = 64;

fn executed(header: &OpHeader, reply_bytes: usize) -> Executed {
    Executed {
        op: header.op,
        timestamp: header.timestamp,
        reply_bytes,
    }
}

/// An op that changes accounts.
pub(super) enum Task<'a> {
    Create(Batch<'a>),
    Branches(BranchOp<'a>),
}

impl Task<'_> {
    /// Timestamps that it took.
    pub(super) fn events(&self) -> usize {
        match self {
            Self::Create(batch) => batch.len(),
            Self::Branches(asked) => asked.ticks(),
        }
    }

    fn execute(&self, executor: &mut Executor, op: u64, out: &mut [u8]) -> Result<usize, Error> {
        match self {
            Self::Create(batch) => executor.execute(op, batch, out),
            Self::Branches(asked) => executor.execute_branches(op, asked, out),
        }
    }
}

/// What an op asks for; none if it changes no accounts.
pub(super) fn task_of<'a>(header: &OpHeader, body: &'a [u8]) -> Option<Task<'a>> {
    let operation = Operation::try_from(header.operation).ok()?;
    let timestamp = header.timestamp;
    if operation.kind().settles_branches() {
        let asked = BranchOp::parse(operation, timestamp, body);
        return asked.ok().map(Task::Branches);
    }
    Batch::parse(operation, timestamp, body)
        .ok()
        .map(Task::Create)
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
    executor: &mut Executor,
    (key, operation): (u128, Operation),
    body: &Body<'_>,
    out: &mut [u8],
) -> Result<usize, Error> {
    let kind = operation.kind();
    if kind == Kind::LookupBranches {
        let lookup = executor.lookup(key, kind, body.events)?;
        return Ok(lookup.write_branches(out));
    }
    if operation.event_bytes() == 0 {
        return Ok(0);
    }
    let mut counts = SmallVec::<[u16; 64]>::with_capacity(body.batch_count());
    let rows = if is_query(operation) {
        let reading = executor.reading(key, operation, body)?;
        counts.extend_from_slice(&reading.counts);
        reading.write(out)
    } else if is_lookup(operation) {
        let lookup = executor.lookup(key, kind, body.events)?;
        write_transfers(&lookup, body, out, &mut counts)
    } else {
        read_batches(executor, operation, body, out, &mut counts)?
    };
    let result_bytes = operation.result_bytes();
    let bytes = rows * result_bytes;
    if !operation.is_multi_batch() {
        return Ok(bytes);
    }
    let counts = counts.iter().map(|count| usize::from(*count));
    Ok(write_trailer(out, bytes, result_bytes, counts))
}

/// Answers each batch of a read by itself; returns how many rows there are in all.
fn read_batches(
    executor: &mut Executor,
    operation: Operation,
    body: &Body<'_>,
    out: &mut [u8],
    counts: &mut SmallVec<[u16; 64]>,
) -> Result<usize, Error> {
    let (event_bytes, result_bytes) = (operation.event_bytes(), operation.result_bytes());
    let mut events = body.events;
    let mut results = 0;
    for batch in body.batches() {
        let (these, rest) = events.split_at(batch * event_bytes);
        events = rest;
        let rows = read_batch(
            executor,
            operation,
            these,
            &mut out[results * result_bytes..],
        )?;
        counts.push(rows as u16);
        results += rows;
    }
    Ok(results)
}

fn read_batch(
    executor: &mut Executor,
    operation: Operation,
    events: &[u8],
    out: &mut [u8],
) -> Result<usize, Error> {
    let limit = operation.events_max();
    match operation.kind() {
        Kind::LookupAccounts => Ok(executor.machine().lookup_accounts(events, out)),
        Kind::ListBranches => Ok(executor.machine().list_branches(events, limit, out)),
        kind @ (Kind::GetChangeEvents | Kind::GetChangesAfter) => {
            executor.change_events(kind, events, limit, out)
        }
        kind => unreachable!("{kind:?} is not a supported read"),
    }
}

/// Writes the transfers of each batch of ids; returns how many there are in all.
fn write_transfers(
    lookup: &Lookup,
    body: &Body<'_>,
    out: &mut [u8],
    counts: &mut SmallVec<[u16; 64]>,
) -> usize {
    let (mut ids, mut results) = (0, 0);
    for batch in body.batches() {
        let out = &mut out[results * size_of::<Transfer>()..];
        let rows = lookup.write_transfers(ids..ids + batch, out);
        ids += batch;
        counts.push(rows as u16);
        results += rows;
    }
    results
}
