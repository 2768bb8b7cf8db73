//! The turn: wait once for everything, handle what came, let the ledger work, send.
//!
//! One thread does all of it with one system call a turn. The disk writes of a turn start before
//! the ledger executes, so that they overlap.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use giro_base::{BufferPool, Timestamp};
use giro_log::uring::{Completion, OWNER_DISK, OWNER_NET, OWNER_WAKE, Ring, Target, Token};
use giro_wire::RefusalReason;
use rustix::net::Shutdown;

use crate::acceptor::Acceptor;
use crate::connection::{Action, Connections, Place, Stage};
use crate::counters::{Counters, count};
use crate::desk::Desk;
use crate::error::ServerError;
use crate::io;
use crate::ledger::Ledger;
use crate::options::Options;
use crate::receive::{Next, Received};
use crate::router::Router;
use crate::server::Control;
use crate::service::{Circumstance, Handled, Service};
use crate::sweep::{Deadlines, Missed, SWEEP_INTERVAL_NS, nanoseconds};

/// Submissions the ring takes at a time; more are handed over in between.
const RING_ENTRIES: u32 = 1024;
/// Completions handled in a turn, so that the ledger gets its turn in a flood.
const COMPLETIONS_PER_TURN_MAX: usize = 1024;
/// Longest wait of a turn: the ledger's clock ticks at least this often.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// The same while requests wait for room, whose deadlines are shorter.
const WAIT_MAX_BUSY: Duration = Duration::from_millis(20);

/// The same while the ledger waits for its log to prepare a segment.
const WAIT_MAX_STALLED: Duration = Duration::from_millis(1);

/// Values of tokens of [`OWNER_WAKE`].
const WAKE_STOP: u64 = 0;
const WAKE_CANCELLED: u64 = 1;

/// Everything the port's thread owns.
pub(crate) struct Reactor<L: Ledger> {
    // First, so that it is dropped first: it waits for the kernel to let go of all the rest.
    ring: Ring,
    connections: Connections,
    service: Service<L>,
    acceptor: Acceptor,
    pool: BufferPool,
    counters: Arc<Counters>,
    control: Arc<Control>,
    /// Connections in line for a buffer, and for room in the ledger.
    waiting: VecDeque<Place>,
    held: VecDeque<Place>,
    reserved_buffers: usize,
    request_deadline_ns: u64,
    shutdown_deadline_ns: u64,
    spin: Duration,
    deadlines: Deadlines,
    cluster: u128,
    started: Instant,
    /// Nanoseconds since `started`, and the wall clock, both of this turn.
    now: u64,
    wall: Timestamp,
    swept: u64,
    /// When a stop has to be over.
    stop_by: Option<u64>,
}

impl<L: Ledger> Reactor<L> {
    /// A reactor on the calling thread, which has to be the one that runs it.
    pub(crate) fn new(
        listener: TcpListener,
        control: Arc<Control>,
        mut ledger: L,
        pool: BufferPool,
        options: &Options,
    ) -> Result<Self, ServerError<L::Error>> {
        let mut ring = Ring::new(RING_ENTRIES).map_err(ServerError::Ring)?;
        if !ring.register_pool(&pool) {
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
        Ok(Self {
            ring,
            connections: Connections::new(options.connections_max),
            service: Service::new(ledger, desk),
            acceptor: Acceptor::new(listener, options.keepalive),
            pool,
            counters,
            control,
            waiting: VecDeque::with_capacity(options.connections_max),
            held: VecDeque::with_capacity(options.connections_max),
            reserved_buffers: options.reserved_buffers,
            request_deadline_ns: nanoseconds(options.request_deadline),
            shutdown_deadline_ns: nanoseconds(options.shutdown_deadline),
            spin: options.spin,
            deadlines: Deadlines::new(options),
            cluster: options.cluster,
            started: Instant::now(),
            now: 0,
            wall: 0,
            swept: 0,
            stop_by: None,
        })
    }

    /// Turns until it is asked to stop and has finished.
    pub(crate) fn run(mut self) -> Result<(), ServerError<L::Error>> {
        self.read_clocks();
        let mut more = false;
        loop {
            if self.stop_by.is_none() {
                self.acceptor.arm(&mut self.ring, self.now);
            }
            let wait_max = self.wait_max();
            let want = usize::from(!more);
            // A write to disk is over soon; when nothing is in flight, the next request may be
            // far away.
            let spin = if self.service.ledger.is_idle() {
                Duration::ZERO
            } else {
                self.spin
            };
            let waited = self.ring.submit_and_spin(want, spin, Some(wait_max));
            waited.map_err(ServerError::Ring)?;
            self.read_clocks();
            more = self.take_completions()?;
            self.serve_waiting();
            self.serve_held();
            more |= self.run_ledger()?;
            self.start_sends();
            self.settle()?;
            self.pass_time();
            if self.is_finished() {
                return Ok(());
            }
        }
    }

    fn wait_max(&self) -> Duration {
        if self.service.ledger.is_stalled() {
            WAIT_MAX_STALLED
        } else if self.waiting.is_empty() && self.held.is_empty() {
            WAIT_MAX
        } else {
            WAIT_MAX_BUSY
        }
    }

    fn read_clocks(&mut self) {
        self.now = nanoseconds(self.started.elapsed());
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // A clock before 1970 is as good as one that stands still: the ledger's time only rises.
        self.wall = wall.map_or(1, nanoseconds);
    }

    /// True when there may be more.
    fn take_completions(&mut self) -> Result<bool, ServerError<L::Error>> {
        for _ in 0..COMPLETIONS_PER_TURN_MAX {
            let Some(completion) = self.ring.next_completion() else {
                return Ok(false);
            };
            let token = Token(completion.token);
            match token.owner() {
                OWNER_DISK => self
                    .service
                    .ledger
                    .on_write(token.value(), completion.count())
                    .map_err(ServerError::Ledger)?,
                OWNER_NET => self.on_net(token.value(), completion),
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
            Some(Action::Receive) => self.on_received(place, completion),
            Some(Action::Send) => self.on_sent(place, completion),
            None => unreachable!("tokens of the port are made by the port"),
        }
    }

    fn on_accepted(&mut self, completion: Completion) {
        let Some(socket) = self.acceptor.on_completion(completion, self.now) else {
            return;
        };
        if self.stop_by.is_some() {
            return;
        }
        self.acceptor.configure(&socket);
        match self.connections.insert(socket, self.now) {
            Some(place) => {
                count(&self.counters.accepted);
                self.count_open();
                self.drive(place, None);
            }
            None => count(&self.counters.refused),
        }
    }

    fn on_received(&mut self, place: Place, completion: Completion) {
        let connection = self.connections.get(place);
        let connection = connection.expect("a connection outlives its operations");
        connection.receive_in_flight = false;
        if connection.stage == Stage::Closing {
            return self.close(place);
        }
        match completion.count() {
            Ok(bytes) if bytes > 0 => {
                connection.receiver.on_received(bytes);
                self.drive(place, None);
            }
            // The peer is gone, by its own will or not.
            Ok(_) | Err(_) => self.close(place),
        }
    }

    fn on_sent(&mut self, place: Place, completion: Completion) {
        let connection = self.connections.get(place);
        let connection = connection.expect("a connection outlives its operations");
        connection.send_in_flight = false;
        if connection.stage == Stage::Closing {
            return self.close(place);
        }
        let sent = match completion.count() {
            Ok(sent) if sent > 0 => sent,
            Ok(_) | Err(_) => return self.close(place),
        };
        io::continue_send(&mut self.ring, place, connection, sent);
        let goes_on = connection.stage == Stage::Paused && !connection.sender.is_full();
        self.connections.list(place);
        if goes_on {
            self.drive(place, None);
        }
    }

    /// Handles what a connection has, until it needs something: bytes, a buffer, or room in the
    /// ledger. `head` is since when it has been in line for room, if it is its turn.
    fn drive(&mut self, place: Place, mut head: Option<u64>) {
        let Some(connection) = self.connections.get(place) else {
            return;
        };
        loop {
            if self.stop_by.is_some() || connection.sender.is_full() {
                connection.stage = Stage::Paused;
                break;
            }
            match connection.receiver.next(self.cluster) {
                Next::More => {
                    if !connection.receiver.is_inside_message() {
                        connection.message_began = None;
                    } else if connection.message_began.is_none() {
                        connection.message_began = Some(self.now);
                    }
                    io::start_receive(&mut self.ring, place, connection);
                    connection.stage = Stage::Receiving;
                    break;
                }
                Next::Buffer => {
                    let free = self.pool.free_count() > self.reserved_buffers;
                    let take = free && self.waiting.is_empty();
                    let Some(buffer) = take.then(|| self.pool.take()).flatten() else {
                        connection.message_began = None;
                        connection.stage = Stage::Waiting { since: self.now };
                        self.waiting.push_back(place);
                        break;
                    };
                    connection.receiver.give(buffer);
                }
                Next::Message => {
                    connection.has_greeted = true;
                    connection.message_began = None;
                    let at = Circumstance {
                        place,
                        now: self.wall,
                        others_wait: head.is_none() && !self.held.is_empty(),
                    };
                    let (receiver, sender) = (&mut connection.receiver, &mut connection.sender);
                    match self.service.handle(at, receiver, sender) {
                        Handled::Done => head = None,
                        handled => {
                            let since = head.unwrap_or(self.now);
                            connection.stage = Stage::Held { since };
                            if head.is_some() && handled == Handled::Hold {
                                self.held.push_front(place);
                            } else {
                                self.held.push_back(place);
                            }
                            break;
                        }
                    }
                }
                Next::Ignored(fault) => {
                    tracing::debug!(%fault, "message ignored");
                    count(&self.counters.ignored);
                }
                Next::Close(fault) => {
                    tracing::debug!(%fault, "connection closed");
                    count(&self.counters.closed_fault);
                    return self.close(place);
                }
            }
        }
        self.connections.list(place);
    }

    /// Gives buffers to those in line; who has been there too long loses its message.
    fn serve_waiting(&mut self) {
        while let Some(&place) = self.waiting.front() {
            let Some(connection) = self.connections.get(place) else {
                self.waiting.pop_front();
                continue;
            };
            let Stage::Waiting { since } = connection.stage else {
                self.waiting.pop_front();
                continue;
            };
            let free = self.pool.free_count() > self.reserved_buffers;
            if let Some(buffer) = free.then(|| self.pool.take()).flatten() {
                connection.receiver.give(buffer);
            } else if self.now.saturating_sub(since) > self.request_deadline_ns {
                count(&self.counters.dropped_busy);
                if let Some(request) = connection.receiver.waiting_request() {
                    let sender = &mut connection.sender;
                    self.service
                        .desk
                        .refuse(request, RefusalReason::Busy, sender);
                }
                connection.receiver.skip();
            } else {
                break;
            }
            self.waiting.pop_front();
            self.drive(place, None);
        }
    }

    /// Offers the ledger the requests in line, up to the first write it has no room for; one
    /// that has been there too long is dropped.
    fn serve_held(&mut self) {
        for _ in 0..self.held.len() {
            let Some(place) = self.held.pop_front() else {
                return;
            };
            let Some(connection) = self.connections.get(place) else {
                continue;
            };
            let Stage::Held { since } = connection.stage else {
                continue;
            };
            if self.now.saturating_sub(since) > self.request_deadline_ns {
                count(&self.counters.dropped_busy);
                if let Received::Request(request, _) = connection.receiver.message() {
                    let sender = &mut connection.sender;
                    self.service
                        .desk
                        .refuse(request, RefusalReason::Busy, sender);
                }
                drop(connection.receiver.consume());
                self.drive(place, None);
                continue;
            }
            self.drive(place, Some(since));
            if self.held.front() == Some(&place) {
                break;
            }
        }
    }

    /// Lets the ledger start its writes and execute what is durable. True when more is ready.
    fn run_ledger(&mut self) -> Result<bool, ServerError<L::Error>> {
        let Service { ledger, desk, .. } = &mut self.service;
        while let Some(client) = desk.next_owed() {
            if let Some(reply) = ledger.last_reply(client) {
                desk.deliver(&reply, &mut self.connections);
            }
        }
        ledger.flush(&mut self.ring).map_err(ServerError::Ledger)?;
        if ledger.is_idle() {
            return Ok(false);
        }
        if ledger.is_ready() || ledger.can_resolve_ahead() {
            // The disk works while the ledger does.
            let submitted = self.ring.submit_and_wait(0, None);
            submitted.map_err(ServerError::Ring)?;
        }
        if !ledger.is_ready() {
            ledger.resolve_ahead();
            return Ok(false);
        }
        let connections = &mut self.connections;
        let more = ledger.execute(&mut |reply| desk.deliver(&reply, connections));
        // What was executed made room for who waits.
        Ok(more || !self.held.is_empty())
    }

    fn start_sends(&mut self) {
        while let Some(place) = self.connections.next_listed() {
            if let Some(connection) = self.connections.get(place)
                && connection.stage != Stage::Closing
            {
                io::start_send(&mut self.ring, place, connection, self.now);
            }
        }
    }

    /// Does what executing left behind its replies, once these are on their way.
    fn settle(&mut self) -> Result<(), ServerError<L::Error>> {
        if !self.service.ledger.is_settled() {
            let submitted = self.ring.submit_and_wait(0, None);
            submitted.map_err(ServerError::Ring)?;
            self.service.ledger.settle();
        }
        Ok(())
    }

    fn pass_time(&mut self) {
        if self.now - self.swept < SWEEP_INTERVAL_NS {
            return;
        }
        self.swept = self.now;
        self.service.ledger.tick(self.wall);
        for (place, missed) in self.deadlines.missed(&self.connections, self.now) {
            let counters = &self.counters;
            count(match missed {
                Missed::Receive => &counters.closed_receive_deadline,
                Missed::Send => &counters.closed_send_deadline,
                Missed::Greeting => &counters.closed_greeting_deadline,
            });
            self.close(place);
        }
    }

    /// Ends a connection: at once, or when the kernel has let go of its memory.
    fn close(&mut self, place: Place) {
        let connection = self.connections.get(place);
        let connection = connection.expect("only open connections are closed");
        if connection.stage != Stage::Closing {
            connection.stage = Stage::Closing;
            connection.message_began = None;
            // Ends what is in flight. A socket that is not connected any more needs nothing.
            let _ = rustix::net::shutdown(&connection.socket, Shutdown::Both);
        }
        if !connection.receive_in_flight && !connection.send_in_flight {
            self.connections.remove(place);
            self.count_open();
        }
    }

    fn count_open(&self) {
        let open = self.connections.count() as u64;
        self.counters.open.store(open, Ordering::Relaxed);
    }

    fn begin_stop(&mut self) {
        if self.stop_by.is_none() && self.control.stop.load(Ordering::Acquire) {
            self.stop_by = Some(self.now.saturating_add(self.shutdown_deadline_ns));
            let cancelled = Token::new(OWNER_WAKE, WAKE_CANCELLED);
            self.acceptor.stop(&mut self.ring, cancelled.0);
        }
    }

    /// Whether a stop was asked for, and all that was taken is answered or time is up.
    fn is_finished(&self) -> bool {
        let Some(stop_by) = self.stop_by else {
            return false;
        };
        let answered = || self.connections.iter().all(|(_, c)| c.sender.is_idle());
        let finished = self.service.ledger.is_idle() && answered();
        if !finished && self.now >= stop_by {
            tracing::warn!("stopped before every reply was taken by its client");
            return true;
        }
        finished
    }
}
