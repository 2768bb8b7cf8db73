//! What stands between the first thread and the connections: nothing but its own port, or the
//! crew of port threads.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use giro_log::uring::Completion;

use crate::connection::{Action, Place};
use crate::ledger::Ledger;
use crate::outbox::Outlets;
use crate::port::{Port, Turn};
use crate::service::Service;

/// The connections, seen from the thread that has the ledger.
pub(crate) trait Front: Outlets {
    /// Takes an accepted connection; false (and it is closed) when there is no room.
    fn adopt<L: Ledger>(
        &mut self,
        turn: &mut Turn,
        service: &mut Service<L>,
        socket: OwnedFd,
    ) -> bool;

    /// An operation on a connection of this thread ended.
    fn on_operation<L: Ledger>(
        &mut self,
        turn: &mut Turn,
        service: &mut Service<L>,
        what: (Action, Place),
        completion: Completion,
    );

    /// Offers the service what is there or in line for it; true when there may be more.
    fn serve<L: Ledger>(&mut self, turn: &mut Turn, service: &mut Service<L>) -> bool;

    /// Whether requests are in line for room in the ledger.
    fn has_held(&self) -> bool;

    /// How long a turn may wait.
    fn wait_max(&self) -> Duration;

    /// Called before each wait; `owing` when replies wait for a buffer. True when there is
    /// something to do already.
    fn before_wait(&mut self, owing: bool) -> bool;

    /// Called after each wait.
    fn after_wait(&mut self);

    /// Sees the answers of the turn off.
    fn send(&mut self, turn: &mut Turn);

    /// Looks at deadlines.
    ///
    /// # Errors
    /// Those of other threads, which end the process.
    fn sweep(&mut self, now: u64) -> io::Result<()>;

    /// From now on takes nothing more. The stop is over at `stop_by` (ns).
    fn begin_stop(&mut self, turn: &mut Turn, stop_by: u64);

    /// Whether all answers given so far are on their way.
    fn is_answered(&self) -> bool;

    /// Ends; no answers follow.
    ///
    /// # Errors
    /// Those of other threads.
    fn finish(&mut self, turn: &mut Turn) -> io::Result<()>;
}

/// One thread: the connections are its own.
impl Front for Port {
    fn adopt<L: Ledger>(
        &mut self,
        turn: &mut Turn,
        service: &mut Service<L>,
        socket: OwnedFd,
    ) -> bool {
        Self::adopt(self, turn, service, socket)
    }

    fn on_operation<L: Ledger>(
        &mut self,
        turn: &mut Turn,
        service: &mut Service<L>,
        what: (Action, Place),
        completion: Completion,
    ) {
        Self::on_operation(self, turn, service, what, completion);
    }

    fn serve<L: Ledger>(&mut self, turn: &mut Turn, service: &mut Service<L>) -> bool {
        self.serve_waiting(turn, service);
        self.serve_held(turn, service);
        false
    }

    fn has_held(&self) -> bool {
        Self::has_held(self)
    }

    fn wait_max(&self) -> Duration {
        Self::wait_max(self)
    }

    fn before_wait(&mut self, _owing: bool) -> bool {
        false
    }

    fn after_wait(&mut self) {}

    fn send(&mut self, turn: &mut Turn) {
        self.start_sends(turn);
    }

    fn sweep(&mut self, now: u64) -> io::Result<()> {
        Self::sweep(self, now);
        Ok(())
    }

    fn begin_stop(&mut self, _turn: &mut Turn, _stop_by: u64) {
        Self::begin_stop(self);
    }

    fn is_answered(&self) -> bool {
        Self::is_answered(self)
    }

    fn finish(&mut self, _turn: &mut Turn) -> io::Result<()> {
        Ok(())
    }
}
