//! The world: what happens next, until a promise is broken or all is done.

mod beginning;
mod clients;
mod connections;
mod end;
mod gated;
mod happening;
mod scenario;
mod variety;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use bytes::Bytes;
use giro_base::BufferPool;
use giro_node::GateOptions;
use giro_replication::{Members, NodeId};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::auditor::Auditor;
use crate::client::Client;
use crate::faults::Faults;
use crate::forge;
use crate::history::Event;
use crate::image::Image;
use crate::network::Network;
use crate::node::{Context, Effect, Node, Trouble};
use crate::operator::Operator;
use crate::sabotage::Sabotage;
use crate::trace::Trace;
use crate::view::DurableView;

use connections::NOTICED_US;
use gated::Gated;
use happening::Happening;
pub use scenario::run_replaced_leader;
use variety::Variety;

/// How a clean run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Hash of all that happened.
    pub hash: u64,
    /// Things that happened.
    pub steps: u64,
    /// Requests answered.
    pub requests: u64,
    /// Entries committed.
    pub entries: u64,
    /// Faults made.
    pub faults: u64,
    /// Sessions that were displaced by others.
    pub evictions: u64,
    /// Entries that were decided before they were durable.
    pub decided_ahead: u64,
    /// How long the first client waited while a minority was down (us).
    pub answered_us: u64,
    /// And all of them, for two answers each (us).
    pub served_us: u64,
    /// Virtual time (us).
    pub time_us: u64,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The run.
    pub seed: u64,
    /// What was broken.
    pub what: String,
    /// When (us).
    pub at_us: u64,
    /// What happened last.
    pub trace: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = self.at_us as f64 / 1e3;
        write!(f, "seed {}, at {at:.3} ms: {}", self.seed, self.what)
    }
}

/// Everything.
pub struct World {
    pub(crate) now_us: u64,
    count: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) views: BTreeMap<NodeId, DurableView>,
    pub(crate) network: Network,
    pub(crate) auditor: Auditor,
    pub(crate) trace: Trace,
    pub(crate) first: Members,
    /// What the nodes' replies wait for.
    pub(crate) gate: Option<GateOptions>,
    /// The gate's learner, which the operator never takes away.
    pub(crate) spared: Option<NodeId>,
    /// What differs from seed to seed beside the above.
    pub(crate) variety: Variety,
    clients: Vec<Client>,
    evictions: u64,
    decided_ahead: u64,
    answered_us: u64,
    served_us: u64,
    /// Voters that are not started for now.
    kept_down: BTreeSet<NodeId>,
    /// The alarm of each that counts.
    alarms: Vec<u64>,
    events: Vec<Event>,
    pool: BufferPool,
    seed: u64,
    sabotage: Sabotage,
    pub(crate) disk_rng: ChaCha8Rng,
    client_rng: ChaCha8Rng,
    faults: Faults,
    operator: Operator,
    pub(crate) is_fair: bool,
    /// Nodes whose disk lost something: they may end themselves.
    pub(crate) damaged: BTreeSet<NodeId>,
}

/// The time in which things go wrong (us), and the time in which all must end well.
const ROUGH_US: u64 = 12_000_000;
const FAIR_US: u64 = 60_000_000;
const OPERATE_US: u64 = 300_000;
/// A node that was told to stop is started again after this (us).
const RESTART_US: u64 = 200_000;
/// What a disk forgets that breaks its promise on purpose: a record or some.
const SECTORS_FORGOTTEN: usize = 3;

/// Runs one seed.
///
/// # Errors
/// The promise that was broken.
pub fn run(seed: u64, sabotage: Sabotage) -> Result<Report, Box<Violation>> {
    let mut world = World::new(seed, sabotage);
    let ran = world.run();
    ran.map_err(|what| world.violation(what))
}

/// Whether a turn finds the time to look ahead: most do.
fn looks_ahead(id: NodeId, now_us: u64) -> bool {
    !giro_base::hash::fold(now_us ^ 0xa4ead, id | 1 << 40).is_multiple_of(4)
}

/// A stream of random numbers of its own for each purpose.
fn stream(seed: u64, salt: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(salt);
    rng
}

impl World {
    /// A world of this seed.
    ///
    /// # Panics
    /// When the system has no memory.
    #[must_use]
    pub fn new(seed: u64, sabotage: Sabotage) -> Self {
        let mut rng = stream(seed, 7);
        let voters = [1, 3, 3, 3, 5][rng.random_range(0..5)];
        let clients = rng.random_range(1..=4);
        let gate = Gated::of(seed, voters);
        let variety = Variety::of(seed);
        let clients = clients + variety.more_clients;
        Self::with(seed, sabotage, (voters, clients), gate, variety)
    }

    fn with(
        seed: u64,
        sabotage: Sabotage,
        (voters, clients): (u64, usize),
        gated: Option<Gated>,
        variety: Variety,
    ) -> Self {
        let mut rng = stream(seed, 1);
        let first = beginning::first_members(seed, voters, gated.as_ref(), variety.is_unknown);
        let next_id = first.id_max + 1;
        let gate = gated.as_ref().map(|gated| gated.options.clone());
        let looked_for = gate.as_ref().map(|gate| gate.replicas.clone());
        let mut world = Self {
            now_us: 0,
            count: 0,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            nodes: BTreeMap::new(),
            views: BTreeMap::new(),
            network: Network::new(stream(seed, 2)),
            auditor: Auditor::new(first.clone(), looked_for.unwrap_or_default()),
            trace: Trace::new(400),
            first: first.clone(),
            clients: clients::made(clients, &variety),
            evictions: 0,
            decided_ahead: 0,
            answered_us: 0,
            served_us: 0,
            kept_down: BTreeSet::new(),
            alarms: vec![0; clients],
            events: Vec::new(),
            pool: BufferPool::new(24).expect("the machine has memory"),
            seed,
            sabotage,
            disk_rng: stream(seed, 3),
            client_rng: stream(seed, 4),
            faults: Faults::new(stream(seed, 5)),
            operator: Operator::new(stream(seed, 6), next_id),
            spared: gated.map(|gated| gated.learner),
            gate: gate.filter(|_| sabotage != Sabotage::UngatedReply),
            is_fair: false,
            damaged: BTreeSet::new(),
            variety,
        };
        for member in &first.known {
            let incarnation = beginning::incarnation(seed, member.id);
            let mut node = Node::new(member.id, incarnation, first.clone(), seed);
            node.gate.clone_from(&world.gate);
            node.sessions_max = world.variety.sessions_max;
            node.tick_us = rng.random_range(18_000..22_000);
            node.write_us = rng.random_range(80..400);
            node.clock_off_ns = rng.random_range(-200_000_000..200_000_000);
            world.nodes.insert(member.id, node);
        }
        world
    }

    fn violation(&self, what: String) -> Box<Violation> {
        Box::new(Violation {
            seed: self.seed,
            what,
            at_us: self.now_us,
            trace: self.trace.text(),
        })
    }

    fn begin(&mut self) -> Result<(), String> {
        if self.variety.is_unknown {
            self.begin_unknown();
        } else {
            for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                self.start_node(id)?;
            }
        }
        for client in 0..self.clients.len() {
            self.wake_later(client, 1000 * client as u64);
        }
        Ok(())
    }

    fn run(&mut self) -> Result<Report, String> {
        self.begin()?;
        let first = self.faults.first_us();
        self.at(first, Happening::Fault);
        self.at(OPERATE_US, Happening::Operate);
        while self.now_us < ROUGH_US {
            self.step()?;
        }
        self.make_fair()?;
        self.serve_without_some()?;
        self.finish()?;
        self.check_end()
    }

    /// Does the next thing.
    fn step(&mut self) -> Result<(), String> {
        let Reverse((at, number)) = self.queue.pop().expect("clocks tick for ever");
        self.now_us = at;
        let happening = self.happenings.remove(&number).expect("queued with it");
        self.happen(happening)
    }

    fn at(&mut self, at_us: u64, happening: Happening) {
        self.count += 1;
        self.queue
            .push(Reverse((at_us.max(self.now_us), self.count)));
        self.happenings.insert(self.count, happening);
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        if let Some(until) = happening.node().and_then(|id| self.paused_until(id)) {
            // What came meanwhile lies in a queue for each sender: which is read first is chance.
            let queue = happening.source();
            let at = until + 1 + giro_base::hash::fold(until ^ 0x51a7, queue | 1 << 40) % 5_000;
            self.at(at, happening);
            return Ok(());
        }
        match happening {
            Happening::Tick(id, life) => self.tick(id, life),
            Happening::Frame {
                from,
                to,
                epoch,
                bytes,
                is_garbage,
            } => self.frame((from, to), epoch, (&bytes, is_garbage)),
            Happening::Written(id, life, record) => {
                self.on_life(id, life, |node, context| node.written(record, context))
            }
            Happening::Saved(id, life) => self.on_life(id, life, |node, _| {
                node.saved();
                Ok(())
            }),
            Happening::Fetched {
                node,
                life,
                index,
                from,
            } => self.fetched((node, life), index, from),
            Happening::Sent { node, life, peer } => self.sent((node, life), peer),
            Happening::Unreachable { node, life, peer } => self.unreachable((node, life), peer),
            Happening::Stop(id, life) => {
                if !self.is_fair && self.nodes.get(&id).is_some_and(|node| node.life == life) {
                    self.crash_node(id);
                    self.restart_later(id, RESTART_US);
                }
                Ok(())
            }
            Happening::Restart(id) => self.restart(id),
            Happening::Early(early) => {
                self.happen_early(early);
                Ok(())
            }
            Happening::Request(id, client, request) => {
                let (meta, request) = *request;
                let Some(node) = self.nodes.get(&id) else {
                    return Ok(());
                };
                let life = node.life;
                self.on_life(id, life, |node, context| {
                    node.request(client, meta, &request, context)
                })
            }
            Happening::Answer(client, answer) => self.answer(client, answer),
            Happening::Wake(client, alarm) => {
                if self.alarms[client] == alarm {
                    self.wake(client);
                }
                Ok(())
            }
            Happening::Fault => self.fault(),
            Happening::Operate => self.operate(),
        }
    }

    fn restart(&mut self, id: NodeId) -> Result<(), String> {
        let node = self.nodes.get(&id);
        let can = node.is_some_and(|node| node.up.is_none() && node.dead.is_none());
        if can && !self.kept_down.contains(&id) {
            self.start_node(id)?;
        }
        Ok(())
    }

    /// When a process that stands still goes on.
    fn paused_until(&self, id: NodeId) -> Option<u64> {
        let node = self.nodes.get(&id)?;
        (node.paused_until_us > self.now_us).then_some(node.paused_until_us)
    }

    /// Does something with a node in the life it was meant for, and lets it have its turn.
    pub(crate) fn on_life(
        &mut self,
        id: NodeId,
        life: u64,
        work: impl FnOnce(&mut Node, &mut Context<'_>) -> Result<(), Trouble>,
    ) -> Result<(), String> {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Ok(());
        };
        if node.life != life || node.up.is_none() {
            return Ok(());
        }
        let mut context = Context {
            auditor: &mut self.auditor,
            views: &mut self.views,
            sabotage: self.sabotage,
            now_us: self.now_us,
            looks_ahead: looks_ahead(id, self.now_us),
            decided_ahead: 0,
            effects: Vec::new(),
            roles: Vec::new(),
        };
        let turned = work(node, &mut context);
        let turned = turned.and_then(|()| node.turn(&mut context));
        let (effects, roles) = (context.effects, context.roles);
        self.decided_ahead += context.decided_ahead;
        for (role, term) in roles {
            self.trace.note(self.now_us, "role", [id, role, term, 0]);
        }
        let reopens = effects.iter().any(|e| matches!(e, Effect::Reopen));
        for effect in effects {
            self.carry_out(id, life, effect);
        }
        match turned {
            Ok(()) if reopens => self.reopen_node(id),
            Ok(()) => Ok(()),
            Err(Trouble::Broken(what)) => Err(what),
            Err(Trouble::Stop(why)) => self.stop_node(id, &why),
        }
    }

    fn carry_out(&mut self, id: NodeId, life: u64, effect: Effect) {
        match effect {
            Effect::Frame(to, bytes) => {
                let epoch = self.network.epoch(id, to);
                let sum = giro_base::checksum(&bytes) as u64;
                self.trace
                    .note(self.now_us, "sends", [id, to, bytes.len() as u64, sum]);
                for at in self.network.arrivals(id, to, self.now_us) {
                    let from = id;
                    let (bytes, is_garbage) = self.on_the_way(&bytes);
                    let frame = Happening::Frame {
                        from,
                        to,
                        epoch,
                        bytes,
                        is_garbage,
                    };
                    self.at(at, frame);
                }
            }
            Effect::Reopen => {}
            Effect::Started(record) => {
                self.trace.note(self.now_us, "writes", [id, record, 0, 0]);
                let write_us = self.nodes[&id].write_us;
                let at = self.now_us + write_us + self.disk_rng.random_range(0..=write_us);
                self.at(at, Happening::Written(id, life, record));
            }
            Effect::Answer(client, answer) => {
                if !self.network_loses_answer() {
                    let delay = self.client_rng.random_range(100..600);
                    self.at(self.now_us + delay, Happening::Answer(client, answer));
                }
            }
            Effect::Install(from, index) => {
                let delay = self.disk_rng.random_range(1_000..300_000);
                let node = id;
                let fetched = Happening::Fetched {
                    node,
                    life,
                    index,
                    from,
                };
                self.at(self.now_us + delay, fetched);
            }
            Effect::Offered(peer) => {
                let delay = self.disk_rng.random_range(1_000..300_000);
                let node = id;
                self.at(self.now_us + delay, Happening::Sent { node, life, peer });
            }
            Effect::Save => {
                let delay = self.disk_rng.random_range(1_000..200_000);
                self.at(self.now_us + delay, Happening::Saved(id, life));
            }
        }
    }

    /// What becomes of a frame on its way, and whether that must be refused.
    fn on_the_way(&mut self, bytes: &Bytes) -> (Bytes, bool) {
        let forged = match self.sabotage {
            Sabotage::ForgedVotes => forge::granted(bytes),
            Sabotage::ChangedEntry if self.network.forges(0.05) => forge::other_entry(bytes),
            _ => None,
        };
        if let Some(forged) = forged {
            return (forged, false);
        }
        let garbage = self.network.weather.garbage;
        if self.network.forges(garbage) {
            let at = self.disk_rng.random_range(0..1 << 20);
            if let Some(garbage) = forge::garbage(bytes, at) {
                return (garbage, true);
            }
        }
        (bytes.clone(), false)
    }

    /// A checkpoint counts now; nothing of what was before is under way.
    fn reopen_node(&mut self, id: NodeId) -> Result<(), String> {
        let node = self.nodes.get_mut(&id).expect("it just ran");
        if let Some(disk) = node.end() {
            disk.crash(&mut self.disk_rng);
        }
        self.start_node(id)
    }

    fn network_loses_answer(&mut self) -> bool {
        let loss = self.network.weather.loss;
        self.client_rng.random_bool(loss)
    }

    fn fetched(
        &mut self,
        (id, life): (NodeId, u64),
        index: u64,
        from: NodeId,
    ) -> Result<(), String> {
        let image = self.image_of(from, id, index);
        self.on_life(id, life, |node, _| {
            node.fetched_checkpoint(index, image);
            Ok(())
        })
    }

    fn sent(&mut self, (id, life): (NodeId, u64), peer: NodeId) -> Result<(), String> {
        let is_whole = !self.network.is_cut(id, peer);
        self.on_life(id, life, |node, _| {
            if let Some(up) = &mut node.up {
                up.replica.checkpoint_sent(peer, is_whole);
            }
            Ok(())
        })
    }

    fn tick(&mut self, id: NodeId, life: u64) -> Result<(), String> {
        let Some(node) = self.nodes.get(&id) else {
            return Ok(());
        };
        if node.life != life || node.up.is_none() {
            return Ok(());
        }
        let (next, now) = (self.now_us + node.tick_us, self.now_us);
        self.at(next, Happening::Tick(id, life));
        self.on_life(id, life, |node, _| node.tick(now))?;
        if self.variety.is_unknown {
            self.give_up_if_late(id);
        }
        Ok(())
    }

    fn frame(
        &mut self,
        (from, to): (NodeId, NodeId),
        epoch: u64,
        (bytes, is_garbage): (&Bytes, bool),
    ) -> Result<(), String> {
        if self.network.epoch(from, to) != epoch {
            return Ok(());
        }
        let node = self.nodes.get_mut(&to).filter(|node| node.up.is_some());
        let Some(node) = node else {
            self.notices(from, to, NOTICED_US);
            return Ok(());
        };
        let life = node.life;
        match node.receive(bytes) {
            Ok(true) if is_garbage && node.up.is_some() => Err(format!(
                "(c) node {to} takes an entry from node {from} that was changed on its way"
            )),
            Ok(true) => self.on_life(to, life, |_, _| Ok(())),
            Ok(false) => {
                self.trace.note(self.now_us, "refuses", [to, from, 0, 0]);
                self.break_connection(from, to);
                Ok(())
            }
            Err(why) => self.stop_node(to, &why),
        }
    }

    /// A node ended itself. It may only do so when something was done to it.
    fn stop_node(&mut self, id: NodeId, why: &str) -> Result<(), String> {
        if self
            .nodes
            .get(&id)
            .is_some_and(|node| node.fails_next_write)
        {
            self.trace.note(self.now_us, "fails", [id, 0, 0, 0]);
            self.crash_node(id);
            let delay = self.disk_rng.random_range(1_000..1_500_000);
            self.restart_later(id, delay);
            return Ok(());
        }
        if !self.damaged.contains(&id) {
            return Err(format!("node {id} stops for no reason of ours: {why}"));
        }
        self.trace.note(self.now_us, "stops", [id, 0, 0, 0]);
        self.crash_node(id);
        let node = self.nodes.get_mut(&id).expect("it just ran");
        node.dead = Some(why.to_owned());
        Ok(())
    }

    pub(crate) fn start_node(&mut self, id: NodeId) -> Result<(), String> {
        let node = self.nodes.get_mut(&id).expect("it exists");
        let mut context = Context {
            auditor: &mut self.auditor,
            views: &mut self.views,
            sabotage: self.sabotage,
            now_us: self.now_us,
            looks_ahead: looks_ahead(id, self.now_us),
            decided_ahead: 0,
            effects: Vec::new(),
            roles: Vec::new(),
        };
        node.start(&mut context)?;
        let (life, tick_us) = (node.life, node.tick_us);
        self.trace.note(self.now_us, "starts", [id, life, 0, 0]);
        if let Some(why) = &node.dead {
            if !self.damaged.contains(&id) {
                return Err(format!(
                    "node {id} cannot start, and nothing was done to it: {why}"
                ));
            }
            return Ok(());
        }
        self.at(self.now_us + tick_us, Happening::Tick(id, life));
        self.on_life(id, life, |_, _| Ok(()))?;
        if self.variety.is_unknown {
            self.greet(id);
        }
        Ok(())
    }

    /// Power fails at a node.
    pub(crate) fn crash_node(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let Some(disk) = node.end() else { return };
        node.life += 1;
        disk.crash(&mut self.disk_rng);
        if self.sabotage == Sabotage::LostRecords {
            node.storage.forget(SECTORS_FORGOTTEN);
        }
        self.trace.note(self.now_us, "crashes", [id, 0, 0, 0]);
        for other in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.break_connection(id, other);
            self.break_connection(other, id);
        }
    }

    pub(crate) fn restart_later(&mut self, id: NodeId, delay_us: u64) {
        self.at(self.now_us + delay_us, Happening::Restart(id));
    }

    fn image_of(&self, from: NodeId, to: NodeId, index: u64) -> Option<Image> {
        if self.network.is_cut(from, to) || self.network.is_cut(to, from) {
            return None;
        }
        let node = self.nodes.get(&from).filter(|node| node.up.is_some())?;
        let image = node.image.clone();
        image.filter(|image| image.index == index)
    }

    fn fault(&mut self) -> Result<(), String> {
        if self.is_fair {
            return Ok(());
        }
        let mut faults = std::mem::take(&mut self.faults);
        let next = faults.strike(self);
        self.faults = faults;
        let next = next?;
        self.at(self.now_us + next, Happening::Fault);
        Ok(())
    }

    fn operate(&mut self) -> Result<(), String> {
        let mut operator = std::mem::take(&mut self.operator);
        let operated = operator.act(self);
        self.operator = operator;
        operated?;
        self.at(self.now_us + OPERATE_US, Happening::Operate);
        Ok(())
    }
}
