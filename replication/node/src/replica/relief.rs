//! A leader whose disk is full, or takes a write and does not finish it: it would hold everybody
//! up, though the disks of others may be well.

use giro_replication::Role;

use super::Replica;

/// Ticks (20 ms each) for which a disk may keep a leader from going on, until leadership is handed
/// over; and from one attempt to the next.
const PATIENCE_TICKS: u64 = 50;

impl Replica {
    /// Hands leadership over when the disk has kept this node from going on for a while. To be
    /// called each tick.
    pub(super) fn look_for_relief(&mut self) {
        let leads = self.group.role().role == Role::Leader;
        self.full_ticks = if leads && self.is_full() {
            self.full_ticks + 1
        } else {
            0
        };
        if is_due(self.full_ticks) {
            if let Some(to) = self.group.give_way(0) {
                let replica = to - 1;
                tracing::warn!(replica, "no room on this disk: hands leadership over");
            }
        } else if leads && is_due(self.group.stalled_ticks()) {
            // One that has written what this disk has not is known to have a better one.
            let durable = self.group.has(self.group.node());
            if let Some(to) = self.group.give_way(durable) {
                let replica = to - 1;
                tracing::warn!(replica, "this disk does not write: hands leadership over");
            }
        }
    }

    /// Whether log or history cannot go on until somebody makes room.
    fn is_full(&self) -> bool {
        self.wal.lacks_room() || self.engine.is_starved()
    }
}

fn is_due(ticks: u64) -> bool {
    ticks > 0 && ticks.is_multiple_of(PATIENCE_TICKS)
}
