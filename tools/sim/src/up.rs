//! A running node, driven as the server will drive it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::Bytes;
use giro::{RequestMeta, Verdict};
use giro_base::limits::BODY_BYTES_MAX;
use giro_base::multi_batch::Body;
use giro_node::{Event, Replica, Standing};
use giro_replication::{Commit, CommitContent, NodeId, Role};

use crate::client::Answer;
use crate::disk::{SimDisk, SimStorage};
use crate::image::{Image, first_ops};
use crate::node::{Context, Effect, Node, Trouble};
use crate::sabotage::Sabotage;
use crate::view::UnderWay;
use crate::workload::Request;

/// Entries between checkpoints.
const CHECKPOINT_EVERY: u64 = 60;

/// A running node.
pub struct Up {
    /// What ships.
    pub replica: Replica,
    /// Its writes on their way.
    pub disk: SimDisk,
    /// Groups of ops that its state was made of, in order.
    pub payloads: Vec<Bytes>,
    /// The checkpoint that is being written.
    pub saving: Option<Image>,
    under_way: UnderWay,
    /// Records of which the replica was told too early, on purpose.
    told_early: BTreeSet<u64>,
    /// Reads and evictions that wait for the group's answer.
    reads: BTreeMap<u64, WaitingRead>,
    tickets: u64,
    /// The last entry executed, and its term.
    executed: (u64, u64),
    /// The entry that is being executed.
    executes: (u64, u64),
    /// The last entry with a checkpoint.
    saved: u64,
}

struct WaitingRead {
    client: usize,
    meta: RequestMeta,
    /// None: it is an eviction.
    body: Option<Vec<u8>>,
}

impl Up {
    /// A replica that was just opened, whose state was made of these groups.
    #[must_use]
    pub fn new(replica: Replica, storage: SimStorage, payloads: Vec<Bytes>) -> Self {
        let executed = replica.executed_index();
        Self {
            replica,
            disk: SimDisk::new(storage),
            payloads,
            saving: None,
            under_way: UnderWay::default(),
            told_early: BTreeSet::new(),
            reads: BTreeMap::new(),
            tickets: 0,
            executed: (executed, 0),
            executes: (executed, 0),
            saved: executed,
        }
    }

    /// What is left under way, on its disk and as the auditor knows it.
    #[must_use]
    pub fn into_parts(self) -> (SimDisk, UnderWay) {
        (self.disk, self.under_way)
    }

    /// Does what there is to do; when it is stalled, all but executing.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn turn(
        &mut self,
        (id, is_stalled): (NodeId, bool),
        context: &mut Context<'_>,
    ) -> Result<(), Trouble> {
        for _ in 0..64 {
            self.replica.flush(&mut self.disk)?;
            self.audit(id, context)?;
            self.send(id, context)?;
            let is_ready = |replica: &Replica| !is_stalled && replica.is_ready();
            let mut is_quiet = !is_ready(&self.replica);
            while is_ready(&self.replica) {
                self.execute(id, context)?;
            }
            self.replica.engine_mut().settle();
            for reader in self.replica.fetches() {
                is_quiet = false;
                self.replica.fetched(reader.number(), reader.read())?;
            }
            self.answer_reads(context);
            self.look_after_checkpoints(context);
            if is_quiet {
                return self.look_ahead(context);
            }
        }
        Err(Trouble::Broken("a turn does not end".to_owned()))
    }

    /// While the disk works, the next entry is looked up, or decided where this node is alone.
    fn look_ahead(&mut self, context: &mut Context<'_>) -> Result<(), Trouble> {
        if context.looks_ahead && !self.replica.engine().is_ahead() {
            self.replica.resolve_ahead()?;
            context.decided_ahead += u64::from(self.replica.engine().is_ahead());
        }
        Ok(())
    }

    /// Tells the auditor what happened.
    fn audit(&mut self, id: NodeId, context: &mut Context<'_>) -> Result<(), Trouble> {
        for event in self.replica.events() {
            let auditor = &mut *context.auditor;
            let audited = match event {
                Event::Role(role) => {
                    context.roles.push((role.role as u64, role.term));
                    if role.role == Role::Leader {
                        auditor.leads(id, role.term)
                    } else {
                        Ok(())
                    }
                }
                Event::Write(entry) => auditor.writes(id, &entry),
                Event::Started(record, hard, content) => {
                    self.under_way.start(record, hard, content);
                    Ok(())
                }
                Event::Durable(_) => Ok(()),
                Event::Commit(commit) => {
                    let audited = auditor.commits(id, &commit);
                    self.begin(&commit, context);
                    audited
                }
                Event::Executed(index, digest) => {
                    self.executed = self.executes;
                    auditor.executed(id, index, digest)
                }
            };
            audited.map_err(Trouble::Broken)?;
        }
        Ok(())
    }

    /// An entry is about to be executed.
    fn begin(&mut self, commit: &Commit, context: &mut Context<'_>) {
        self.executes = (commit.index, commit.term);
        let CommitContent::Ops(payload) = &commit.content else {
            return;
        };
        let (index, term) = self.executed;
        if index >= self.saved + CHECKPOINT_EVERY && self.saving.is_none() && term > 0 {
            // As the engine's: in the middle of this entry, if that has more ops than one.
            self.save(first_ops(&payload.bytes), context);
        }
        self.payloads.push(payload.bytes.clone());
    }

    fn save(&mut self, beyond: Bytes, context: &mut Context<'_>) {
        let (index, term) = self.executed;
        self.saved = index;
        self.saving = Some(Image {
            payloads: Rc::new(self.payloads.clone()),
            beyond,
            index,
            term,
            members: self.replica.members().clone(),
        });
        context.effects.push(Effect::Save);
    }

    fn send(&mut self, id: NodeId, context: &mut Context<'_>) -> Result<(), Trouble> {
        for outgoing in std::mem::take(self.replica.frames()) {
            let bytes = outgoing.frame.to_bytes();
            let view = &context.views[&id];
            let sent = context.auditor.sends(id, &bytes, view);
            sent.map_err(Trouble::Broken)?;
            context.effects.push(Effect::Frame(outgoing.to, bytes));
        }
        for record in self.disk.take_started() {
            context.effects.push(Effect::Started(record));
            let is_early = match context.sabotage {
                Sabotage::EarlyPersist => true,
                Sabotage::EarlyOverwrite => self.under_way.overwrites(record, &context.views[&id]),
                _ => false,
            };
            if is_early {
                let bytes = self.disk.bytes_of(record);
                self.replica.on_write(record, Ok(bytes))?;
                self.told_early.insert(record);
            }
        }
        Ok(())
    }

    fn execute(&mut self, id: NodeId, context: &mut Context<'_>) -> Result<(), Trouble> {
        let mut answers = Vec::new();
        let mut take = |reply: giro::Reply<'_>| {
            let client = (reply.client & u128::from(u32::MAX)) as usize;
            let answer = Answer::Reply {
                request_checksum: reply.request_checksum,
                op: reply.op,
                body: reply.body.to_vec(),
            };
            answers.push((client, reply.op, answer));
        };
        self.replica.execute(&mut take)?;
        self.audit(id, context)?;
        for (client, op, answer) in answers {
            // Clients are numbered from 1, the library's own requests have none, and wait for no
            // gate.
            let client = client.checked_sub(1);
            self.acknowledge(op, client.is_none(), context)?;
            if let Some(client) = client {
                context.effects.push(Effect::Answer(client, answer));
            }
        }
        if context.sabotage == Sabotage::WrongState && id == 2 && self.executed.0 == 40 {
            self.replica.spoil_digest(1);
        }
        Ok(())
    }

    /// The auditor looks at a reply that leaves.
    fn acknowledge(&self, op: u64, is_own: bool, context: &Context<'_>) -> Result<(), Trouble> {
        let is_open = self.replica.gate().is_some_and(|gate| gate.is_degraded);
        let kept = context
            .auditor
            .acknowledges(op, context.views, is_open || is_own);
        kept.map_err(Trouble::Broken)
    }

    fn look_after_checkpoints(&mut self, context: &mut Context<'_>) {
        for install in self.replica.installs() {
            let index = install.checkpoint.index;
            context.effects.push(Effect::Install(install.from, index));
        }
        if self.replica.wants_checkpoint() && self.saving.is_none() && self.executed.1 > 0 {
            self.save(Bytes::new(), context);
        }
        for (peer, _) in self.replica.offers() {
            context.effects.push(Effect::Offered(peer));
        }
        if self.replica.is_superseded() {
            context.effects.push(Effect::Reopen);
        }
    }

    fn answer_reads(&mut self, context: &mut Context<'_>) {
        if self.replica.engine().is_ahead() {
            // What is decided and not durable is shown to nobody.
            return;
        }
        let mut answers = Vec::new();
        self.replica.answers(&mut answers);
        for (ticket, may_answer) in answers {
            let Some(read) = self.reads.remove(&ticket) else {
                continue;
            };
            if may_answer {
                self.answer_read(read, context);
            } else {
                self.refuse(read.client, read.meta.request_checksum, context);
            }
        }
    }

    fn answer_read(&mut self, read: WaitingRead, context: &mut Context<'_>) {
        let request_checksum = read.meta.request_checksum;
        let engine = self.replica.engine_mut();
        let Some(body) = read.body else {
            // Asked of a majority: this is the newest there is.
            if matches!(engine.check(&read.meta), Verdict::Evict(_)) {
                let answer = Answer::Evicted { request_checksum };
                context.effects.push(Effect::Answer(read.client, answer));
            }
            return;
        };
        let operation = read.meta.operation;
        let body = Body::parse(operation, &body).expect("clients ask what is allowed");
        let mut out = vec![0; BODY_BYTES_MAX];
        let bytes = engine.read(request_checksum, operation, &body, &mut out);
        out.truncate(bytes.expect("memory can be read"));
        let answer = Answer::Reply {
            request_checksum,
            op: engine.commit_op(),
            body: out,
        };
        context.effects.push(Effect::Answer(read.client, answer));
    }

    fn refuse(&self, client: usize, request_checksum: u128, context: &mut Context<'_>) {
        let hint = match self.replica.standing() {
            Standing::Elsewhere { leader } => leader,
            Standing::Serving | Standing::Busy => None,
        };
        let answer = Answer::NotLeader {
            request_checksum,
            hint,
        };
        context.effects.push(Effect::Answer(client, answer));
    }

    fn read(
        &mut self,
        client: usize,
        meta: RequestMeta,
        body: Option<Vec<u8>>,
        context: &mut Context<'_>,
    ) {
        self.tickets += 1;
        let ticket = self.tickets;
        let read = WaitingRead { client, meta, body };
        if self.replica.ask(ticket).is_ok() {
            self.reads.insert(ticket, read);
        } else {
            self.refuse(client, meta.request_checksum, context);
        }
    }

    fn request(
        &mut self,
        (client, wall_ns): (usize, u64),
        meta: RequestMeta,
        request: &Request,
        context: &mut Context<'_>,
    ) -> Result<(), Trouble> {
        let request_checksum = meta.request_checksum;
        let is_ahead = self.replica.engine().is_ahead();
        if context.sabotage == Sabotage::StaleRead && !request.is_write() && !is_ahead {
            let body = Some(request.body.clone());
            let read = WaitingRead { client, meta, body };
            self.answer_read(read, context);
            return Ok(());
        }
        if self.replica.standing() != Standing::Serving {
            self.refuse(client, request_checksum, context);
            return Ok(());
        }
        if !request.is_write() {
            self.read(client, meta, Some(request.body.clone()), context);
            return Ok(());
        }
        let engine = self.replica.engine_mut();
        let mut verdict = engine.check(&meta);
        if context.sabotage == Sabotage::NoSessions && verdict == Verdict::Resend {
            verdict = Verdict::Accept;
        }
        match verdict {
            Verdict::Accept if engine.can_submit(request.body.len()) => {
                engine.submit_copy(wall_ns, &meta, &request.body);
            }
            Verdict::Accept | Verdict::Drop(_) => {}
            Verdict::Resend
                if !self.replica.may_resend(meta.client)
                    && context.sabotage != Sabotage::UngatedResend => {}
            Verdict::Resend => {
                let engine = self.replica.engine();
                let last = engine.last_reply(meta.client);
                let last = last.expect("the session has a reply");
                let (op, body) = (last.op, last.body.to_vec());
                self.acknowledge(op, false, context)?;
                let answer = Answer::Reply {
                    request_checksum,
                    op,
                    body,
                };
                context.effects.push(Effect::Answer(client, answer));
            }
            // A leader that was replaced and does not know it does not know newer sessions.
            Verdict::Evict(_) => self.read(client, meta, None, context),
        }
        Ok(())
    }
}

/// What comes to a node from outside, beside frames.
impl Node {
    /// A tick of its clock.
    ///
    /// # Errors
    /// Why the node must end.
    pub fn tick(&mut self, now_us: u64) -> Result<(), Trouble> {
        let wall = self.wall_ns(now_us);
        if let Some(up) = &mut self.up {
            up.replica.tick()?;
            if up.replica.standing() == Standing::Serving {
                up.replica.engine_mut().tick(wall);
            }
        }
        Ok(())
    }

    /// A client asks.
    ///
    /// # Errors
    /// [`Trouble::Broken`].
    pub fn request(
        &mut self,
        client: usize,
        meta: RequestMeta,
        request: &Request,
        context: &mut Context<'_>,
    ) -> Result<(), Trouble> {
        let wall = self.wall_ns(context.now_us);
        match &mut self.up {
            Some(up) => up.request((client, wall), meta, request, context),
            None => Ok(()),
        }
    }

    /// The disk is done with a record, or reports an error.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn written(&mut self, record: u64, context: &mut Context<'_>) -> Result<(), Trouble> {
        let Some(up) = &mut self.up else {
            return Ok(());
        };
        if self.fails_next_write {
            let failed = up
                .replica
                .on_write(record, Err(std::io::ErrorKind::Other.into()));
            return match failed {
                Err(error) => Err(error.into()),
                Ok(()) => Err(Trouble::Broken("a failed write is passed over".to_owned())),
            };
        }
        let bytes = up.disk.complete(record);
        let view = context.views.get_mut(&self.id).expect("it was started");
        up.under_way.complete(record, view);
        context.auditor.durable(self.id, view);
        let newest = view.entries.iter().next_back();
        let newest = newest.map(|(index, (term, _))| (*index, *term));
        if context.sabotage == Sabotage::EarlyReply && up.replica.role().serving {
            let views = &*context.views;
            let replied = newest.map_or(Ok(()), |entry| context.auditor.replies(entry, views));
            replied.map_err(Trouble::Broken)?;
        }
        if up.told_early.remove(&record) || context.sabotage == Sabotage::NeverPersist {
            return Ok(());
        }
        Ok(up.replica.on_write(record, Ok(bytes))?)
    }
}
