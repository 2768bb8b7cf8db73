//! A node: the group, its log and its state, driven as the server will drive them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use giro::{RequestMeta, Verdict};
use giro_base::{BufferPool, limits::BODY_BYTES_MAX, multi_batch::Body};
use giro_replication::{
    Checkpoint, Commit, CommitContent, Group, Members, NodeId, Options, Output, Payload,
    ProposeError, ReceiveError, Role,
};

use crate::auditor::Auditor;
use crate::client::Answer;
use crate::disk::SimStorage;
use crate::machine::{Image, Machine};
use crate::sabotage::Sabotage;
use crate::wal::{DurableView, Wal};
use crate::workload::Request;

/// The ledger's.
pub const CLUSTER: u128 = 0x51a7;

/// A node, up or down.
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// Drawn when its directory was made.
    pub incarnation: u64,
    /// Its disk.
    pub storage: SimStorage,
    /// Counts starts and crashes: what was meant for another life is lost.
    pub life: u64,
    /// What runs, when it runs.
    pub up: Option<Up>,
    /// Why it never runs again.
    pub dead: Option<String>,
    /// Its newest durable checkpoint.
    pub image: Option<Image>,
    /// A checkpoint that was fetched: durable, and it counts with its record.
    staged: Option<Image>,
    /// How far its wall clock is off (ns).
    pub clock_off_ns: i64,
    /// Its tick (us): clocks run differently.
    pub tick_us: u64,
    /// The process stands still until then (us).
    pub paused_until_us: u64,
    /// A write takes so long (us).
    pub write_us: u64,
    /// The members that its group began with.
    first: Members,
    seed: u64,
}

/// A node's parts, and the term and last entry that it starts with.
type Opened = (Group, Wal, DurableView, (u64, u64));

/// A running node.
pub struct Up {
    /// Its part in the group.
    pub group: Group,
    /// Its log.
    pub wal: Wal,
    /// Its state.
    pub machine: Machine,
    /// Reads and evictions that wait for the group's answer.
    reads: BTreeMap<u64, WaitingRead>,
    tickets: u64,
    /// Installed by the write with this number.
    installing: Option<(u64, Image)>,
    in_flight: usize,
    /// The checkpoint that is being written.
    pub saving: Option<Image>,
    was_serving: bool,
}

struct WaitingRead {
    client: usize,
    meta: RequestMeta,
    /// None: it is an eviction.
    body: Option<Vec<u8>>,
}

/// What a turn asks of the world.
#[derive(Debug)]
pub enum Effect {
    /// Send this.
    Frame(NodeId, Bytes),
    /// The disk began to write this record.
    Started(u64),
    /// Tell a client.
    Answer(usize, Answer),
    /// Get this checkpoint from that node.
    Install(NodeId, u64),
    /// That node was offered the checkpoint.
    Offered(NodeId),
    /// A checkpoint wants to become durable.
    Save,
}

/// What a turn works with.
pub struct Context<'a> {
    /// Sees everything.
    pub auditor: &'a mut Auditor,
    /// What all disks have.
    pub views: &'a mut BTreeMap<NodeId, DurableView>,
    /// Buffers for all nodes.
    pub pool: &'a BufferPool,
    /// What is done wrong.
    pub sabotage: Sabotage,
    /// Time (us).
    pub now_us: u64,
    /// Out of the turn.
    pub effects: Vec<Effect>,
    /// Roles, for the trace: node, role, term.
    pub roles: Vec<(u64, u64)>,
}

/// Entries between checkpoints.
const CHECKPOINT_EVERY: u64 = 60;
/// Entries that the log keeps behind a checkpoint, for peers that lag a little.
const KEPT_BEHIND: u64 = 20;
/// Groups proposed and not committed from which on requests gather.
const GATHER_FROM: usize = 3;

impl Node {
    /// A node with an empty disk.
    #[must_use]
    pub fn new(id: NodeId, incarnation: u64, first: Members, seed: u64) -> Self {
        let storage = SimStorage::default();
        Wal::format(&storage);
        Self {
            id,
            incarnation,
            storage,
            life: 0,
            up: None,
            dead: None,
            image: None,
            staged: None,
            clock_off_ns: 0,
            tick_us: 20_000,
            write_us: 150,
            paused_until_us: 0,
            first,
            seed,
        }
    }

    /// Starts from what the disk has. Says how it went; a node whose disk is damaged is dead.
    ///
    /// # Errors
    /// A promise that was broken.
    pub fn start(&mut self, context: &mut Context<'_>) -> Result<(), String> {
        self.life += 1;
        match self.open(context) {
            Ok((group, wal, view, (term, last))) => {
                let machine = match &self.image {
                    Some(image) => Machine::of_image(image, context.pool),
                    None => Machine::new(self.first.clone()),
                };
                context.auditor.starts(self.id, term, last)?;
                context.views.insert(self.id, view);
                self.up = Some(Up::new(group, wal, machine));
                Ok(())
            }
            Err(why) => {
                self.dead = Some(why);
                Ok(())
            }
        }
    }

    fn open(&mut self, context: &Context<'_>) -> Result<Opened, String> {
        let (wal, replay, view) = Wal::open(&self.storage, context.pool)?;
        let had = self.image.as_ref().map_or(0, |image| image.index);
        if replay.before() > had {
            // The record of a fetched checkpoint is durable, and nobody was told.
            self.image = self.staged.take();
        }
        let checkpoint = self.image.as_ref().map(describe);
        let mut start = replay
            .start(self.first.clone(), checkpoint)
            .map_err(|error| error.to_string())?;
        match context.sabotage {
            Sabotage::ForgetVote => {
                let last = start.terms.last().map_or(0, |(_, term)| *term);
                (start.hard.term, start.hard.vote) = (last, 0);
            }
            Sabotage::ForgetTail => {
                let lost = start.entries.len().min(3);
                let kept = start.entries.len() - lost;
                start.entries.truncate(kept);
                start.last -= lost as u64;
                let last = start.last;
                start.terms.retain(|(index, _)| *index <= last);
                start.hard.commit = start.hard.commit.min(last);
            }
            _ => {}
        }
        let options = Options {
            cluster: CLUSTER,
            node: self.id,
            incarnation: self.incarnation,
            seed: self.seed,
            window_bytes: 8 << 10,
            ..Options::default()
        };
        let found = (start.hard.term, start.last);
        let group = Group::new(options, start).map_err(|error| error.to_string())?;
        Ok((group, wal, view, found))
    }

    /// The wall clock's time (ns).
    #[must_use]
    pub fn wall_ns(&self, now_us: u64) -> u64 {
        let base = 1_700_000_000_000_000_000 + now_us * 1000;
        base.saturating_add_signed(self.clock_off_ns)
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// Why the node must end.
    pub fn receive(&mut self, frame: &Bytes) -> Result<bool, String> {
        let Some(up) = &mut self.up else {
            return Ok(true);
        };
        match up.group.receive(frame) {
            Ok(()) => Ok(true),
            Err(ReceiveError::Refused(_)) => Ok(false),
            Err(ReceiveError::Stop(stop)) => Err(stop.to_string()),
        }
    }

    /// A tick of its clock.
    pub fn tick(&mut self, now_us: u64) {
        let wall = self.wall_ns(now_us);
        if let Some(up) = &mut self.up {
            up.group.tick();
            if up.group.is_serving() {
                up.machine.engine.tick(wall);
            }
        }
    }

    /// A client asks.
    pub fn request(
        &mut self,
        client: usize,
        meta: RequestMeta,
        request: &Request,
        context: &mut Context<'_>,
    ) {
        let wall = self.wall_ns(context.now_us);
        let Some(up) = &mut self.up else { return };
        let request_checksum = meta.request_checksum;
        if context.sabotage == Sabotage::StaleRead && !request.is_write() {
            let body = Some(request.body.clone());
            let read = WaitingRead { client, meta, body };
            up.answer_read(read, context);
            return;
        }
        if !up.group.is_serving() {
            let hint = up.group.role().leader;
            let answer = Answer::NotLeader {
                request_checksum,
                hint,
            };
            context.effects.push(Effect::Answer(client, answer));
            return;
        }
        if !request.is_write() {
            up.read(client, meta, Some(request.body.clone()), context);
            return;
        }
        let mut verdict = up.machine.engine.check(&meta);
        if context.sabotage == Sabotage::NoSessions && verdict == Verdict::Resend {
            verdict = Verdict::Accept;
        }
        match verdict {
            Verdict::Accept if up.machine.engine.can_submit(request.body.len()) => {
                up.machine.engine.submit_copy(wall, &meta, &request.body);
            }
            Verdict::Accept | Verdict::Drop(_) => {}
            Verdict::Resend => {
                let last = up.machine.engine.last_reply(meta.client);
                let last = last.expect("the session has a reply");
                let (op, body) = (last.op, last.body.to_vec());
                let answer = Answer::Reply {
                    request_checksum,
                    op,
                    body,
                };
                context.effects.push(Effect::Answer(client, answer));
            }
            // A leader that was replaced and does not know it does not know newer sessions.
            Verdict::Evict(_) => up.read(client, meta, None, context),
        }
    }

    /// A record is durable.
    ///
    /// # Errors
    /// Why the node must end.
    pub fn written(&mut self, record: u64, context: &mut Context<'_>) -> Result<(), String> {
        let Some(up) = &mut self.up else {
            return Ok(());
        };
        let view = context.views.get_mut(&self.id).expect("it was started");
        let numbers = up.wal.complete(record, view);
        context.auditor.durable(self.id, view);
        let newest = view.entries.iter().next_back();
        let newest = newest.map(|(index, (term, _))| (*index, *term));
        if context.sabotage == Sabotage::EarlyReply && up.group.is_serving() {
            let views = &*context.views;
            newest.map_or(Ok(()), |entry| context.auditor.replies(entry, views))?;
        }
        for number in numbers {
            if context.sabotage != Sabotage::EarlyPersist
                && context.sabotage != Sabotage::NeverPersist
            {
                up.group.persisted(number);
            }
            if up.installing.as_ref().is_some_and(|(n, _)| *n == number) {
                let (_, image) = up.installing.take().expect("looked at it above");
                up.machine = Machine::of_image(&image, context.pool);
                let (index, digest) = (image.index, up.machine.digest());
                self.image = Some(image);
                up.group
                    .executed(index, digest)
                    .map_err(|e| e.to_string())?;
                context.auditor.executed(self.id, index, digest)?;
            }
        }
        Ok(())
    }

    /// The checkpoint that was being written is durable.
    pub fn saved(&mut self) {
        let Some(up) = &mut self.up else { return };
        let Some(image) = up.saving.take() else {
            return;
        };
        // One that was installed meanwhile is newer.
        if self
            .image
            .as_ref()
            .is_some_and(|old| old.index >= image.index)
        {
            return;
        }
        up.group.set_checkpoint(describe(&image));
        up.group
            .compact(image.index.saturating_sub(KEPT_BEHIND) + 1);
        self.image = Some(image);
    }

    /// A checkpoint was fetched, or could not be.
    pub fn fetched_checkpoint(&mut self, index: u64, image: Option<Image>) {
        let Some(up) = &mut self.up else { return };
        let is_whole = image.as_ref().is_some_and(|image| image.index == index);
        if is_whole {
            self.staged = image;
        }
        up.group.checkpoint_fetched(index, is_whole);
    }

    /// Does what there is to do.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn turn(&mut self, context: &mut Context<'_>) -> Result<(), Trouble> {
        let Some(up) = &mut self.up else {
            return Ok(());
        };
        for _ in 0..64 {
            up.propose();
            let mut out = Output::default();
            let polled = up.group.poll(&mut out);
            polled.map_err(|stop| Trouble::Stop(stop.to_string()))?;
            let is_quiet = out.commits.is_empty() && out.fetches.is_empty();
            up.carry_out(self.id, out, &mut self.staged, context)?;
            for record in up.wal.start() {
                context.effects.push(Effect::Started(record));
            }
            if is_quiet {
                return Ok(());
            }
        }
        Err(Trouble::Broken("a turn does not end".to_owned()))
    }
}

/// Why a turn ended early.
#[derive(Debug)]
pub enum Trouble {
    /// The node ends itself.
    Stop(String),
    /// A promise was broken.
    Broken(String),
}

impl Up {
    fn new(group: Group, wal: Wal, machine: Machine) -> Self {
        Self {
            group,
            wal,
            machine,
            reads: BTreeMap::new(),
            tickets: 0,
            installing: None,
            in_flight: 0,
            saving: None,
            was_serving: false,
        }
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    fn read(
        &mut self,
        client: usize,
        meta: RequestMeta,
        body: Option<Vec<u8>>,
        context: &mut Context<'_>,
    ) {
        let ticket = self.ticket();
        let read = WaitingRead { client, meta, body };
        match self.group.read(ticket) {
            Ok(()) => drop(self.reads.insert(ticket, read)),
            Err(error) => refuse(client, meta.request_checksum, error, context),
        }
    }

    fn propose(&mut self) {
        while self.in_flight < GATHER_FROM && self.group.next_place().is_some() {
            let Some(group) = self.machine.engine.take_group(true) else {
                return;
            };
            let payload = Payload::new(Bytes::copy_from_slice(group.payload()));
            let ticket = self.ticket();
            if self.group.propose(payload, ticket).is_err() {
                // What was sequenced behind it cannot go before it.
                self.machine.engine.abandon();
                return;
            }
            self.in_flight += 1;
        }
    }

    fn carry_out(
        &mut self,
        id: NodeId,
        out: Output,
        staged: &mut Option<Image>,
        context: &mut Context<'_>,
    ) -> Result<(), Trouble> {
        for role in &out.roles {
            context.roles.push((role.role as u64, role.term));
            if role.role == Role::Leader {
                let led = context.auditor.leads(id, role.term);
                led.map_err(Trouble::Broken)?;
            }
            if role.serving != self.was_serving {
                // Sequencing begins, or what was sequenced is void.
                self.was_serving = role.serving;
                self.in_flight = 0;
                self.machine.engine.abandon();
            }
        }
        for write in &out.writes {
            for entry in &write.entries {
                context.auditor.writes(id, entry).map_err(Trouble::Broken)?;
            }
            if let Some(checkpoint) = &write.install {
                let fetched = staged.clone();
                let fetched = fetched.filter(|image| image.index == checkpoint.index);
                let image = fetched.expect("the group installs what was fetched");
                self.installing = Some((write.number, image));
            }
            self.wal.submit(write);
            if context.sabotage == Sabotage::EarlyPersist {
                self.group.persisted(write.number);
            }
        }
        for outgoing in out.frames {
            let bytes = outgoing.frame.to_bytes();
            let view = &context.views[&id];
            let sent = context.auditor.sends(id, &bytes, view);
            sent.map_err(Trouble::Broken)?;
            context.effects.push(Effect::Frame(outgoing.to, bytes));
        }
        for commit in out.commits {
            self.execute(id, &commit, context)?;
        }
        for fetch in out.fetches {
            let entries = self.wal.entries(fetch.low, fetch.high);
            self.group.fetched(fetch.number, &entries);
        }
        for install in out.installs {
            let index = install.checkpoint.index;
            context.effects.push(Effect::Install(install.from, index));
        }
        if out.wants_checkpoint && self.saving.is_none() {
            self.save(context);
        }
        for (peer, _) in out.offers {
            context.effects.push(Effect::Offered(peer));
        }
        self.answer_reads(&out.reads, &out.refused_reads, context);
        Ok(())
    }

    fn answer_reads(&mut self, ready: &[u64], refused: &[u64], context: &mut Context<'_>) {
        for ticket in ready {
            if let Some(read) = self.reads.remove(ticket) {
                self.answer_read(read, context);
            }
        }
        for ticket in refused {
            if let Some(read) = self.reads.remove(ticket) {
                let leader = self.group.role().leader;
                let error = ProposeError::NotLeader { leader };
                refuse(read.client, read.meta.request_checksum, error, context);
            }
        }
    }

    fn execute(
        &mut self,
        id: NodeId,
        commit: &Commit,
        context: &mut Context<'_>,
    ) -> Result<(), Trouble> {
        if commit.index <= self.machine.executed || self.installing.is_some() {
            // An installed checkpoint has it.
            return Ok(());
        }
        context
            .auditor
            .commits(id, commit)
            .map_err(Trouble::Broken)?;
        self.in_flight = self
            .in_flight
            .saturating_sub(usize::from(commit.ticket.is_some()));
        match &commit.content {
            CommitContent::Ops(payload) => {
                let mut answers = VecDeque::new();
                let mut take = |reply: giro::Reply<'_>| {
                    let client = (reply.client & u128::from(u32::MAX)) as usize;
                    let answer = Answer::Reply {
                        request_checksum: reply.request_checksum,
                        op: reply.op,
                        body: reply.body.to_vec(),
                    };
                    answers.push_back((client, answer));
                };
                let may_reply = commit.ticket.is_some();
                let reply = may_reply.then_some(&mut take as &mut dyn FnMut(giro::Reply<'_>));
                self.machine.execute(&payload.bytes, context.pool, reply);
                for (client, answer) in answers {
                    let place = (commit.index, commit.term);
                    let kept = context.auditor.replies(place, context.views);
                    kept.map_err(Trouble::Broken)?;
                    // Clients are numbered from 1, the library's own requests have none.
                    if let Some(client) = client.checked_sub(1) {
                        context.effects.push(Effect::Answer(client, answer));
                    }
                }
            }
            CommitContent::Empty => {}
            CommitContent::Members(members) => self.machine.members = members.clone(),
        }
        (self.machine.executed, self.machine.term) = (commit.index, commit.term);
        let mut digest = self.machine.digest();
        if context.sabotage == Sabotage::WrongState && id == 2 && commit.index > 40 {
            digest ^= 1;
        }
        let audited = context.auditor.executed(id, commit.index, digest);
        audited.map_err(Trouble::Broken)?;
        let executed = self.group.executed(commit.index, digest);
        executed.map_err(|stop| Trouble::Stop(stop.to_string()))?;
        if commit.index.is_multiple_of(CHECKPOINT_EVERY) && self.saving.is_none() {
            self.save(context);
        }
        Ok(())
    }

    fn save(&mut self, context: &mut Context<'_>) {
        self.saving = Some(self.machine.image());
        context.effects.push(Effect::Save);
    }

    fn answer_read(&mut self, read: WaitingRead, context: &mut Context<'_>) {
        let request_checksum = read.meta.request_checksum;
        let Some(body) = read.body else {
            // Asked of a majority: this is the newest there is.
            let verdict = self.machine.engine.check(&read.meta);
            if matches!(verdict, Verdict::Evict(_)) {
                let answer = Answer::Evicted { request_checksum };
                context.effects.push(Effect::Answer(read.client, answer));
            }
            return;
        };
        let operation = read.meta.operation;
        let body = Body::parse(operation, &body).expect("clients ask what is allowed");
        let mut out = vec![0; BODY_BYTES_MAX];
        let engine = &mut self.machine.engine;
        let bytes = engine.read(request_checksum, operation, &body, &mut out);
        out.truncate(bytes.expect("memory can be read"));
        let answer = Answer::Reply {
            request_checksum,
            op: engine.commit_op(),
            body: out,
        };
        context.effects.push(Effect::Answer(read.client, answer));
    }
}

fn refuse(client: usize, request_checksum: u128, error: ProposeError, context: &mut Context<'_>) {
    let hint = match error {
        ProposeError::NotLeader { leader } => leader,
        ProposeError::Busy(_) => None,
    };
    let answer = Answer::NotLeader {
        request_checksum,
        hint,
    };
    context.effects.push(Effect::Answer(client, answer));
}

/// A checkpoint as the group knows it.
#[must_use]
pub fn describe(image: &Image) -> Checkpoint {
    Checkpoint {
        index: image.index,
        term: image.term,
        members: image.members.clone(),
        manifest: Bytes::from_static(b"image"),
    }
}
