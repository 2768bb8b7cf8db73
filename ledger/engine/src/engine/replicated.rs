//! The engine in a group of nodes: groups of ops go to whoever replicates them, and what a
//! majority has is executed. Nothing goes to the engine's own log.
//! `docs/internals/replication.md` has the whole.

use giro_base::limits::RECORD_HEADER_BYTES;
use giro_base::{Buffer, Timestamp};
use giro_log::ops_of_payload;

use super::Engine;
use crate::error::Error;
use crate::session::Reply;

/// Ops that one record makes durable together.
pub struct TakenGroup {
    buffer: Buffer,
    ops_bytes: usize,
    /// Number of the first op.
    pub first_op: u64,
    /// How many there are.
    pub op_count: u32,
    /// The last op's (ns).
    pub timestamp: Timestamp,
}

impl TakenGroup {
    /// The ops, as they stand in a record behind its header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.buffer[RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + self.ops_bytes]
    }
}

impl Engine {
    /// The next group to be proposed, if there is one.
    pub fn take_group(&mut self) -> Option<TakenGroup> {
        let group = self.waiting.pop_front().or_else(|| self.gathering.take())?;
        let mut taken = TakenGroup {
            buffer: group.buffer,
            ops_bytes: group.ops_bytes,
            first_op: group.first_op,
            op_count: group.op_count,
            timestamp: group.timestamp,
        };
        taken.clear_padding();
        Some(taken)
    }

    /// Executes an entry's ops. The leader that proposed it hands out replies; others only keep
    /// them for their sessions.
    ///
    /// # Errors
    /// The history's, when it cannot be read or written: nothing more can be executed.
    ///
    /// # Panics
    /// When the payload is not whole ops, aligned to 16 and in the order of their numbers: it was
    /// validated where it came in.
    pub fn execute_entry(
        &mut self,
        record: u64,
        payload: &[u8],
        mut reply: Option<&mut dyn FnMut(Reply<'_>)>,
    ) -> Result<(), Error> {
        let ops = ops_of_payload(payload).expect("validated where it came in");
        for (header, body) in ops {
            assert_eq!(header.op, self.executed_op + 1, "ops have no gap");
            let reply = reply
                .as_mut()
                .map(|reply| &mut **reply as &mut dyn FnMut(Reply<'_>));
            self.execute_op(record, (header, body), reply)?;
        }
        self.settle();
        Ok(())
    }

    /// Forgets what was sequenced and is not executed: this node no longer leads, or begins to.
    /// Numbers, time and sessions go on from executed state; the clients' resends tell what became
    /// of their requests.
    pub fn abandon(&mut self) {
        self.gathering = None;
        self.waiting.clear();
        self.flying.clear();
        self.next_op = self.executed_op + 1;
        self.sequenced_at = self.executed_at;
        self.events_in_flight = 0;
        self.pulsing = false;
        self.sessions.abandon();
    }
}

impl TakenGroup {
    /// What pads bodies is zero, so that equal groups have equal bytes.
    fn clear_padding(&mut self) {
        let mut at = RECORD_HEADER_BYTES;
        let end = at + self.ops_bytes;
        while at < end {
            let header = giro_log::OpHeader::view(&self.buffer[at..end]);
            let body_bytes = header.expect("the group has whole ops").body_bytes as usize;
            let next = at + giro_log::op_bytes(body_bytes);
            let body_end = at + giro_base::limits::OP_HEADER_BYTES + body_bytes;
            self.buffer[body_end..next].fill(0);
            at = next;
        }
    }
}
