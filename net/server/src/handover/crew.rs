//! The first thread's side: deals connections out, takes requests, gives answers.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use giro_base::BufferPool;
use giro_log::uring::Completion;
use giro_wire::RefusalReason;

use super::answers::{Answers, RemoteOutbox};
use super::bell::Call;
use super::courier::Courier;
use super::line::Line;
use super::link::{GATHERINGS, Link, Orders, PARCELS, Phase};
use super::parcel::Parcel;
use super::port_thread::PortThread;
use crate::clock::Clock;
use crate::connection::{Action, Place};
use crate::counters::{Counters, count};
use crate::desk::{VIEW_SILENT, refuse};
use crate::front::Front;
use crate::ledger::Ledger;
use crate::options::Options;
use crate::outbox::{Outlets, Route};
use crate::port::{Handled, Port, Turn, wait_max};
use crate::receive::{Incoming, Received};
use crate::service::{Circumstance, Service};
use crate::sweep::nanoseconds;

/// Requests taken from a port thread in a turn, so that the ledger gets its turn in a flood.
const REQUESTS_PER_TURN_MAX: usize = PARCELS;

/// The port threads.
pub(crate) struct Crew {
    members: Vec<Member>,
    orders: Arc<Orders>,
    line: Line,
    pool: BufferPool,
    counters: Arc<Counters>,
    connections_max: usize,
    reserved_buffers: usize,
    request_deadline_ns: u64,
    /// Nothing more is taken.
    is_stopping: bool,
}

/// A port thread, seen from the first thread.
struct Member {
    link: Arc<Link>,
    /// What it is told next.
    answers: Answers,
    /// Something is in its queues that it has not been called for: work, or parcels back.
    has_work: bool,
    has_returns: bool,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Crew {
    /// Starts this many port threads.
    ///
    /// # Errors
    /// The system's, for threads or rings.
    pub(crate) fn start(
        threads: usize,
        turn: &Turn,
        pool: BufferPool,
        counters: Arc<Counters>,
        options: &Options,
    ) -> io::Result<Self> {
        let connections_max = options.connections_max.max(1);
        let orders = Arc::new(Orders::new());
        orders.first.set_ring(&turn.ring)?;
        let mut crew = Self {
            members: Vec::with_capacity(threads),
            orders,
            line: Line::new(threads, connections_max, threads * PARCELS),
            pool,
            counters,
            connections_max,
            reserved_buffers: options.reserved_buffers,
            request_deadline_ns: nanoseconds(options.request_deadline),
            is_stopping: false,
        };
        for number in 1..=threads {
            let member = crew.start_member(number, turn.clock, options)?;
            crew.members.push(member);
        }
        Ok(crew)
    }

    /// Starts a port thread and waits until it has its ring.
    fn start_member(&self, number: usize, clock: Clock, options: &Options) -> io::Result<Member> {
        let link = Arc::new(Link::new(self.connections_max));
        for _ in 1..GATHERINGS {
            Link::put(&link.spent, Answers::new());
        }
        let (orders, thread_link) = (Arc::clone(&self.orders), Arc::clone(&link));
        let (pool, counters) = (self.pool.clone(), Arc::clone(&self.counters));
        let (started, starts) = mpsc::channel();
        let options = options.clone();
        let thread = std::thread::Builder::new().name(format!("giro-port-{number}"));
        let thread = thread.spawn(move || {
            let port = Port::new(pool, counters, &options);
            let courier = Courier::new(thread_link, orders, options.connections_max);
            let thread = PortThread::new(clock, port, courier);
            // Nobody listens when the first thread gave up; then this one is told to end too.
            let _ = started.send(());
            thread?.run()
        })?;
        // A thread that failed says so when it is looked after.
        let _ = starts.recv();
        Ok(Member {
            link,
            answers: Answers::new(),
            has_work: false,
            has_returns: false,
            thread: Some(thread),
        })
    }

    /// Offers the service a request that was handed over.
    fn offer<L: Ledger>(
        &mut self,
        turn: &Turn,
        service: &mut Service<L>,
        port: u16,
        mut parcel: Parcel,
    ) {
        let place = parcel.place;
        let route = Route { port, place };
        if self.line.is_behind(route) {
            return self.line.leave(port, parcel);
        }
        let others_wait = !self.line.is_empty();
        match self.try_one(turn, service, route, &mut parcel, others_wait) {
            Handled::Done => self.give_back(port, parcel),
            _ => self.line.leave(port, parcel),
        }
    }

    fn try_one<L: Ledger>(
        &mut self,
        turn: &Turn,
        service: &mut Service<L>,
        route: Route,
        parcel: &mut Parcel,
        others_wait: bool,
    ) -> Handled {
        let at = Circumstance {
            route,
            spoken: parcel.since,
            wall: turn.clock.wall,
            others_wait,
        };
        let answers = &mut self.members[usize::from(route.port)].answers;
        service.answer(at, parcel, &mut answers.outbox(route.place))
    }

    fn give_back(&mut self, port: u16, mut parcel: Parcel) {
        drop(parcel.consume());
        let member = &mut self.members[usize::from(port)];
        Link::put(&member.link.returned, parcel);
        member.has_returns = true;
    }

    /// Goes through the line once; one that is not taken and has been there too long is dropped.
    fn serve_line<L: Ledger>(&mut self, turn: &Turn, service: &mut Service<L>) {
        self.line.begin_round();
        let mut writes_wait = false;
        for _ in 0..self.line.len() {
            let Some((port, mut parcel)) = self.line.take() else {
                return;
            };
            if self.is_stopping {
                self.give_back(port, parcel);
                continue;
            }
            let place = parcel.place;
            let route = Route { port, place };
            let is_offered = !self.line.is_behind(route) && (!writes_wait || parcel.is_read);
            if is_offered {
                match self.try_one(turn, service, route, &mut parcel, writes_wait) {
                    Handled::Done => {
                        self.give_back(port, parcel);
                        continue;
                    }
                    handled => writes_wait |= handled == Handled::Hold,
                }
            }
            if turn.clock.now.saturating_sub(parcel.since) > self.request_deadline_ns {
                self.drop_late(port, parcel);
            } else {
                self.line.leave(port, parcel);
            }
        }
    }

    fn drop_late(&mut self, port: u16, parcel: Parcel) {
        count(&self.counters.dropped_busy);
        if let Received::Request(request, _) = parcel.message() {
            let answers = &mut self.members[usize::from(port)].answers;
            let mut outbox = answers.outbox(parcel.place);
            refuse(request, VIEW_SILENT, RefusalReason::Busy, &mut outbox);
        }
        self.give_back(port, parcel);
    }

    /// Calls all port threads, whatever they do.
    fn call_all(&self, turn: &mut Turn) {
        for member in &self.members {
            member.link.sleeper.call(Call::Work, &mut turn.ring);
        }
    }

    /// Waits for the threads to end.
    fn join(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for member in &mut self.members {
            if let Some(thread) = member.thread.take() {
                match thread.join() {
                    Ok(ended) => result = result.and(ended),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        }
        result
    }
}

impl Outlets for Crew {
    type Outbox<'a> = RemoteOutbox<'a>;

    fn outbox(&mut self, route: Route) -> Option<RemoteOutbox<'_>> {
        let member = self.members.get_mut(usize::from(route.port))?;
        Some(member.answers.outbox(route.place))
    }
}

impl Front for Crew {
    /// Deals the connection to the thread that has fewest.
    fn adopt<L: Ledger>(
        &mut self,
        _turn: &mut Turn,
        _service: &mut Service<L>,
        socket: OwnedFd,
    ) -> bool {
        // This one is counted already.
        if self.counters.open.load(Ordering::Relaxed) > self.connections_max as u64 {
            return false;
        }
        let open = |member: &Member| member.link.open.load(Ordering::Relaxed);
        let fewest = self.members.iter_mut().min_by_key(|member| open(member));
        let member = fewest.expect("a crew has members");
        member.link.open.fetch_add(1, Ordering::Relaxed);
        Link::put(&member.link.sockets, socket);
        member.has_work = true;
        true
    }

    fn on_operation<L: Ledger>(
        &mut self,
        _turn: &mut Turn,
        _service: &mut Service<L>,
        _what: (Action, Place),
        _completion: Completion,
    ) {
        unreachable!("the first thread of several has no connections");
    }

    fn serve<L: Ledger>(&mut self, turn: &mut Turn, service: &mut Service<L>) -> bool {
        let mut more = false;
        for port in 0..self.members.len() {
            for _ in 0..REQUESTS_PER_TURN_MAX {
                let Some(parcel) = self.members[port].link.requests.pop() else {
                    break;
                };
                let port = port as u16;
                if self.is_stopping {
                    self.give_back(port, parcel);
                } else {
                    self.offer(turn, service, port, parcel);
                }
            }
            more |= !self.members[port].link.requests.is_empty();
        }
        if !self.line.is_empty() {
            self.serve_line(turn, service);
        }
        more
    }

    fn has_held(&self) -> bool {
        !self.line.is_empty()
    }

    fn wait_max(&self) -> Duration {
        wait_max(!self.line.is_empty())
    }

    fn before_wait(&mut self, owing: bool) -> bool {
        let unsaid = self.members.iter().any(|m| !m.answers.is_empty());
        let is_starved = owing || unsaid || !self.line.is_empty();
        self.orders.first.bell.lie_down(is_starved);
        self.members.iter().any(|member| {
            let can_say = !member.answers.is_empty() && !member.link.spent.is_empty();
            can_say || !member.link.requests.is_empty()
        })
    }

    fn after_wait(&mut self) {
        self.orders.first.bell.get_up();
    }

    /// Sends each thread its answers, if it can take them, and calls those that have to know.
    fn send(&mut self, turn: &mut Turn) {
        let has_buffers = self.pool.free_count() > self.reserved_buffers;
        for member in &mut self.members {
            if !member.answers.is_empty()
                && let Some(empty) = member.link.spent.pop()
            {
                let answers = std::mem::replace(&mut member.answers, empty);
                Link::put(&member.link.answers, answers);
                member.has_work = true;
            }
            let sleeper = &member.link.sleeper;
            if member.has_work {
                sleeper.call(Call::Work, &mut turn.ring);
            } else if member.has_returns || has_buffers {
                sleeper.call(Call::Returned, &mut turn.ring);
            }
            member.has_work = false;
            member.has_returns = false;
        }
    }

    fn sweep(&mut self, _now: u64) -> io::Result<()> {
        let is_over = |member: &Member| member.thread.as_ref().is_some_and(JoinHandle::is_finished);
        if !self.is_stopping && self.members.iter().any(is_over) {
            self.orders.advance(Phase::Abandoned);
            return self.join();
        }
        Ok(())
    }

    fn begin_stop(&mut self, turn: &mut Turn, stop_by: u64) {
        self.is_stopping = true;
        self.orders.stop(stop_by);
        self.call_all(turn);
    }

    fn is_answered(&self) -> bool {
        self.members.iter().all(|member| member.answers.is_empty())
    }

    /// Waits for the clients to take their answers, or for the end of the stop's time.
    fn finish(&mut self, turn: &mut Turn) -> io::Result<()> {
        self.orders.advance(Phase::Answered);
        self.call_all(turn);
        turn.ring.submit_and_wait(0, None)?;
        self.join()
    }
}

/// Whatever the reason for the end, no thread outlives the server. One that sleeps looks up
/// after the longest wait of a turn.
impl Drop for Crew {
    fn drop(&mut self) {
        self.orders.advance(Phase::Abandoned);
        for member in &mut self.members {
            if let Some(thread) = member.thread.take() {
                // What it failed with was reported, or the first thread failed too.
                let _ = thread.join();
            }
        }
    }
}
