//! The turn: wait once for everything, handle what came, let the ledger work, send.
//!
//! The thread that has the ledger does it with one system call a turn. The disk writes of a turn
//! start before the ledger executes, so that they overlap. Whether the connections are this
//! thread's own or those of others is the [`Front`]'s affair.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use giro_base::BufferPool;
use giro_log::uring::{
    Completion, OWNER_DISK, OWNER_MESSAGE, OWNER_NET, OWNER_PEER, OWNER_WAKE, Ring, Target, Token,
};

use crate::acceptor::{Acceptor, accept_token};
use crate::clock::Clock;
use crate::connection::{Action, Place};
use crate::counters::{Counters, count, set};
use crate::desk::Desk;
use crate::error::ServerError;
use crate::front::Front;
use crate::gate::waited_ms;
use crate::ledger::{Ledger, Standing};
use crate::options::Options;
use crate::port::Turn;
use crate::router::Router;
use crate::server::Control;
use crate::service::Service;
use crate::sweep::{SWEEP_INTERVAL_NS, nanoseconds};

/// Submissions the ring takes at a time; more are handed over in between.
pub(crate) const RING_ENTRIES: u32 = 1024;
/// Completions handled in a turn, so that the ledger gets its turn in a flood.
pub(crate) const COMPLETIONS_PER_TURN_MAX: usize = 1024;
/// Between two ticks of the ledger's clock under load. What is due together expires together, in
/// one operation, and requests behind that wait for it.
const TICK_INTERVAL_NS: u64 = 10_000_000;
/// Longest wait of a turn while the ledger waits for its log to prepare a segment.
const WAIT_MAX_STALLED: Duration = Duration::from_millis(1);

/// Values of tokens of [`OWNER_WAKE`].
const WAKE_STOP: u64 = 0;
pub(crate) const WAKE_CANCELLED: u64 = 1;
pub(crate) const WAKE_SENT: u64 = 2;

/// What the ledger's thread owns.
pub(crate) struct Reactor<L: Ledger, F: Front> {
    // First, so that it is dropped first: it waits for the kernel to let go of all the rest.
    turn: Turn,
    service: Service<L>,
    front: F,
    acceptor: Acceptor,
    counters: Arc<Counters>,
    control: Arc<Control>,
    shutdown_deadline_ns: u64,
    spin: Duration,
    swept: u64,
    /// When the ledger's clock ticked (ns).
    ticked: u64,
    /// When a stop has to be over.
    stop_by: Option<u64>,
}

impl<L: Ledger, F: Front> Reactor<L, F> {
    /// A reactor on the calling thread, which has to be the one that runs it. `front` makes the
    /// connections' side, given the ring and the clock.
    pub(crate) fn new(
        listener: TcpListener,
        control: Arc<Control>,
        mut ledger: L,
        pool: &BufferPool,
        options: &Options,
        front: impl FnOnce(&Turn) -> std::io::Result<F>,
    ) -> Result<Self, ServerError<L::Error>> {
        let mut ring = Ring::new(RING_ENTRIES).map_err(ServerError::Ring)?;
        if !ring.register_pool(pool) {
            tracing::info!("message buffers are not registered with the kernel (ulimit -l)");
        }
        ledger.prepare(&mut ring).map_err(ServerError::Ring)?;
        let count = options.large_replies_max.max(1);
        let replies =
            BufferPool::new(count).map_err(|source| ServerError::Memory { count, source })?;
        let counters = Arc::clone(&control.counters);
        let desk = Desk::new(
            options.cluster,
            Router::new(options.sessions_max),
            replies,
            Arc::clone(&counters),
            options.sessions_max,
        );
        let wake = Token::new(OWNER_WAKE, WAKE_STOP);
        ring.poll_readable(Target::of(&control.wake), wake.0);
        let clock = Clock::start();
        let turn = Turn { ring, clock };
        // Those of a run before this one, of a replica that was opened again, are closed.
        counters.open.store(0, Ordering::Relaxed);
        let front = front(&turn).map_err(ServerError::Ring)?;
        Ok(Self {
            turn,
            service: Service::new(ledger, desk),
            front,
            acceptor: Acceptor::new(listener, options.keepalive, accept_token()),
            counters,
            control,
            shutdown_deadline_ns: nanoseconds(options.shutdown_deadline),
            spin: options.spin,
            swept: 0,
            ticked: 0,
            stop_by: None,
        })
    }

    /// Turns until it is asked to stop and has finished.
    pub(crate) fn run(mut self) -> Result<(), ServerError<L::Error>> {
        let mut more = false;
        loop {
            if self.stop_by.is_none() {
                self.acceptor.arm(&mut self.turn.ring, self.turn.clock.now);
            }
            self.wait(more)?;
            more = self.take_completions()?;
            self.begin_turn()?;
            more |= self.front.serve(&mut self.turn, &mut self.service);
            more |= self.run_ledger()?;
            more |= std::mem::take(&mut self.service.is_preparing);
            self.front.send(&mut self.turn);
            self.settle()?;
            self.pass_time()?;
            if self.is_finished() {
                return self.front.finish(&mut self.turn).map_err(ServerError::Ring);
            }
        }
    }

    fn begin_turn(&mut self) -> Result<(), ServerError<L::Error>> {
        let Service { ledger, desk, .. } = &mut self.service;
        let begun = ledger.begin_turn(self.turn.clock.now);
        begun.map_err(ServerError::Ledger)?;
        // None while nobody leads: what was told stays.
        desk.view = desk.view.max(ledger.view());
        if ledger.is_over() {
            self.stop();
        }
        Ok(())
    }

    fn wait(&mut self, more: bool) -> Result<(), ServerError<L::Error>> {
        let wait_max = if self.service.ledger.is_stalled() {
            WAIT_MAX_STALLED
        } else {
            self.front.wait_max()
        };
        let wait_max = match self.service.ledger.wait_max() {
            Some(shorter) => wait_max.min(shorter),
            None => wait_max,
        };
        let has_work = self.front.before_wait(self.service.desk.is_owing());
        let want = usize::from(!more && !has_work);
        // A write to disk is over soon; when nothing is in flight, the next request may be
        // far away.
        let spin = if self.service.ledger.is_idle() {
            Duration::ZERO
        } else {
            self.spin
        };
        let ring = &mut self.turn.ring;
        let waited = ring.submit_and_spin(want, spin, Some(wait_max));
        waited.map_err(ServerError::Ring)?;
        self.front.after_wait();
        self.turn.clock.read();
        Ok(())
    }

    /// True when there may be more.
    fn take_completions(&mut self) -> Result<bool, ServerError<L::Error>> {
        for _ in 0..COMPLETIONS_PER_TURN_MAX {
            let Some(completion) = self.turn.ring.next_completion() else {
                return Ok(false);
            };
            let token = Token(completion.token);
            match token.owner() {
                OWNER_DISK => self
                    .service
                    .ledger
                    .on_write(token.value(), completion.count())
                    .map_err(ServerError::Ledger)?,
                OWNER_PEER => self
                    .service
                    .ledger
                    .on_peer(&mut self.turn.ring, token.value(), completion)
                    .map_err(ServerError::Ledger)?,
                OWNER_NET => self.on_net(token.value(), completion),
                // Another thread has something for this one; the front looks for it.
                OWNER_MESSAGE => {}
                _ if token.value() == WAKE_STOP => self.begin_stop(),
                _ => {}
            }
        }
        Ok(true)
    }

    fn on_net(&mut self, value: u64, completion: Completion) {
        let (action, place) = Place::from_token(value);
        match action {
            Some(Action::Accept) => self.on_accepted(completion),
            Some(action) => self.front.on_operation(
                &mut self.turn,
                &mut self.service,
                (action, place),
                completion,
            ),
            None => unreachable!("tokens of the port are made by the port"),
        }
    }

    fn on_accepted(&mut self, completion: Completion) {
        let now = self.turn.clock.now;
        let Some(socket) = self.acceptor.on_completion(completion, now) else {
            return;
        };
        if self.stop_by.is_some() {
            return;
        }
        self.acceptor.configure(&socket);
        // Before the connection is known to anybody who could close it.
        count(&self.counters.open);
        if self.front.adopt(&mut self.turn, &mut self.service, socket) {
            count(&self.counters.accepted);
        } else {
            self.counters.open.fetch_sub(1, Ordering::Relaxed);
            count(&self.counters.refused);
        }
    }

    /// Lets the ledger start its writes and execute what is durable. True when more is ready.
    fn run_ledger(&mut self) -> Result<bool, ServerError<L::Error>> {
        if let Some(error) = self.service.failure.take() {
            return Err(ServerError::Ledger(error));
        }
        let Service { ledger, desk, .. } = &mut self.service;
        let (ring, front) = (&mut self.turn.ring, &mut self.front);
        while let Some(client) = desk.next_owed() {
            // It may be the reply to a later write by now.
            if ledger.may_resend(client)
                && let Some(reply) = ledger.last_reply(client)
            {
                desk.deliver(&reply, front);
            }
        }
        ledger.flush(ring).map_err(ServerError::Ledger)?;
        if ledger.is_idle() {
            return Ok(false);
        }
        if ledger.is_ready() || ledger.can_decide_ahead() {
            // The disk works while the ledger does.
            ring.submit_and_wait(0, None).map_err(ServerError::Ring)?;
        }
        if !ledger.is_ready() {
            ledger.decide_ahead().map_err(ServerError::Ledger)?;
            return Ok(false);
        }
        let more = ledger.execute(&mut |reply| desk.deliver(&reply, front));
        let more = more.map_err(ServerError::Ledger)?;
        // What was executed made room for who waits.
        Ok(more || front.has_held())
    }

    /// Does what executing left behind its replies, once these are on their way.
    fn settle(&mut self) -> Result<(), ServerError<L::Error>> {
        if !self.service.ledger.is_settled() {
            let submitted = self.turn.ring.submit_and_wait(0, None);
            submitted.map_err(ServerError::Ring)?;
            self.service.ledger.settle();
        }
        Ok(())
    }

    fn pass_time(&mut self) -> Result<(), ServerError<L::Error>> {
        let clock = self.turn.clock;
        if clock.now - self.ticked >= TICK_INTERVAL_NS {
            self.ticked = clock.now;
            self.service.ledger.tick(clock.wall);
        }
        if clock.now - self.swept < SWEEP_INTERVAL_NS {
            return Ok(());
        }
        self.swept = clock.now;
        self.note_ledger();
        self.front.sweep(clock.now).map_err(ServerError::Ring)
    }

    /// Shows how the ledger stands.
    fn note_ledger(&self) {
        let (ledger, counters) = (&self.service.ledger, &self.counters);
        let is_serving = ledger.standing() == Standing::Serving;
        set(&counters.ledger_op, ledger.commit_op());
        set(&counters.ledger_serving, is_serving.into());
        set(&counters.ledger_stalled, ledger.is_stalled().into());
        if let Some(gate) = ledger.gate() {
            set(&counters.gate_degraded, gate.is_degraded.into());
            set(&counters.gate_held, gate.held as u64);
            set(&counters.gate_waited_ms, waited_ms(&gate));
            set(&counters.gate_passed, gate.passed);
        }
    }

    fn begin_stop(&mut self) {
        if self.control.stop.load(Ordering::Acquire) {
            self.stop();
        }
    }

    /// Takes nothing new, and ends when all that was taken is answered.
    fn stop(&mut self) {
        if self.stop_by.is_none() {
            let now = self.turn.clock.now;
            let stop_by = now.saturating_add(self.shutdown_deadline_ns);
            self.stop_by = Some(stop_by);
            self.service.ledger.begin_stop();
            let cancelled = Token::new(OWNER_WAKE, WAKE_CANCELLED);
            self.acceptor.stop(&mut self.turn.ring, cancelled.0);
            self.front.begin_stop(&mut self.turn, stop_by);
        }
    }

    /// Whether a stop was asked for, and all that was taken is answered or time is up.
    fn is_finished(&self) -> bool {
        let Some(stop_by) = self.stop_by else {
            return false;
        };
        let Service { ledger, desk, .. } = &self.service;
        let finished = ledger.is_idle() && !desk.is_owing() && self.front.is_answered();
        if !finished && self.turn.clock.now >= stop_by {
            tracing::warn!("stopped before every reply was taken by its client");
            return true;
        }
        finished
    }
}
