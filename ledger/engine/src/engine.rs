//! The sequencer: gives requests their numbers and timestamps, gathers them into groups for the
//! log, and executes what is durable.
//!
//! It does no I/O of its own. Whoever drives it (a reactor, the library's thread, a simulator)
//! calls, turn by turn: `submit_*` and [`Engine::read`] for requests, [`Engine::flush`] to start
//! writes, [`Engine::decide_ahead`] once the kernel has them, [`Engine::on_write`] for
//! completions, and [`Engine::execute`] while it says there is more.

mod late;
mod replicated;
mod run;

pub(crate) use late::LogWait;
pub use replicated::{BadOps, EntryOps, OpPlace, TakenGroup, check_ops};
pub(crate) use run::meta_of;

use std::collections::VecDeque;
use std::io;

use giro_base::branch::Branches;
use giro_base::limits::{BODY_BYTES_MAX, EXPIRIES_PER_PULSE_MAX};
use giro_base::multi_batch::Body;
use giro_base::operation::Kind;
use giro_base::{Buffer, BufferPool, Operation, Timestamp};
use giro_core::StateMachine;

use giro_log::{DirLock, Disk, Log, LogError, NewRecord, OpHeader, Positions};

use crate::error::Error;
use crate::executor::Executor;
use crate::group::Group;
use crate::lookup::is_lookup;
use crate::reading::{ReadTurn, is_query};
use crate::session::{Reply, RequestMeta, Sessions, Verdict};

/// A ledger, ready to take requests.
pub struct Engine {
    pub(crate) executor: Executor,
    pub(crate) sessions: Sessions,
    pub(crate) log: Log,
    /// Keeps other processes out of the directory.
    pub(crate) lock: Option<DirLock>,
    pub(crate) pool: BufferPool,
    /// Number of the next op to be sequenced.
    pub(crate) next_op: u64,
    /// Number of the last executed op.
    pub(crate) executed_op: u64,
    /// Number of the last op of the generation before the one being filled.
    pub(crate) marked_op: u64,
    /// Timestamp of the last sequenced op (ns).
    pub(crate) sequenced_at: Timestamp,
    /// Timestamp of the last executed op (ns).
    pub(crate) executed_at: Timestamp,
    /// Small requests wait here for the next write.
    pub(crate) gathering: Option<Group>,
    /// Groups the log could not take yet.
    pub(crate) waiting: VecDeque<Group>,
    /// Groups the log has, oldest first; executed in this order.
    pub(crate) flying: VecDeque<Group>,
    /// Events sequenced and not executed.
    pub(crate) events_in_flight: usize,
    /// How long requests have been waiting for the log.
    pub(crate) log_wait: LogWait,
    /// A pulse is sequenced and not executed.
    pub(crate) pulsing: bool,
    /// Something waits for the next op, whichever it is.
    pub(crate) wants_op: bool,
    /// The reply of an op without session; as long as the longest, once there was one.
    pub(crate) own_reply: Vec<u8>,
    /// Bytes of it that are the last one's.
    pub(crate) own_reply_bytes: usize,
}

/// Groups that wait for the log before further requests are refused.
pub(crate) const WAITING_MAX: usize = 64;
/// Writes in flight from which on small requests gather instead of making a write of their own.
const GATHER_FROM: usize = 2;
/// Raft's term; a ledger alone is in its first.
const TERM: u64 = 1;

impl Engine {
    /// What to do with a request; call it before any other for the request.
    #[must_use]
    pub fn check(&self, meta: &RequestMeta) -> Verdict {
        self.sessions.check(meta)
    }

    /// The answer to a client's last write, to be sent again.
    #[must_use]
    pub fn last_reply(&self, client: u128) -> Option<Reply<'_>> {
        self.sessions.last_reply(client)
    }

    /// Whether a write with a body of this length can be taken now. If not: later, once writes in
    /// flight are done, or never when the ledger is full.
    #[must_use]
    pub fn can_submit(&self, body_bytes: usize) -> bool {
        let gathers = self
            .gathering
            .as_ref()
            .is_some_and(|group| group.has_room(body_bytes));
        let buffer = gathers || self.pool.free_count() > 0;
        buffer && self.has_room()
    }

    /// As [`Self::can_submit`], for a write that brings its buffer.
    #[must_use]
    pub fn can_submit_in_place(&self) -> bool {
        self.has_room()
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX && !self.executor.is_behind() && !self.is_full()
    }

    /// Takes a write whose body lies in `buffer` from byte 512 on; it goes to disk from there.
    /// `now` is the wall clock's time (ns).
    ///
    /// # Panics
    /// When [`Self::can_submit_in_place`] says no, or the body was not validated.
    pub fn submit_in_place(
        &mut self,
        now: Timestamp,
        meta: &RequestMeta,
        body_bytes: usize,
        buffer: Buffer,
    ) {
        assert!(self.has_room());
        let body = Group::first_body(&buffer, body_bytes);
        let header = self.sequence(now, meta, body);
        if let Some(gathered) = self.gathering.take() {
            self.waiting.push_back(gathered);
        }
        let mut group = Group::new(buffer, header.op);
        group.push_in_place(header);
        self.waiting.push_back(group);
    }

    /// Takes a write and copies its body. `now` is the wall clock's time (ns).
    ///
    /// # Panics
    /// When [`Self::can_submit`] says no, or the body was not validated.
    pub fn submit_copy(&mut self, now: Timestamp, meta: &RequestMeta, body: &[u8]) {
        let header = self.sequence(now, meta, body);
        let mut group = match self.gathering.take() {
            Some(group) if group.has_room(body.len()) => group,
            full => {
                self.waiting.extend(full);
                let buffer = self.pool.take().expect("`can_submit` saw a free buffer");
                Group::new(buffer, header.op)
            }
        };
        group.push(header, body);
        self.gathering = Some(group);
    }

    /// Gives a request its number and timestamp.
    fn sequence(&mut self, now: Timestamp, meta: &RequestMeta, body: &[u8]) -> OpHeader {
        let events = event_count(meta.operation, body);
        let ticks = if meta.operation == Operation::Pulse {
            EXPIRIES_PER_PULSE_MAX
        } else {
            events
        };
        // The clock may stand still or go back; the ledger's time does neither.
        self.sequenced_at = (self.sequenced_at + 1).max(now) + ticks as u64;
        self.events_in_flight += events;
        let op = self.next_op;
        self.next_op += 1;
        OpHeader {
            checksum_body: meta.checksum_body,
            client: meta.client,
            request_checksum: meta.request_checksum,
            evicted_client: self.sessions.begin(meta),
            op,
            timestamp: self.sequenced_at,
            session: meta.session,
            body_bytes: body.len() as u32,
            request: meta.request,
            release: meta.release,
            operation: meta.operation.into(),
            ..OpHeader::default()
        }
        .sealed()
    }

    /// Starts as many writes as the log takes.
    ///
    /// # Errors
    /// The log's or the history's, when they cannot go on.
    pub fn flush(&mut self, disk: &mut impl Disk) -> Result<(), Error> {
        self.begin_turn()?;
        self.release_log();
        while self.log.can_append() {
            let Some(mut group) = self.next_group() else {
                break;
            };
            let record = NewRecord {
                term: TERM,
                first_op: group.first_op,
                op_count: group.op_count,
                ops_bytes: group.ops_bytes,
                timestamp: group.timestamp,
            };
            group.index = self.log.append(&mut group.buffer, record, disk)?;
            self.flying.push_back(group);
        }
        Ok(())
    }

    /// Gives up what the checkpoint holds.
    pub(crate) fn release_log(&mut self) {
        let held = self.executor.needed().saturating_sub(1);
        if held > self.log.positions().checkpointed {
            self.log.advance_checkpointed(held);
            self.log.release(held);
        }
    }

    fn next_group(&mut self) -> Option<Group> {
        if let Some(group) = self.waiting.pop_front() {
            return Some(group);
        }
        // While writes are in flight, more small requests come: one write will serve them all.
        let undurable = self.flying.iter().filter(|group| !group.durable).count();
        if undurable < GATHER_FROM {
            self.gathering.take()
        } else {
            None
        }
    }

    /// Takes the result of the write of record `index`.
    ///
    /// # Errors
    /// When the write failed: the process must end, nobody knows what is on disk.
    pub fn on_write(&mut self, index: u64, result: io::Result<usize>) -> Result<(), LogError> {
        let durable = self.log.on_write(index, result)?;
        // A ledger alone is its own quorum.
        self.log.advance_committed(durable);
        for group in self
            .flying
            .iter_mut()
            .take_while(|group| group.index <= durable)
        {
            group.durable = true;
        }
        Ok(())
    }

    /// Sequences a pulse when pending transfers are due, or an op is wanted. Call it at least every
    /// 100 ms.
    pub fn tick(&mut self, now: Timestamp) {
        let now = now.max(self.sequenced_at);
        let due = self
            .executor
            .machine()
            .next_expiry()
            .is_some_and(|due| due <= now);
        if (due || self.wants_op) && !self.pulsing && self.can_submit(0) {
            self.pulsing = true;
            self.wants_op = false;
            self.submit_copy(now, &own_request(Operation::Pulse, 0), &[]);
        }
    }

    /// Whether a request of this operation has an answer other than an eviction.
    #[must_use]
    pub fn supports(&self, operation: Operation) -> bool {
        operation.kind() != Kind::Pulse
    }

    /// Does some of the work that a read needs beforehand. False when there is more to do: call it
    /// again, with other work in between ([`flush`](Self::flush) begins a turn). A read that was
    /// not prepared does all of it at once. While the state [is ahead](Self::is_ahead) no read can
    /// be prepared. `key` tells this request from others.
    ///
    /// # Errors
    /// The history's, when it cannot be read or is damaged.
    pub fn prepare_read(
        &mut self,
        key: u128,
        operation: Operation,
        body: &Body<'_>,
    ) -> Result<bool, Error> {
        if self.is_ahead() {
            return Ok(false);
        }
        match operation.kind() {
            _ if is_query(operation) => self.executor.prepare_query(key, operation, body),
            kind if is_lookup(operation) => self.executor.prepare_lookup(key, kind, body.events),
            kind @ (Kind::GetChangeEvents | Kind::GetChangesAfter) => {
                let events_max = operation.events_max();
                self.executor
                    .prepare_change_events(kind, body.events, events_max)
            }
            _ => Ok(true),
        }
    }

    /// Makes the turns of queries and lookups shorter or longer.
    pub fn set_read_turn(&mut self, turn: ReadTurn) {
        self.executor.set_read_turn(turn);
    }

    /// Answers a read from the executed state: writes the reply's body to `out`, which has room
    /// for the largest body, and returns its length.
    ///
    /// # Errors
    /// The history's, when it cannot be read or is damaged.
    ///
    /// # Panics
    /// When the state [is ahead](Self::is_ahead).
    pub fn read(
        &mut self,
        key: u128,
        operation: Operation,
        body: &Body<'_>,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        assert!(out.len() >= BODY_BYTES_MAX);
        assert!(!self.is_ahead(), "what is not durable is not shown");
        self.settle();
        run::read(&mut self.executor, (key, operation), body, out)
    }

    /// Does what the last large operation left behind its reply. The next call that needs it does
    /// it too; here it costs nobody time.
    pub fn settle(&mut self) {
        self.executor.settle();
    }

    /// Whether [`settle`](Self::settle) has something to do.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.executor.is_settled()
    }

    /// Takes note that a session's client is there, though it only reads.
    pub fn touch(&mut self, client: u128) {
        self.sessions.touch(client);
    }

    /// Number of the last executed op, for the reply to a read.
    #[must_use]
    pub fn commit_op(&self) -> u64 {
        self.executed_op
    }

    /// Timestamp of the last executed op (ns), for the reply to a read.
    #[must_use]
    pub fn read_timestamp(&self) -> Timestamp {
        self.executed_at.max(1)
    }

    /// Whether anything was taken that is not executed yet.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.gathering.is_none() && self.waiting.is_empty() && self.flying.is_empty()
    }

    /// Whether requests wait for the log to make room while none of its writes is in flight, or
    /// for the history to keep up, so that no completion will tell when they have. Look again
    /// soon.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        let waits = self.gathering.is_some() || !self.waiting.is_empty();
        let log = waits && self.flying.iter().all(|group| group.durable);
        log || self.executor.is_behind()
    }

    /// Whether requests wait for the history, and it for somebody to make room on the disk.
    #[must_use]
    pub fn is_starved(&self) -> bool {
        self.executor.is_starved()
    }

    /// Whether something durable waits to be executed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.flying.front().is_some_and(|group| group.durable)
    }

    /// Whether the ledger has as many accounts or transfers as it was opened for.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self
            .executor
            .machine()
            .has_room(self.events_in_flight + EXPIRIES_PER_PULSE_MAX)
    }

    /// The state. Lookups by id are right only when it [is settled](Self::is_settled); nothing of
    /// it may be shown while it [is ahead](Self::is_ahead).
    #[must_use]
    pub fn machine(&self) -> &StateMachine {
        self.executor.machine()
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The buffers requests are received into.
    #[must_use]
    pub fn pool(&self) -> &BufferPool {
        &self.pool
    }

    /// How far the log has come.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.log.positions()
    }
}

/// A request of the ledger itself or of the library, without session. The ticket comes back as
/// the reply's `request_checksum`.
pub(crate) fn own_request(operation: Operation, ticket: u128) -> RequestMeta {
    RequestMeta {
        client: 0,
        session: 0,
        request: 0,
        request_checksum: ticket,
        checksum_body: giro_base::checksum::CHECKSUM_EMPTY,
        operation,
        release: 0,
    }
}

/// Events of a write's body: timestamps that it takes.
pub(crate) fn event_count(operation: Operation, body: &[u8]) -> usize {
    match operation.kind() {
        Kind::CreateAccounts | Kind::CreateTransfers => Body::parse(operation, body)
            .expect("validated where it came in")
            .event_count(),
        kind if kind.settles_branches() => Branches::parse(kind, body)
            .expect("validated where it came in")
            .ticks(),
        _ => 0,
    }
}
