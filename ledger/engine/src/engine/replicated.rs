//! The engine in a group of nodes: groups of ops go to whoever replicates them, and what a
//! majority has is executed. Nothing goes to the engine's own log.
//! `docs/internals/replication.md` has the whole.

use std::sync::Arc;

use giro_base::limits::{EXPIRIES_PER_PULSE_MAX, RECORD_HEADER_BYTES};
use giro_base::operation::Kind;
use giro_base::{Buffer, Operation, Timestamp};
use giro_log::{Defect, OpHeader, ops_of_payload, ops_of_valid_payload};
use giro_store::Catalog;

use super::Engine;
use super::run::{RESOLVE_AHEAD_FROM, decide_op_ahead, resolve_op_ahead, task_of};
use crate::error::Error;
use crate::group::Group;
use crate::session::Reply;

/// Ops that one record makes durable together.
pub struct TakenGroup {
    group: Group,
}

/// Number and timestamp (ns) of an op.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpPlace {
    /// Its number.
    pub op: u64,
    /// Its timestamp.
    pub timestamp: Timestamp,
}

/// Why bytes are not the ops of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOps {
    /// They are damaged, or were never ops.
    #[error(transparent)]
    Defect(#[from] Defect),
    /// The op's request is none that is ever logged.
    #[error("op {0} is no valid write")]
    Request(u64),
    /// Numbers or timestamps do not follow one another.
    #[error("op {found} follows op {before}")]
    Order {
        /// The op before.
        before: u64,
        /// The op.
        found: u64,
    },
}

/// An entry as it is executed.
pub struct EntryOps<'a> {
    /// Number of this node's record that has it.
    pub record: u64,
    /// The ops, aligned to 16.
    pub payload: &'a [u8],
    /// Ops up to this one are in the state already: it comes from a checkpoint in the middle of an
    /// entry.
    pub known_op: u64,
    /// What a checkpoint has to know of the group.
    pub group: &'a mut dyn FnMut() -> Vec<u8>,
}

impl TakenGroup {
    /// The ops, as they stand in a record behind its header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.group.buffer[RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + self.group.ops_bytes]
    }

    /// How many ops there are.
    #[must_use]
    pub fn op_count(&self) -> u32 {
        self.group.op_count
    }

    /// The buffer with the payload behind room for a record's header.
    #[must_use]
    pub fn into_buffer(self) -> Buffer {
        self.group.buffer
    }

    /// What pads bodies is zero, so that equal groups have equal bytes.
    fn clear_padding(&mut self) {
        let buffer = &mut self.group.buffer;
        let mut at = RECORD_HEADER_BYTES;
        let end = at + self.group.ops_bytes;
        while at < end {
            let header = OpHeader::view(&buffer[at..end]);
            let body_bytes = header.expect("the group has whole ops").body_bytes as usize;
            let next = at + giro_log::op_bytes(body_bytes);
            let body_end = at + giro_base::limits::OP_HEADER_BYTES + body_bytes;
            buffer[body_end..next].fill(0);
            at = next;
        }
    }
}

/// Checks the ops of an entry that came from elsewhere, and gives the place of the last one; that
/// of `before` when there is none. Without `before` nobody knows what it follows.
///
/// # Errors
/// When they could not be executed.
pub fn check_ops(payload: &[u8], before: Option<OpPlace>) -> Result<Option<OpPlace>, BadOps> {
    let mut last = before;
    for (header, body) in ops_of_payload(payload)? {
        let ticks = ticks_of(header, body).ok_or(BadOps::Request(header.op))? as u64;
        if let Some(last) = last {
            let earliest = last.timestamp.saturating_add(ticks + 1);
            if header.op != last.op + 1 || header.timestamp < earliest {
                let (before, found) = (last.op, header.op);
                return Err(BadOps::Order { before, found });
            }
        }
        last = Some(OpPlace {
            op: header.op,
            timestamp: header.timestamp,
        });
    }
    Ok(last)
}

/// Timestamps that a valid op takes.
fn ticks_of(header: &OpHeader, body: &[u8]) -> Option<usize> {
    let operation = Operation::try_from(header.operation).ok()?;
    match operation.kind() {
        Kind::Register => (header.client != 0).then_some(0),
        Kind::Pulse => (header.client == 0).then_some(EXPIRIES_PER_PULSE_MAX),
        _ => task_of(header, body).map(|task| task.events()),
    }
}

impl Engine {
    /// Begins a turn, as [`flush`](Self::flush) does in a ledger alone.
    ///
    /// # Errors
    /// The history's, when it cannot go on.
    pub fn begin_turn(&mut self) -> Result<(), Error> {
        self.executor.readings.begin_turn();
        self.executor.lookups.begin_turn();
        self.executor.keep_up()
    }

    /// The next group to be proposed, if there is one. One that is still gathering is taken only
    /// if the caller wants that.
    pub fn take_group(&mut self, takes_gathering: bool) -> Option<TakenGroup> {
        let gathering = &mut self.gathering;
        let group = self.waiting.pop_front();
        let group = group.or_else(|| gathering.take_if(|_| takes_gathering))?;
        let mut taken = TakenGroup { group };
        taken.clear_padding();
        Some(taken)
    }

    /// A group that could not be proposed waits again, before all others.
    pub fn give_back(&mut self, taken: TakenGroup) {
        self.waiting.push_front(taken.group);
    }

    /// Whether groups wait to be proposed.
    #[must_use]
    pub fn has_groups(&self) -> bool {
        self.gathering.is_some() || !self.waiting.is_empty()
    }

    /// Whether so much waits for the history that execution should, too.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.executor.is_behind()
    }

    /// The first record that the newest durable checkpoint of this run does not hold; 0 when there
    /// is none yet.
    #[must_use]
    pub fn needed_record(&self) -> u64 {
        self.executor.needed()
    }

    /// The history's files as of now, the newest durable checkpoint among them. They can be read as
    /// long as this is kept, on any thread. None where all is in memory.
    pub fn catalog(&mut self) -> Option<Arc<Catalog>> {
        self.executor.catalog()
    }

    /// A node needs a checkpoint newer than the newest: one is made after the next op, which is a
    /// pulse when nobody asks for anything.
    pub fn want_checkpoint(&mut self) {
        if let Some(past) = self.executor.past() {
            past.end_early();
            self.wants_op = true;
        }
    }

    /// Looks up what the entry names that will be executed next, if that is worth it.
    ///
    /// # Errors
    /// The history's, when it cannot be read or is damaged.
    pub fn resolve_entry_ahead(&mut self, payload: &[u8]) -> Result<(), Error> {
        match self.op_ahead(payload) {
            Some((header, body)) => resolve_op_ahead(&mut self.executor, header, body),
            None => Ok(()),
        }
    }

    /// The same, and decides it: as [`decide_ahead`](Self::decide_ahead). Only where this entry
    /// will be executed next, whatever comes, a loss of leadership too.
    ///
    /// # Errors
    /// The history's, when it cannot be read or is damaged.
    pub fn decide_entry_ahead(&mut self, payload: &[u8]) -> Result<(), Error> {
        match self.op_ahead(payload) {
            Some((header, body)) => decide_op_ahead(&mut self.executor, header, body),
            None => Ok(()),
        }
    }

    /// The op of an entry that is worth beginning ahead of its turn.
    fn op_ahead<'a>(&self, payload: &'a [u8]) -> Option<(&'a OpHeader, &'a [u8])> {
        let mut ops = ops_of_valid_payload(payload);
        let (op, others) = (ops.next()?, ops.next());
        let is_next = op.0.op == self.executed_op + 1;
        (others.is_none() && payload.len() >= RESOLVE_AHEAD_FROM && is_next).then_some(op)
    }

    /// Executes an entry's ops, which were validated by [`check_ops`]. The leader that proposed it
    /// hands out replies; others only keep them for their sessions.
    ///
    /// # Errors
    /// The history's, when it cannot be read or written; that the ops are not the next ones; that
    /// the ledger is full. Nothing more can be executed.
    ///
    /// # Panics
    /// When the payload is not whole ops, aligned to 16.
    pub fn execute_entry(
        &mut self,
        entry: EntryOps<'_>,
        mut reply: Option<&mut dyn FnMut(Reply<'_>)>,
    ) -> Result<(), Error> {
        let EntryOps {
            record: index,
            payload,
            known_op,
            group,
        } = entry;
        for (header, body) in ops_of_valid_payload(payload) {
            let (op, expected) = (header.op, self.executed_op + 1);
            if op <= known_op {
                continue;
            }
            if op != expected {
                return Err(Error::OpOutOfOrder {
                    index,
                    op,
                    expected,
                });
            }
            let Some(events) = ticks_of(header, body) else {
                let operation = header.operation;
                return Err(Error::UnknownOperation { index, operation });
            };
            // What was decided ahead has taken its room already.
            if !self.is_ahead() && !self.executor.machine().has_room(events) {
                return Err(Error::Full);
            }
            let reply = reply
                .as_mut()
                .map(|reply| &mut **reply as &mut dyn FnMut(Reply<'_>));
            self.execute_op(index, (header, body), group, reply)?;
        }
        Ok(())
    }

    /// Forgets what was sequenced and is not executed: this node no longer leads, or begins to.
    /// Numbers, time and sessions go on from executed state; the clients' resends tell what became
    /// of their requests.
    pub fn abandon(&mut self) {
        self.gathering = None;
        self.waiting.clear();
        self.flying.clear();
        if !self.is_ahead() {
            // What was decided stays: it is executed next, whoever leads.
            self.executor.forget_ahead();
        }
        self.next_op = self.executed_op + 1;
        self.sequenced_at = self.executed_at;
        self.events_in_flight = 0;
        self.pulsing = false;
        self.sessions.abandon();
    }
}
