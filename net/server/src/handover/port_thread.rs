//! The turn of a port thread: wait, receive and verify, hand over, send.

use std::io;
use std::sync::atomic::Ordering;

use giro_log::uring::{OWNER_NET, Ring, Token};

use super::courier::Courier;
use super::link::{GATHERINGS, Link, Phase};
use crate::clock::Clock;
use crate::connection::{Action, Place};
use crate::port::{Port, Turn};
use crate::reactor::{COMPLETIONS_PER_TURN_MAX, RING_ENTRIES};
use crate::sweep::SWEEP_INTERVAL_NS;

/// What a port thread owns.
pub(super) struct PortThread {
    // First, so that it is dropped first: it waits for the kernel to let go of all the rest.
    turn: Turn,
    port: Port,
    courier: Courier,
    swept: u64,
    phase: Phase,
    stop_by: u64,
}

impl PortThread {
    /// On the calling thread, which has to be the one that runs it.
    ///
    /// # Errors
    /// The ring's.
    pub(super) fn new(clock: Clock, port: Port, courier: Courier) -> io::Result<Self> {
        let ring = Ring::new(RING_ENTRIES)?;
        courier.link.sleeper.set_ring(&ring)?;
        Ok(Self {
            turn: Turn { ring, clock },
            port,
            courier,
            swept: clock.now,
            phase: Phase::Running,
            stop_by: u64::MAX,
        })
    }

    /// Turns until the first thread says that it is over.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut more = false;
        loop {
            self.wait(more)?;
            more = self.take_completions();
            self.hear();
            self.take_connections();
            self.take_answers();
            self.courier.take_back(&mut self.port, &mut self.turn);
            self.port.serve_waiting(&mut self.turn, &mut self.courier);
            self.port.serve_held(&mut self.turn, &mut self.courier);
            self.port.start_sends(&mut self.turn);
            self.pass_time();
            self.count_closed();
            self.courier.report(&mut self.turn);
            if self.is_finished() {
                return Ok(());
            }
        }
    }

    fn wait(&mut self, more: bool) -> io::Result<()> {
        let link = &self.courier.link;
        let is_starved = self.port.has_lines() || self.courier.is_awaiting();
        link.sleeper.bell.lie_down(is_starved);
        let has_work = !link.answers.is_empty()
            || !link.sockets.is_empty()
            || (is_starved && !link.returned.is_empty())
            || self.port.can_serve_waiting()
            || self.courier.orders.heard().0 != self.phase;
        let want = usize::from(!more && !has_work);
        let wait_max = self.port.wait_max();
        self.turn.ring.submit_and_wait(want, Some(wait_max))?;
        self.courier.link.sleeper.bell.get_up();
        self.turn.clock.read();
        Ok(())
    }

    /// True when there may be more.
    fn take_completions(&mut self) -> bool {
        for _ in 0..COMPLETIONS_PER_TURN_MAX {
            let Some(completion) = self.turn.ring.next_completion() else {
                return false;
            };
            let token = Token(completion.token);
            if token.owner() != OWNER_NET {
                // A wake-up that came, or one that was sent.
                continue;
            }
            let (action, place) = Place::from_token(token.value());
            let action = action.expect("tokens of the port are made by the port");
            // The end of a send may have given back the buffer of a reply.
            self.courier.gave_back |= action == Action::Send;
            let what = (action, place);
            let (turn, courier) = (&mut self.turn, &mut self.courier);
            self.port.on_operation(turn, courier, what, completion);
        }
        true
    }

    /// Listens before answers are taken: behind "answered" there are none.
    fn hear(&mut self) {
        let (phase, stop_by) = self.courier.orders.heard();
        if phase != Phase::Running && self.phase == Phase::Running {
            self.port.begin_stop();
        }
        (self.phase, self.stop_by) = (phase, stop_by);
    }

    fn take_connections(&mut self) {
        while let Some(socket) = self.courier.link.sockets.pop() {
            let (turn, courier) = (&mut self.turn, &mut self.courier);
            let adopted = self.port.adopt(turn, courier, socket);
            assert!(adopted, "the first thread keeps to the limit");
        }
    }

    fn take_answers(&mut self) {
        for _ in 0..GATHERINGS {
            let Some(mut answers) = self.courier.link.answers.pop() else {
                return;
            };
            answers.deliver(&mut self.port);
            Link::put(&self.courier.link.spent, answers);
            self.courier.gave_back = true;
        }
    }

    fn pass_time(&mut self) {
        let now = self.turn.clock.now;
        if now - self.swept >= SWEEP_INTERVAL_NS {
            self.swept = now;
            self.port.sweep(now);
        }
    }

    /// Tells the first thread how many connections were closed, which deals by that.
    fn count_closed(&mut self) {
        let closed = self.port.take_closed();
        if closed > 0 {
            self.courier.link.open.fetch_sub(closed, Ordering::Relaxed);
            // With them went the buffers of replies that were not taken.
            self.courier.gave_back = true;
        }
    }

    fn is_finished(&self) -> bool {
        match self.phase {
            Phase::Running => false,
            Phase::Stopping => self.turn.clock.now >= self.stop_by,
            Phase::Answered => {
                let answered = self.courier.link.answers.is_empty() && self.port.is_answered();
                answered || self.turn.clock.now >= self.stop_by
            }
            Phase::Abandoned => true,
        }
    }
}
