//! A replica of a group behind the port: engine, log and group in one, and the connections to the
//! other nodes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;
use giro::{Reply, RequestMeta, Verdict};
use giro_base::multi_batch::Body;
use giro_base::{Buffer, Operation, Timestamp};
use giro_log::UringDisk;
use giro_log::disk::SLOT_COUNT;
use giro_log::uring::{Completion, Ring};
use giro_node::transfer::{HELLO_BYTES, Hello};
use giro_node::{GateStatus, NodeError, ReceiveError, Refused, Replica};
use giro_replication::{NodeId, RoleChange};

use crate::beginning::Beginning;
use crate::gate::GateAlarm;
use crate::ledger::{Ledger, Standing, Told};
use crate::old::OldReader;
use crate::orders::{Commander, Order, OrderError, Orders, Standings};
use crate::peers::{Peers, Receiver};
use crate::transfers::{Ended, Transfers};

/// The group's time moves in steps of this (ns).
const TICK_NS: u64 = 20_000_000;
/// Steps made up for after a turn that took long; a clock that jumped must not depose a leader.
const TICKS_MAX: u64 = 3;
/// Questions whose connections went away are forgotten after this (ns).
const QUESTION_KEPT_NS: u64 = 10_000_000_000;
const SWEEP_NS: u64 = 500_000_000;
/// Checkpoints for peers that joined behind the newest are made no more often than this (ns).
const MADE_EVERY_NS: u64 = 5_000_000_000;
/// How long a leader that stops waits for another to take over (ns).
const RESIGN_NS: u64 = 2_000_000_000;

/// A replica that is driven by the port.
pub struct ServedReplica {
    replica: Replica,
    peers: Peers,
    /// Where the group's first members are, by their number: for those whose name it does not have.
    names: Vec<String>,
    /// Requests that wait for the group to say that this node still leads.
    questions: HashMap<u128, Question>,
    keys: HashMap<u64, u128>,
    tickets: u64,
    answered: Vec<(u64, bool)>,
    now: u64,
    ticked: u64,
    swept: u64,
    orders: Orders,
    old: OldReader,
    /// A stop was asked for, and another node is to lead; until then (ns).
    resigning_until: Option<u64>,
    transfers: Transfers,
    /// When a checkpoint was last made for a peer (ns).
    made: u64,
    /// The log says this of the node's part.
    told: Option<RoleChange>,
    /// As of the last role or step of time.
    view: u32,
    gate: GateAlarm,
    beginning: Beginning,
    /// Other threads may have something for this one.
    has_news: bool,
}

struct Question {
    answer: Told,
    ticket: u64,
    asked: u64,
}

/// Feeds the frames of peers to the replica.
struct Feed<'a>(&'a mut Replica, &'a mut Transfers);

impl Receiver for Feed<'_> {
    type Stop = NodeError;

    fn asked(&mut self, hello: &[u8; HELLO_BYTES]) -> Result<NodeId, Refused> {
        let hello = Hello::decode(hello)?;
        let (from, index) = (hello.from, hello.index);
        let reason = |reason| Err(Refused::Asks { from, reason });
        let cluster = self.0.identity().cluster;
        if hello.cluster != cluster || hello.to != self.0.node() {
            return reason("it is meant for another node");
        }
        let known = self.0.members().get(from);
        let known = known.map_or(0, |member| member.incarnation);
        if known != 0 && known != hello.incarnation {
            return reason("it has the id of a member and another incarnation");
        }
        if !self.1.is_offered(from, index) {
            return reason("it was not offered that one");
        }
        Ok(from)
    }

    fn give(&mut self, to: NodeId, socket: OwnedFd) {
        self.1.send(to, socket);
    }

    fn take(&mut self, frame: &Bytes) -> Result<Result<(), Refused>, NodeError> {
        match self.0.receive(frame) {
            Ok(()) => Ok(Ok(())),
            Err(ReceiveError::Refused(refused)) => Ok(Err(refused)),
            Err(ReceiveError::Stop(stop)) => Err(stop),
        }
    }
}

impl ServedReplica {
    /// Serves a replica that other nodes reach at `listener`, and that takes orders. The group's
    /// first members are found under `names`, in the order of their numbers.
    ///
    /// # Errors
    /// The system's, when it has no descriptor left.
    pub fn new(
        replica: Replica,
        listener: TcpListener,
        names: Vec<String>,
    ) -> io::Result<(Self, Commander)> {
        let peers = Peers::new(listener)?;
        let (commander, orders) = Commander::new(peers.wake());
        let old = OldReader::start(peers.wake())?;
        let transfers = Transfers::new(peers.wake());
        let served = Self {
            replica,
            peers,
            names,
            questions: HashMap::new(),
            keys: HashMap::new(),
            tickets: 0,
            answered: Vec::new(),
            now: 0,
            ticked: 0,
            swept: 0,
            orders,
            old,
            resigning_until: None,
            transfers,
            made: 0,
            told: None,
            view: 0,
            gate: GateAlarm::default(),
            beginning: Beginning::default(),
            has_news: true,
        };
        Ok((served, commander))
    }

    /// Does what other threads, peers and operators have asked for.
    fn look_after_peers(&mut self) -> Result<(), NodeError> {
        self.transfer_checkpoints()?;
        // Behind the offers of the last turn: what became of them is among this.
        for peer in self.peers.take_unreachable() {
            self.replica.unreachable(peer);
            self.transfers.may_be_lost(peer);
        }
        self.greet();
        let waits = self.has_news && self.obey();
        self.read_old()?;
        self.has_news = waits;
        Ok(())
    }

    /// Has old entries read that peers need, and passes on what was read.
    fn read_old(&mut self) -> Result<(), NodeError> {
        for old in self.replica.fetches() {
            self.old.read(old);
        }
        if !self.has_news {
            return Ok(());
        }
        while let Some(fetched) = self.old.next() {
            self.replica.fetched(fetched.number, fetched.entries)?;
        }
        Ok(())
    }

    /// Sends and fetches checkpoints, and tells the group how that ended: it waits for it.
    fn transfer_checkpoints(&mut self) -> Result<(), NodeError> {
        for (peer, index) in self.replica.offers() {
            match self.replica.pin_checkpoint(index) {
                Some(pinned) => self.transfers.offer(peer, pinned, self.now),
                None => self.replica.checkpoint_sent(peer, false),
            }
        }
        for install in self.replica.installs() {
            let fetcher = self.replica.fetcher(&install.checkpoint);
            let hello = Hello {
                cluster: self.replica.identity().cluster,
                from: self.replica.node(),
                to: install.from,
                incarnation: self.replica.identity().incarnation,
                index: fetcher.index(),
                term: fetcher.term(),
            };
            match self.name_of(install.from) {
                Some(name) => self.transfers.fetch(fetcher, hello, name),
                None => self.replica.checkpoint_fetched(hello.index, false),
            }
        }
        if !self.has_news {
            return Ok(());
        }
        while let Some(ended) = self.transfers.next() {
            match ended {
                Ended::Sent(peer, Ok(())) => self.replica.checkpoint_sent(peer, true),
                Ended::Sent(_, Err(error)) => {
                    if let Ok(damage) = error.into_damage() {
                        // Nobody can be served from this disk: another one is to lead.
                        return Err(giro::Error::from(damage).into());
                    }
                    // The group hears of it with the others that did not get theirs.
                }
                Ended::Fetched {
                    index, is_whole, ..
                } => self.replica.checkpoint_fetched(index, is_whole),
            }
        }
        Ok(())
    }

    /// Gives up what nobody came for, and has a checkpoint made for a peer that joined behind the
    /// newest one.
    fn sweep_checkpoints(&mut self) {
        for peer in self.transfers.sweep(self.now) {
            tracing::warn!(replica = peer - 1, "it did not get its checkpoint");
            self.replica.checkpoint_sent(peer, false);
        }
        let may_make = self.now.saturating_sub(self.made) >= MADE_EVERY_NS;
        if may_make && self.replica.wants_checkpoint() {
            self.made = self.now;
            self.replica.make_checkpoint();
        }
    }

    /// Does what operators ask for. Whether it could not, yet.
    fn obey(&mut self) -> bool {
        if self.replica.engine().is_ahead() {
            // The digest is not that of the last op executed. It will be in the next turn but one.
            return true;
        }
        let (replica, fetching) = (&mut self.replica, self.transfers.progress());
        self.orders.answer(|order| {
            match order {
                Order::Status => {}
                Order::Change(change) => replica.change(&change).map_err(OrderError::from)?,
                Order::HandOver(to) => replica.hand_over(to).map_err(OrderError::from)?,
            }
            Ok(Standings {
                status: replica.status(),
                members: replica.members().clone(),
                view: replica.view(),
                op: replica.engine().commit_op(),
                digest: replica.engine().digest(),
                fetching,
                gate: replica.gate(),
            })
        });
        false
    }

    /// Hands out what the group wants to send.
    fn send(&mut self) {
        if self.replica.frames().is_empty() {
            return;
        }
        let frames = std::mem::take(self.replica.frames());
        for outgoing in frames {
            if let Some(name) = self.name_of(outgoing.to) {
                self.peers
                    .send(outgoing.to, &name, outgoing.frame, self.now);
            }
        }
    }

    /// Says to peers that are newly connected who this is.
    fn greet(&mut self) {
        for peer in self.peers.take_opened() {
            if let (Some(name), Some(frame)) = (self.name_of(peer), self.replica.greeting(peer)) {
                self.peers.send(peer, &name, frame, self.now);
            }
        }
    }

    /// Where a node is.
    fn name_of(&self, id: NodeId) -> Option<String> {
        let member = self.replica.members().get(id);
        let name = member
            .map(|member| member.name.as_str())
            .unwrap_or_default();
        if !name.is_empty() {
            return Some(name.to_owned());
        }
        let place = usize::try_from(id.checked_sub(1)?).ok()?;
        self.names.get(place).cloned()
    }

    /// Takes the group's answers to questions.
    fn take_answers(&mut self) {
        self.replica.answers(&mut self.answered);
        for (ticket, is_allowed) in self.answered.drain(..) {
            let key = self.keys.remove(&ticket);
            let Some(question) = key.and_then(|key| self.questions.get_mut(&key)) else {
                continue;
            };
            question.answer = if is_allowed {
                Told::Now
            } else {
                Told::Elsewhere
            };
        }
    }

    fn tell_role(&mut self) {
        let role = self.replica.role();
        if self.told == Some(role) {
            return;
        }
        self.told = Some(role);
        self.view = self.replica.view();
        let leader = role.leader.map(|id| id - 1);
        tracing::info!(role = ?role.role, term = role.term, leader, serves = role.serving, "role");
        if let Some(index) = role.leader.and_then(|leader| self.transfers.led_by(leader)) {
            self.replica.checkpoint_fetched(index, false);
        }
    }

    fn sweep(&mut self) {
        let now = self.now;
        if let Some(gate) = self.replica.gate() {
            self.gate.look(&gate);
        }
        self.beginning.look(self.replica.roll());
        self.peers.sweep(now);
        self.sweep_checkpoints();
        // A node that lags behind need not know yet who leads it.
        let members = self.replica.members();
        self.peers.forget(|id| members.is_removed(id), now);
        let others = members.known.iter().map(|member| member.id);
        let own = self.replica.node();
        for id in others.filter(|id| *id != own).collect::<Vec<_>>() {
            if let Some(name) = self.name_of(id) {
                self.peers.know(id, &name);
            }
        }
        let keys = &mut self.keys;
        self.questions.retain(|_, question| {
            let is_fresh = now.saturating_sub(question.asked) < QUESTION_KEPT_NS;
            if !is_fresh {
                keys.remove(&question.ticket);
            }
            is_fresh
        });
    }
}

impl Ledger for ServedReplica {
    type Error = NodeError;

    fn prepare(&mut self, ring: &mut Ring) -> io::Result<()> {
        ring.register_files_sparse(SLOT_COUNT)?;
        self.peers.prepare(ring);
        Ok(())
    }

    fn standing(&self) -> Standing {
        match self.replica.standing() {
            giro_node::Standing::Serving => Standing::Serving,
            giro_node::Standing::Busy => Standing::Busy,
            giro_node::Standing::Elsewhere { .. } => Standing::Elsewhere,
        }
    }

    fn is_alone(&self) -> bool {
        false
    }

    fn view(&self) -> u32 {
        self.view
    }

    fn may_tell(&mut self, key: u128) -> Told {
        if self.replica.engine().is_ahead() {
            return Told::Later;
        }
        match self.questions.entry(key) {
            Entry::Occupied(question) => {
                let answer = question.get().answer;
                if answer == Told::Elsewhere {
                    question.remove();
                }
                answer
            }
            Entry::Vacant(place) => {
                self.tickets += 1;
                let ticket = self.tickets;
                if self.replica.ask(ticket).is_err() {
                    return Told::Elsewhere;
                }
                let (answer, asked) = (Told::Later, self.now);
                place.insert(Question {
                    answer,
                    ticket,
                    asked,
                });
                self.keys.insert(ticket, key);
                Told::Later
            }
        }
    }

    fn told(&mut self, key: u128) {
        self.questions.remove(&key);
    }

    fn begin_turn(&mut self, now: u64) -> Result<(), NodeError> {
        self.now = now;
        let steps = now.saturating_sub(self.ticked) / TICK_NS;
        if steps > 0 {
            self.ticked += steps * TICK_NS;
            if steps > TICKS_MAX {
                self.replica.stood_still();
            }
            for _ in 0..steps.min(TICKS_MAX) {
                self.replica.tick()?;
            }
            // Changes of membership count, too.
            self.view = self.replica.view();
        }
        // Who has news wakes this thread; looking costs, so it is done without only once a step.
        self.has_news |= steps > 0 || self.peers.take_woken();
        let is_stirred = self.replica.is_stirred();
        if is_stirred {
            self.tell_role();
        }
        if now.saturating_sub(self.swept) >= SWEEP_NS {
            self.swept = now;
            self.sweep();
        }
        if self.has_news || is_stirred || self.peers.has_changes() {
            self.replica.settle_down();
            self.look_after_peers()?;
            self.take_answers();
        }
        Ok(())
    }

    fn wait_max(&self) -> Option<Duration> {
        Some(Duration::from_nanos(TICK_NS))
    }

    fn on_peer(
        &mut self,
        ring: &mut Ring,
        value: u64,
        completion: Completion,
    ) -> Result<(), NodeError> {
        let mut feed = Feed(&mut self.replica, &mut self.transfers);
        self.peers
            .on_operation(ring, (value, completion), self.now, &mut feed)
    }

    fn is_over(&self) -> bool {
        let is_over = self.replica.is_superseded();
        if is_over {
            self.orders.set_superseded();
        }
        is_over
    }

    fn begin_stop(&mut self) {
        if self.standing() == Standing::Elsewhere {
            return;
        }
        if let Some(to) = self.replica.give_way() {
            tracing::info!(replica = to - 1, "hands leadership over");
            self.resigning_until = Some(self.now + RESIGN_NS);
        }
    }

    fn supports(&self, operation: Operation) -> bool {
        self.replica.engine().supports(operation)
    }

    fn check(&self, meta: &RequestMeta) -> Verdict {
        self.replica.engine().check(meta)
    }

    fn last_reply(&self, client: u128) -> Option<Reply<'_>> {
        self.replica.engine().last_reply(client)
    }

    fn may_resend(&mut self, client: u128) -> bool {
        self.replica.may_resend(client)
    }

    fn gate(&self) -> Option<GateStatus> {
        self.replica.gate()
    }

    fn can_submit(&self, body_bytes: usize) -> bool {
        self.replica.engine().can_submit(body_bytes)
    }

    fn can_submit_in_place(&self) -> bool {
        self.replica.engine().can_submit_in_place()
    }

    fn submit_in_place(
        &mut self,
        now: Timestamp,
        meta: &RequestMeta,
        body_bytes: usize,
        buffer: Buffer,
    ) {
        let engine = self.replica.engine_mut();
        engine.submit_in_place(now, meta, body_bytes, buffer);
    }

    fn submit_copy(&mut self, now: Timestamp, meta: &RequestMeta, body: &[u8]) {
        self.replica.engine_mut().submit_copy(now, meta, body);
    }

    fn prepare_read(
        &mut self,
        key: u128,
        operation: Operation,
        body: &Body<'_>,
    ) -> Result<bool, NodeError> {
        let engine = self.replica.engine_mut();
        Ok(engine.prepare_read(key, operation, body)?)
    }

    fn read(
        &mut self,
        key: u128,
        operation: Operation,
        body: &Body<'_>,
        out: &mut [u8],
    ) -> Result<usize, NodeError> {
        Ok(self.replica.engine_mut().read(key, operation, body, out)?)
    }

    fn touch(&mut self, client: u128) {
        self.replica.engine_mut().touch(client);
    }

    fn commit_op(&self) -> u64 {
        self.replica.engine().commit_op()
    }

    fn read_timestamp(&self) -> Timestamp {
        self.replica.engine().read_timestamp()
    }

    fn flush(&mut self, ring: &mut Ring) -> Result<(), NodeError> {
        // SAFETY: the replica keeps a record's buffer, unchanged, until its write was reported to
        // `on_write`; the reactor drops its ring before its ledger.
        let mut disk = unsafe { UringDisk::new(ring, 0) };
        self.replica.flush(&mut disk)?;
        self.send();
        if self.replica.is_stirred() {
            self.take_answers();
        }
        self.peers.start(ring, self.now);
        Ok(())
    }

    fn can_decide_ahead(&self) -> bool {
        self.replica.can_resolve_ahead()
    }

    fn decide_ahead(&mut self) -> Result<(), NodeError> {
        self.replica.resolve_ahead()
    }

    fn on_write(&mut self, value: u64, result: io::Result<usize>) -> Result<(), NodeError> {
        self.replica.on_write(value, result)
    }

    fn is_stalled(&self) -> bool {
        self.replica.is_stalled()
    }

    fn is_ready(&self) -> bool {
        self.replica.is_ready()
    }

    fn execute(&mut self, reply: &mut dyn FnMut(Reply<'_>)) -> Result<bool, NodeError> {
        self.replica.execute(reply)
    }

    fn is_settled(&self) -> bool {
        self.replica.engine().is_settled()
    }

    fn settle(&mut self) {
        self.replica.engine_mut().settle();
    }

    fn tick(&mut self, now: Timestamp) {
        if self.standing() == Standing::Serving {
            self.replica.engine_mut().tick(now);
        }
    }

    fn is_idle(&self) -> bool {
        if self.replica.is_superseded() {
            return true;
        }
        let until = self.resigning_until.filter(|until| self.now < *until);
        let is_resigning = until.is_some() && self.standing() != Standing::Elsewhere;
        self.replica.is_idle() && !is_resigning
    }
}
