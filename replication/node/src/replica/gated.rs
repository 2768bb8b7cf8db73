//! Replies that wait for the gate.

use giro::Reply;
use giro_replication::Group;

use super::Replica;
use crate::gate::Gate;

/// The last entry that one of the gate's replicas has.
pub(super) fn gate_has(gate: &Gate, group: &Group) -> u64 {
    let has = gate.replicas().iter().map(|id| group.has(*id));
    has.max().unwrap_or(0)
}

impl Replica {
    /// This node begins to serve, or does so no more.
    pub(super) fn turn_gate(&mut self) {
        let Some(gate) = &mut self.gate else { return };
        if self.was_serving {
            gate.begin(self.engine.commit_op());
        } else {
            gate.end();
        }
    }

    /// Tells the gate what its replicas have of what is executed. What is not executed may become
    /// another op under the same number.
    pub(super) fn cover(&mut self) {
        let Some(gate) = self.gate.as_mut().filter(|_| self.was_serving) else {
            return;
        };
        let executed = self.group.executed_index();
        let there = gate_has(gate, &self.group).min(executed);
        let op = if there == executed {
            Some(self.engine.commit_op())
        } else {
            // Nothing new, when the log gave that entry up.
            self.wal.places.last_op(there).map(|place| place.op)
        };
        gate.cover(op.unwrap_or(0));
    }

    pub(super) fn has_due_replies(&self) -> bool {
        self.gate.as_ref().is_some_and(Gate::is_due)
    }

    /// Hands out replies that need not wait any longer.
    pub(super) fn hand_out_due(&mut self, reply: &mut dyn FnMut(Reply<'_>)) {
        let Some(gate) = &mut self.gate else { return };
        while let Some((client, op)) = gate.next_due() {
            // A client that went on, or whose session is gone, waits for it no more.
            let recorded = self.engine.last_reply(client);
            if let Some(recorded) = recorded.filter(|recorded| recorded.op == op) {
                reply(recorded);
            }
        }
    }
}
