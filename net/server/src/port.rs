//! A thread's connections: receiving, the lines for what is scarce, sending, deadlines.
//!
//! What becomes of a message is a [`Handler`]'s affair: the ledger's service on the same thread,
//! or the hand-over to the thread that has it.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use giro_base::{Buffer, BufferPool};
use giro_log::uring::{Completion, Ring};
use giro_wire::RefusalReason;
use rustix::net::Shutdown;

use crate::clock::Clock;
use crate::connection::{Action, Connection, Connections, Place, Stage};
use crate::counters::{Counters, count};
use crate::desk::{VIEW_SILENT, refuse};
use crate::io;
use crate::options::Options;
use crate::outbox::{LocalOutbox, Outlets, Route};
use crate::receive::{Incoming, Next, Received};
use crate::sweep::{Deadlines, Missed, nanoseconds};

/// Longest wait of a turn: the ledger's clock ticks at least this often.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// The same while requests wait for room, whose deadlines are shorter.
const WAIT_MAX_BUSY: Duration = Duration::from_millis(20);

/// A thread's ring, and the time of its turn.
pub(crate) struct Turn {
    pub(crate) ring: Ring,
    pub(crate) clock: Clock,
}

/// Whether a message is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    /// It is; [`Incoming::consume`] was called.
    Done,
    /// There is no room for it now; ask again with the same message.
    Hold,
    /// There is no buffer for its reply now; ask again. Writes need not wait behind it.
    HoldRead,
    /// What its connection said before comes first; the handler asks for it again.
    Pause,
}

/// When and where a message is handled.
pub(crate) struct Occasion<'a> {
    /// Its connection.
    pub(crate) place: Place,
    /// Since when it has been in line for room (ns), which is now when it comes first.
    pub(crate) since: u64,
    /// The time of the turn.
    pub(crate) clock: Clock,
    /// Others wait for room, and it is not this one's turn.
    pub(crate) others_wait: bool,
    /// Where what happens is counted.
    pub(crate) counters: &'a Counters,
}

/// Decides what becomes of messages.
pub(crate) trait Handler {
    /// Handles the message that the connection's receiver has.
    fn handle(&mut self, at: &Occasion<'_>, connection: &mut Connection) -> Handled;
}

/// The connections of a thread.
pub(crate) struct Port {
    pub(crate) connections: Connections,
    pool: BufferPool,
    pub(crate) counters: Arc<Counters>,
    /// Connections in line for a buffer, and for room in the ledger or on the way to it.
    waiting: VecDeque<Place>,
    held: VecDeque<Place>,
    reserved_buffers: usize,
    request_deadline_ns: u64,
    deadlines: Deadlines,
    cluster: u128,
    /// Connections closed and not asked for.
    closed: usize,
    /// Nothing more is received or handled.
    is_stopping: bool,
}

impl Port {
    /// A port without connections, whose messages are received into buffers of `pool`.
    pub(crate) fn new(pool: BufferPool, counters: Arc<Counters>, options: &Options) -> Self {
        Self {
            connections: Connections::new(options.connections_max),
            pool,
            counters,
            waiting: VecDeque::with_capacity(options.connections_max),
            held: VecDeque::with_capacity(options.connections_max),
            reserved_buffers: options.reserved_buffers,
            request_deadline_ns: nanoseconds(options.request_deadline),
            deadlines: Deadlines::new(options),
            cluster: options.cluster,
            closed: 0,
            is_stopping: false,
        }
    }

    /// How long a turn may wait.
    pub(crate) fn wait_max(&self) -> Duration {
        wait_max(!self.waiting.is_empty() || !self.held.is_empty())
    }

    /// Whether connections are in line for a buffer that is there.
    pub(crate) fn can_serve_waiting(&self) -> bool {
        !self.waiting.is_empty() && self.pool.free_count() > self.reserved_buffers
    }

    /// Whether connections are in line.
    pub(crate) fn has_lines(&self) -> bool {
        !self.waiting.is_empty() || !self.held.is_empty()
    }

    /// Whether requests are in line for room.
    pub(crate) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes a connection in; false (and it is closed) when there is no room.
    pub(crate) fn adopt(
        &mut self,
        turn: &mut Turn,
        handler: &mut impl Handler,
        socket: OwnedFd,
    ) -> bool {
        let Some(place) = self.connections.insert(socket, turn.clock.now) else {
            return false;
        };
        self.drive(turn, handler, place, None);
        true
    }

    /// Handles the end of an operation on a connection.
    pub(crate) fn on_operation(
        &mut self,
        turn: &mut Turn,
        handler: &mut impl Handler,
        (action, place): (Action, Place),
        completion: Completion,
    ) {
        match action {
            Action::Receive => self.on_received(turn, handler, place, completion),
            Action::Send => self.on_sent(turn, handler, place, completion),
            Action::Accept => unreachable!("no connection accepts"),
        }
    }

    fn on_received(
        &mut self,
        turn: &mut Turn,
        handler: &mut impl Handler,
        place: Place,
        completion: Completion,
    ) {
        let connection = self.connections.get(place);
        let connection = connection.expect("a connection outlives its operations");
        connection.receive_in_flight = false;
        if connection.stage == Stage::Closing {
            return self.close(place);
        }
        match completion.count() {
            Ok(bytes) if bytes > 0 => {
                connection.receiver.on_received(bytes);
                self.drive(turn, handler, place, None);
            }
            // The peer is gone, by its own will or not.
            Ok(_) | Err(_) => self.close(place),
        }
    }

    fn on_sent(
        &mut self,
        turn: &mut Turn,
        handler: &mut impl Handler,
        place: Place,
        completion: Completion,
    ) {
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
        io::continue_send(&mut turn.ring, place, connection, sent);
        self.connections.list(place);
        self.resume(turn, handler, place);
    }

    /// Goes on with a connection that was paused, if it is.
    pub(crate) fn resume(&mut self, turn: &mut Turn, handler: &mut impl Handler, place: Place) {
        let connection = self.connections.get(place);
        if connection.is_some_and(|c| c.stage == Stage::Paused && !c.sender.is_full()) {
            self.drive(turn, handler, place, None);
        }
    }

    /// Handles what a connection has, until it needs something: bytes, a buffer, or room in the
    /// ledger. `head` is since when it has been in line for room, if it is its turn.
    fn drive(
        &mut self,
        turn: &mut Turn,
        handler: &mut impl Handler,
        place: Place,
        mut head: Option<u64>,
    ) {
        let Some(connection) = self.connections.get(place) else {
            return;
        };
        loop {
            if self.is_stopping || connection.sender.is_full() {
                connection.stage = Stage::Paused;
                break;
            }
            match connection.receiver.next(self.cluster) {
                Next::More => {
                    await_bytes(turn, place, connection);
                    break;
                }
                Next::Buffer => {
                    let is_first = self.waiting.is_empty();
                    let spare = || spare_buffer(&self.pool, self.reserved_buffers);
                    let Some(buffer) = is_first.then(spare).flatten() else {
                        connection.message_began = None;
                        let since = turn.clock.now;
                        connection.stage = Stage::Waiting { since };
                        self.waiting.push_back(place);
                        break;
                    };
                    connection.receiver.give(buffer);
                }
                Next::Message => {
                    greet(connection);
                    let at = Occasion {
                        place,
                        since: head.unwrap_or(turn.clock.now),
                        clock: turn.clock,
                        others_wait: head.is_none() && !self.held.is_empty(),
                        counters: &self.counters,
                    };
                    match handler.handle(&at, connection) {
                        Handled::Done => head = None,
                        Handled::Pause => {
                            connection.stage = Stage::Paused;
                            break;
                        }
                        handled => {
                            connection.stage = Stage::Held { since: at.since };
                            let stays_first = head.is_some() && handled == Handled::Hold;
                            line_up(&mut self.held, place, stays_first);
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
    pub(crate) fn serve_waiting(&mut self, turn: &mut Turn, handler: &mut impl Handler) {
        while let Some(&place) = self.waiting.front() {
            let Some(connection) = self.connections.get(place) else {
                self.waiting.pop_front();
                continue;
            };
            let Stage::Waiting { since } = connection.stage else {
                self.waiting.pop_front();
                continue;
            };
            if let Some(buffer) = spare_buffer(&self.pool, self.reserved_buffers) {
                connection.receiver.give(buffer);
            } else if turn.clock.now.saturating_sub(since) > self.request_deadline_ns {
                count(&self.counters.dropped_busy);
                if let Some(request) = connection.receiver.waiting_request() {
                    let (sender, counters) = (&mut connection.sender, &*self.counters);
                    let mut outbox = LocalOutbox { sender, counters };
                    refuse(request, VIEW_SILENT, RefusalReason::Busy, &mut outbox);
                }
                connection.receiver.skip();
            } else {
                break;
            }
            self.waiting.pop_front();
            self.drive(turn, handler, place, None);
        }
    }

    /// Offers the handler the requests in line, up to the first write it has no room for; one
    /// that it does not take and that has been there too long is dropped.
    pub(crate) fn serve_held(&mut self, turn: &mut Turn, handler: &mut impl Handler) {
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
            self.drive(turn, handler, place, Some(since));
            if turn.clock.now.saturating_sub(since) > self.request_deadline_ns {
                self.drop_late(turn, handler, place, since);
            }
            if self.held.front() == Some(&place) {
                break;
            }
        }
    }

    /// Drops the request that has been in line since then, if it still is, and goes on with its
    /// connection.
    fn drop_late(&mut self, turn: &mut Turn, handler: &mut impl Handler, place: Place, since: u64) {
        let connection = self.connections.get(place);
        let is_late = |c: &&mut Connection| c.stage == Stage::Held { since };
        let Some(connection) = connection.filter(is_late) else {
            return;
        };
        // It has just lined up: as the first one, or behind all others.
        if self.held.front() == Some(&place) {
            self.held.pop_front();
        } else {
            self.held.pop_back();
        }
        count(&self.counters.dropped_busy);
        if let Received::Request(request, _) = connection.receiver.message() {
            let (sender, counters) = (&mut connection.sender, &*self.counters);
            let mut outbox = LocalOutbox { sender, counters };
            refuse(request, VIEW_SILENT, RefusalReason::Busy, &mut outbox);
        }
        drop(connection.receiver.consume());
        self.drive(turn, handler, place, None);
    }

    /// Starts a send for each connection that has something to say.
    pub(crate) fn start_sends(&mut self, turn: &mut Turn) {
        while let Some(place) = self.connections.next_listed() {
            if let Some(connection) = self.connections.get(place)
                && connection.stage != Stage::Closing
            {
                io::start_send(&mut turn.ring, place, connection, turn.clock.now);
            }
        }
    }

    /// Closes the connections that missed a deadline.
    pub(crate) fn sweep(&mut self, now: u64) {
        for (place, missed) in self.deadlines.missed(&self.connections, now) {
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
            self.closed += 1;
            self.counters.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many connections were closed since this was asked last.
    pub(crate) fn take_closed(&mut self) -> usize {
        std::mem::take(&mut self.closed)
    }

    /// From now on nothing more is received or handled.
    pub(crate) fn begin_stop(&mut self) {
        self.is_stopping = true;
    }

    /// Whether the clients took all that was sent to them.
    pub(crate) fn is_answered(&self) -> bool {
        self.connections.iter().all(|(_, c)| c.sender.is_idle())
    }
}

impl Outlets for Port {
    type Outbox<'a> = LocalOutbox<'a>;

    fn outbox(&mut self, route: Route) -> Option<LocalOutbox<'_>> {
        LocalOutbox::find(&mut self.connections, &self.counters, route.place)
    }
}

/// How long a turn may wait when something is, or is not, in line.
pub(crate) fn wait_max(has_lines: bool) -> Duration {
    if has_lines { WAIT_MAX_BUSY } else { WAIT_MAX }
}

fn line_up(line: &mut VecDeque<Place>, place: Place, is_first: bool) {
    if is_first {
        line.push_front(place);
    } else {
        line.push_back(place);
    }
}

/// A buffer beyond the reserved ones. Several threads that look at once can take a few of those;
/// then the ledger says for a moment that it has no room.
fn spare_buffer(pool: &BufferPool, reserved: usize) -> Option<Buffer> {
    if pool.free_count() > reserved {
        pool.take()
    } else {
        None
    }
}

/// Receives more of what a connection began, or its next message.
fn await_bytes(turn: &mut Turn, place: Place, connection: &mut Connection) {
    if !connection.receiver.is_inside_message() {
        connection.message_began = None;
    } else if connection.message_began.is_none() {
        connection.message_began = Some(turn.clock.now);
    }
    io::start_receive(&mut turn.ring, place, connection);
    connection.stage = Stage::Receiving;
}

/// Notes what a whole message says about its client.
fn greet(connection: &mut Connection) {
    connection.has_greeted = true;
    connection.message_began = None;
    if let Received::Ping(ping) = connection.receiver.message()
        && ping.refusals != 0
    {
        connection.sender.take_refusals();
    }
}
