//! A leader whose disk is full: it would hold everybody up, though others may have room.

use giro_replication::Role;

use super::Replica;

/// Ticks without room (20 ms each) after which leadership is handed over, and then tried again.
const ROOMLESS_TICKS: u32 = 50;

impl Replica {
    /// Hands leadership over when there has been no room for a while. To be called each tick.
    pub(super) fn look_for_room(&mut self) {
        let leads = self.group.role().role == Role::Leader;
        if !leads || !self.lacks_room() {
            self.roomless_ticks = 0;
            return;
        }
        self.roomless_ticks += 1;
        if self.roomless_ticks < ROOMLESS_TICKS {
            return;
        }
        self.roomless_ticks = 0;
        if let Some(to) = self.group.give_way() {
            let replica = to - 1;
            tracing::warn!(replica, "no room on this disk: hands leadership over");
        }
    }

    /// Whether neither log nor history can go on until somebody makes room.
    fn lacks_room(&self) -> bool {
        self.wal.lacks_room() || self.engine.is_starved()
    }
}
