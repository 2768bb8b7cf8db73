//! The connections between the nodes of a group.
//!
//! A node sends to a peer on a connection that it made itself, and receives on those that others
//! made: each is one ordered stream of frames (`docs/internals/replication.md`), given up as a
//! whole when it breaks. All of it happens on the ledger's thread and its ring; only names are
//! resolved, and connections made, elsewhere.
//!
//! What it guarantees: frames arrive in the order they were sent, or not at all; memory is
//! bounded; bytes that are no frame end their connection and nothing else.

mod dialer;
mod flight;
mod inbound;
mod memory;
mod outbound;

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use giro_log::uring::{Completion, OWNER_PEER, Ring, Target, Token};
use giro_node::Refused;
use giro_node::transfer::HELLO_BYTES;
use giro_replication::{Frame, NodeId, Refusal, replica_number};
use rustix::event::{EventfdFlags, eventfd};

use self::dialer::Dialer;
pub(crate) use self::dialer::connect;
use self::inbound::Inbound;
use self::memory::FrameMemory;
use self::outbound::{Outbound, Way};
use crate::acceptor::Acceptor;

/// Most connections from others at a time: every member twice.
const INBOUND_MAX: usize = 128;
/// How long a new connection may stay without a frame that is taken.
const GREETING_NS: u64 = 5_000_000_000;
/// How long a peer may take to accept what is sent to it.
const SEND_NS: u64 = 4_000_000_000;
/// Idle time after which the system asks whether a peer still lives.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// The connections of a node.
pub(crate) struct Peers {
    acceptor: Acceptor,
    inbound: Vec<Slot>,
    outbound: BTreeMap<NodeId, Outbound>,
    dialer: Dialer,
    wake: Arc<OwnedFd>,
    memory: FrameMemory,
    /// Peers that what was sent to last may not have reached.
    unreachable: Vec<NodeId>,
    /// Peers that a connection was made to.
    opened: Vec<NodeId>,
    /// Another thread has something for this one.
    is_woken: bool,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    connection: Option<Box<Inbound>>,
}

/// Who takes the frames.
pub(crate) trait Receiver {
    /// What ends the process.
    type Stop;

    /// Somebody asks for a checkpoint with the first frame of a connection. Says who.
    fn asked(&mut self, hello: &[u8; HELLO_BYTES]) -> Result<NodeId, Refused>;

    /// The connection of a node that was [heard](Self::asked): it belongs to the receiver.
    fn give(&mut self, to: NodeId, socket: OwnedFd);

    /// Takes a frame. The inner error closes the connection it came on.
    fn take(&mut self, frame: &Bytes) -> Result<Result<(), Refused>, Self::Stop>;
}

/// What an operation is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Accept,
    Wake,
    Receive,
    Send,
    /// The end of a connection to a peer.
    Watch,
}

const GENERATION_BITS: u32 = 24;
const SLOT_BITS: u32 = 24;

fn token(action: Action, generation: u32, slot: u64) -> u64 {
    let generation = u64::from(generation & ((1 << GENERATION_BITS) - 1));
    let value = (action as u64) << (GENERATION_BITS + SLOT_BITS) | generation << SLOT_BITS | slot;
    Token::new(OWNER_PEER, value).0
}

fn from_token(value: u64) -> (Action, u32, u64) {
    let action = match value >> (GENERATION_BITS + SLOT_BITS) {
        0 => Action::Accept,
        1 => Action::Wake,
        2 => Action::Receive,
        3 => Action::Send,
        4 => Action::Watch,
        _ => unreachable!("tokens of peers are made above"),
    };
    let generation = (value >> SLOT_BITS) as u32 & ((1 << GENERATION_BITS) - 1);
    (action, generation, value & ((1 << SLOT_BITS) - 1))
}

impl Peers {
    /// Takes connections of other nodes from `listener`.
    ///
    /// # Errors
    /// The system's, when it has no eventfd.
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        Ok(Self {
            acceptor: Acceptor::new(listener, KEEPALIVE, token(Action::Accept, 0, 0)),
            inbound: Vec::new(),
            outbound: BTreeMap::new(),
            dialer: Dialer::new(Arc::clone(&wake)),
            wake,
            memory: FrameMemory::new(),
            unreachable: Vec::new(),
            opened: Vec::new(),
            is_woken: false,
        })
    }

    /// An eventfd that ends the ledger thread's wait.
    pub(crate) fn wake(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.wake)
    }

    /// Begins to listen for connections and attempts.
    pub(crate) fn prepare(&mut self, ring: &mut Ring) {
        ring.poll_readable(Target::of(&*self.wake), token(Action::Wake, 0, 0));
    }

    /// Sees to it that there is a connection to a peer, who is found by `name`, before there is
    /// something to send: a vote must not have to wait for one.
    pub(crate) fn know(&mut self, id: NodeId, name: &str) {
        self.outbound_of(id, name);
    }

    fn outbound_of(&mut self, id: NodeId, name: &str) -> &mut Outbound {
        let peer = self.outbound.entry(id);
        let peer = peer.or_insert_with(|| Outbound::new(name));
        if peer.name != name {
            name.clone_into(&mut peer.name);
        }
        peer
    }

    /// Takes a frame for a peer, who is found by `name`. It is gone when there is no connection, or
    /// when that breaks.
    pub(crate) fn send(&mut self, to: NodeId, name: &str, frame: Frame, now: u64) {
        let peer = self.outbound_of(to, name);
        if peer.is_open() {
            if peer.push(frame) {
                return;
            }
            tracing::warn!(
                peer = name,
                "it takes less than it is sent: connecting anew"
            );
            peer.close(now);
        }
        if !self.unreachable.contains(&to) {
            self.unreachable.push(to);
        }
    }

    /// Forgets peers that left.
    pub(crate) fn forget(&mut self, has_left: impl Fn(NodeId) -> bool, now: u64) {
        for (id, peer) in &mut self.outbound {
            if has_left(*id) {
                peer.close(now);
            }
        }
        self.outbound
            .retain(|id, peer| !has_left(*id) || peer.flight.is_some());
    }

    /// Starts what can be started. Call it once a turn.
    pub(crate) fn start(&mut self, ring: &mut Ring, now: u64) {
        self.acceptor.arm(ring, now);
        for (id, peer) in &mut self.outbound {
            if peer.wants_dialing(now) {
                peer.way = Way::Dialing;
                self.dialer.dial(*id, &peer.name);
            }
            let epoch = peer.epoch;
            let Way::Open { socket } = &peer.way else {
                continue;
            };
            let socket = Target::of(socket);
            if let Some(flight) = peer.next_flight(now) {
                // SAFETY: `Outbound` keeps the flight until the completion, also when the way
                // breaks; the reactor drops its ring before its ledger, which has the peers.
                unsafe { flight.start(ring, socket, token(Action::Send, epoch, *id)) };
            }
        }
    }

    /// Whether another thread has woken this one since the last call.
    pub(crate) fn take_woken(&mut self) -> bool {
        std::mem::take(&mut self.is_woken)
    }

    /// Whether peers came or went since they were last taken.
    pub(crate) fn has_changes(&self) -> bool {
        !self.unreachable.is_empty() || !self.opened.is_empty()
    }

    /// Peers that frames may not have reached since the last call.
    pub(crate) fn take_unreachable(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.unreachable)
    }

    /// Peers that connections were made to since the last call. Each is to be sent something: an
    /// end that stays silent counts as no peer.
    pub(crate) fn take_opened(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.opened)
    }

    /// An operation of this module ended.
    ///
    /// # Errors
    /// The receiver's.
    pub(crate) fn on_operation<R: Receiver>(
        &mut self,
        ring: &mut Ring,
        (value, completion): (u64, Completion),
        now: u64,
        receiver: &mut R,
    ) -> Result<(), R::Stop> {
        let (action, generation, slot) = from_token(value);
        match action {
            Action::Accept => self.on_accepted(ring, completion, now),
            Action::Wake => {
                self.is_woken = true;
                self.on_dialed(ring, now);
            }
            Action::Send => self.on_sent(generation, slot, completion, now),
            Action::Watch => self.on_ended(generation, slot, now),
            Action::Receive => {
                return self.on_received(ring, (generation, slot), completion, now, receiver);
            }
        }
        Ok(())
    }

    fn on_accepted(&mut self, ring: &mut Ring, completion: Completion, now: u64) {
        let Some(socket) = self.acceptor.on_completion(completion, now) else {
            return;
        };
        let open = self.inbound.iter().filter(|s| s.connection.is_some());
        if open.count() >= INBOUND_MAX {
            return;
        }
        self.acceptor.configure(&socket);
        let free = self.inbound.iter().position(|s| s.connection.is_none());
        let slot = free.unwrap_or_else(|| {
            self.inbound.push(Slot::default());
            self.inbound.len() - 1
        });
        let inbound = &mut self.inbound[slot];
        inbound.generation = inbound.generation.wrapping_add(1);
        inbound.connection = Some(Box::new(Inbound::new(socket, now)));
        self.receive(ring, slot);
    }

    fn receive(&mut self, ring: &mut Ring, slot: usize) {
        let Slot {
            generation,
            connection: Some(connection),
        } = &mut self.inbound[slot]
        else {
            return;
        };
        assert!(!connection.receive_in_flight, "one receive at a time");
        let socket = Target::of(&connection.socket);
        let (room, all) = connection.room();
        assert!(!room.is_empty(), "a receive has somewhere to go");
        let memory = (room.as_mut_ptr(), room.len() as u32);
        let token = token(Action::Receive, *generation, slot as u64);
        // SAFETY: the room is on the heap, owned by the connection, which is not touched or dropped
        // while `receive_in_flight` is set; the reactor drops its ring before its ledger.
        unsafe { ring.receive(socket, memory, all, token) };
        connection.receive_in_flight = true;
    }

    fn on_received<R: Receiver>(
        &mut self,
        ring: &mut Ring,
        (_, slot): (u32, u64),
        completion: Completion,
        now: u64,
        receiver: &mut R,
    ) -> Result<(), R::Stop> {
        let slot = slot as usize;
        let Some(connection) = self.inbound[slot].connection.as_mut() else {
            unreachable!("a connection stays until its receive ended");
        };
        connection.receive_in_flight = false;
        let bytes = match completion.count() {
            Ok(bytes) if bytes > 0 && !connection.is_closing => bytes,
            _ => {
                self.inbound[slot].connection = None;
                return Ok(());
            }
        };
        connection.on_received(bytes);
        if let Some(hello) = connection.hello() {
            match receiver.asked(&hello) {
                Ok(to) => {
                    // No receive is under way, and the other side says nothing now.
                    if let Some(connection) = self.inbound[slot].connection.take() {
                        receiver.give(to, connection.socket);
                    }
                }
                Err(refusal) => self.refuse(slot, &refusal),
            }
            return Ok(());
        }
        loop {
            let Some(connection) = self.inbound[slot].connection.as_mut() else {
                return Ok(());
            };
            match connection.next_frame(&self.memory) {
                Ok(None) => break,
                Ok(Some((from, frame))) => match receiver.take(&frame)? {
                    Ok(()) => self.greet(slot, from, now),
                    Err(refusal) => {
                        self.refuse(slot, &refusal);
                        return Ok(());
                    }
                },
                Err(bad) => {
                    self.refuse(slot, &Refused::Frame(Refusal::Bad(bad)));
                    return Ok(());
                }
            }
        }
        self.receive(ring, slot);
        Ok(())
    }

    /// A frame of this node was taken. An older connection of it, if there is one, is of the past.
    fn greet(&mut self, slot: usize, from: NodeId, now: u64) {
        let connection = self.inbound[slot].connection.as_ref();
        if connection.is_some_and(|connection| connection.from == Some(from)) {
            return;
        }
        if let Some(peer) = self.outbound.get_mut(&from) {
            peer.is_back(now);
        }
        for (other, inbound) in self.inbound.iter_mut().enumerate() {
            let Some(connection) = &mut inbound.connection else {
                continue;
            };
            if other == slot {
                connection.from = Some(from);
            } else if connection.from == Some(from) {
                connection.close();
            }
        }
    }

    fn refuse(&mut self, slot: usize, refusal: &Refused) {
        // No receive is under way: what came is being looked at.
        let connection = self.inbound[slot].connection.take();
        let from = connection.as_ref().and_then(|connection| connection.from);
        let address = connection
            .and_then(|connection| rustix::net::getpeername(&connection.socket).ok().flatten())
            .and_then(|address| std::net::SocketAddr::try_from(address).ok());
        let replica = from.map(replica_number);
        tracing::warn!(?address, replica, %refusal, "closed the connection of a replica");
    }

    fn on_dialed(&mut self, ring: &mut Ring, now: u64) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.wake, &mut count);
        self.prepare(ring);
        while let Some(dialed) = self.dialer.next() {
            let Some(peer) = self.outbound.get_mut(&dialed.peer) else {
                continue;
            };
            if !matches!(peer.way, Way::Dialing) {
                // Of a peer that was forgotten meanwhile, and is found again already.
                continue;
            }
            match dialed.outcome {
                Ok(socket) => {
                    tracing::info!(peer = peer.name, "connected");
                    // Nothing is ever received there, so what can be read is the end. Without it,
                    // a peer that started anew would be noticed by losing what is sent to it.
                    let token = token(Action::Watch, peer.epoch.wrapping_add(1), dialed.peer);
                    ring.poll_readable(Target::of(&socket), token);
                    peer.open(socket, now);
                    self.opened.push(dialed.peer);
                }
                Err(error) => {
                    if !std::mem::replace(&mut peer.is_told, true) {
                        tracing::warn!(peer = peer.name, %error, "no connection");
                    }
                    peer.close(now);
                    self.unreachable.push(dialed.peer);
                }
            }
        }
    }

    fn on_ended(&mut self, epoch: u32, id: NodeId, now: u64) {
        let Some(peer) = self.outbound.get_mut(&id) else {
            return;
        };
        let is_current = peer.epoch & ((1 << GENERATION_BITS) - 1) == epoch;
        if is_current && peer.is_open() {
            tracing::warn!(peer = peer.name, "it ended the connection");
            peer.close(now);
            self.unreachable.push(id);
        }
    }

    fn on_sent(&mut self, epoch: u32, id: NodeId, completion: Completion, now: u64) {
        let Some(peer) = self.outbound.get_mut(&id) else {
            unreachable!("a peer stays until its send ended");
        };
        let is_current = peer.epoch & ((1 << GENERATION_BITS) - 1) == epoch;
        assert!(is_current, "a connection follows when the operation ended");
        if matches!(peer.way, Way::Breaking { .. }) {
            peer.broke(now);
            return;
        }
        let flight = peer.flight.take().expect("an operation was under way");
        let trouble = match completion.count() {
            Ok(bytes) if bytes == flight.bytes => return,
            Ok(_) => io::Error::from(io::ErrorKind::WriteZero),
            Err(error) => error,
        };
        tracing::warn!(peer = peer.name, error = %trouble, "lost the connection");
        peer.close(now);
        self.unreachable.push(id);
    }

    /// Looks at deadlines, now and then.
    pub(crate) fn sweep(&mut self, now: u64) {
        for (id, peer) in &mut self.outbound {
            let began = peer.flight.as_ref().map(|flight| flight.began);
            if peer.is_open() && began.is_some_and(|began| now.saturating_sub(began) > SEND_NS) {
                tracing::warn!(peer = peer.name, "it takes nothing: connecting anew");
                peer.close(now);
                self.unreachable.push(*id);
            }
        }
        for connection in self
            .inbound
            .iter_mut()
            .filter_map(|s| s.connection.as_mut())
        {
            // Bytes that are no frame put no deadline off.
            let waited = now.saturating_sub(connection.accepted);
            if connection.from.is_none() && waited > GREETING_NS {
                connection.close();
            }
        }
    }
}

#[cfg(test)]
mod tests;
