//! A node: its disk, which stays, and the replica that runs on it, which comes and goes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use giro_log::storage::Storage;
use giro_log::{Identity, LogOptions, Recovery};
use giro_node::{
    Beginning, FoundLog, GateOptions, NodeError, ReceiveError, Replica, ReplicaOptions,
};
use giro_replication::{EntryKind, Members, NodeId, Start};

use crate::auditor::Auditor;
use crate::client::Answer;
use crate::disk::{SimDisk, SimStorage};
use crate::forge;
use crate::image::{Image, engine_options, new_engine};
use crate::sabotage::Sabotage;
use crate::up::Up;
use crate::view::{DurableView, UnderWay};

/// The ledger's.
pub const CLUSTER: u128 = 0x51a7;
const DIR: &str = "node";
/// Small, so that segments end often.
const SEGMENT_BYTES: u64 = 272 * 4096;
/// Bytes of entries that the log keeps behind a checkpoint, for peers that lag a little.
const KEPT_BYTES: u64 = 20 << 10;
/// Bytes of entries in memory, for peers that lag even less.
const WINDOW_BYTES: usize = 8 << 10;
/// Bytes that may wait for execution: a few entries.
const BACKLOG_BYTES: usize = 6 << 10;

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
    /// Checkpoints that were fetched, by index: durable, and one counts with its record. There can
    /// be several: a newer one may be offered while the record of one is being written.
    pub staged: BTreeMap<u64, Image>,
    /// How far its wall clock is off (ns).
    pub clock_off_ns: i64,
    /// Its tick (us): clocks run differently.
    pub tick_us: u64,
    /// The process stands still until then (us).
    pub paused_until_us: u64,
    /// Nothing is executed until then (us).
    pub stalled_until_us: u64,
    /// Sessions that its ledger has room for.
    pub sessions_max: u32,
    /// Its replies wait for this.
    pub gate: Option<GateOptions>,
    /// A write takes so long (us).
    pub write_us: u64,
    /// The disk will report an error for the next write.
    pub fails_next_write: bool,
    /// Writes that were under way when it ended last.
    left: UnderWay,
    /// The members that its group began with.
    first: Members,
    seed: u64,
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
    /// A checkpoint was installed: the node opens its directory again.
    Reopen,
}

/// What a turn works with.
pub struct Context<'a> {
    /// Sees everything.
    pub auditor: &'a mut Auditor,
    /// What all disks have.
    pub views: &'a mut BTreeMap<NodeId, DurableView>,
    /// What is done wrong.
    pub sabotage: Sabotage,
    /// Time (us).
    pub now_us: u64,
    /// The turn uses the time in which the disk works.
    pub looks_ahead: bool,
    /// Entries that were decided before they were durable.
    pub decided_ahead: u64,
    /// Out of the turn.
    pub effects: Vec<Effect>,
    /// Roles, for the trace: node, role, term.
    pub roles: Vec<(u64, u64)>,
}

/// Why a turn ended early.
#[derive(Debug)]
pub enum Trouble {
    /// The node ends itself.
    Stop(String),
    /// A promise was broken.
    Broken(String),
}

impl From<NodeError> for Trouble {
    fn from(error: NodeError) -> Self {
        Self::Stop(error.to_string())
    }
}

fn identity() -> Identity {
    Identity {
        cluster: CLUSTER,
        replica: 0,
        replica_count: 1,
        incarnation: 0,
        hash_key: [3, 4],
        segment_bytes: SEGMENT_BYTES,
    }
}

impl Node {
    /// A node with an empty disk.
    ///
    /// # Panics
    /// When the log cannot be made: the disk does nothing wrong here.
    #[must_use]
    pub fn new(id: NodeId, incarnation: u64, first: Members, seed: u64) -> Self {
        let storage = SimStorage::default();
        let shared: Arc<dyn Storage> = Arc::new(storage.clone());
        giro_log::directory::format_on(&shared, Path::new(DIR), &identity())
            .expect("a new disk takes a ledger");
        Self {
            id,
            incarnation,
            storage,
            life: 0,
            up: None,
            dead: None,
            image: None,
            staged: BTreeMap::new(),
            clock_off_ns: 0,
            tick_us: 20_000,
            stalled_until_us: 0,
            sessions_max: 8,
            gate: None,
            write_us: 150,
            paused_until_us: 0,
            fails_next_write: false,
            left: UnderWay::default(),
            first,
            seed,
        }
    }

    /// Ends what runs; what it does with what is left under way is the disk's affair.
    pub fn end(&mut self) -> Option<SimDisk> {
        let (disk, left) = self.up.take()?.into_parts();
        self.left = left;
        Some(disk)
    }

    /// Starts from what the disk has. Says how it went; a node whose disk is damaged is dead.
    ///
    /// # Errors
    /// A promise that was broken.
    pub fn start(&mut self, context: &mut Context<'_>) -> Result<(), String> {
        self.life += 1;
        self.fails_next_write = false;
        let mut found = (0, 0);
        match self.open(context.sabotage, &mut found) {
            Ok((replica, view)) => {
                let (term, last) = found;
                context.auditor.starts(self.id, term, last)?;
                let left = std::mem::take(&mut self.left);
                if let Some(before) = context.views.get(&self.id) {
                    context.auditor.finds(self.id, &view, before, left)?;
                }
                context.views.insert(self.id, view);
                let image = self.image.as_ref();
                let payloads = image.map(|image| image.payloads.to_vec());
                let storage = self.storage.clone();
                let up = Up::new(replica, storage, payloads.unwrap_or_default());
                self.up = Some(up);
                Ok(())
            }
            Err(why) => {
                self.dead = Some(why.to_string());
                Ok(())
            }
        }
    }

    fn open(
        &mut self,
        sabotage: Sabotage,
        found: &mut (u64, u64),
    ) -> Result<(Replica, DurableView), NodeError> {
        let storage: Arc<dyn Storage> = Arc::new(self.storage.clone());
        let dir = Path::new(DIR);
        let mut options = ReplicaOptions::new(self.id, self.incarnation, self.first.clone());
        options.engine = engine_options(self.sessions_max);
        options.seed = self.seed;
        options.window_bytes = WINDOW_BYTES;
        options.kept_bytes = KEPT_BYTES;
        options.backlog_bytes = BACKLOG_BYTES;
        options.gather_from = 3;
        options.gate.clone_from(&self.gate);
        let log = LogOptions {
            spares: 1,
            first_index: Recovery::oldest_index(&storage, dir, &identity())?,
            ..LogOptions::default()
        };
        let recovery = Recovery::open_on(Arc::clone(&storage), dir, &identity(), &log)?;
        let had = self.image.as_ref().map_or(0, |image| image.index);
        let mut view = DurableView::default();
        let take = &mut |hard, content: &_| view.take(hard, content);
        let log = FoundLog::read(recovery, had, &mut |_| {}, take)?;
        if log.before() > had {
            // The record of a fetched checkpoint is durable.
            let staged = self.staged.remove(&log.before());
            self.image = staged.or(self.image.take());
        }
        self.staged.clear();
        view.base = view.base.max(log.before());
        if view.entries.is_empty() {
            // All of them may have been released.
            view.base = view.base.max(had);
        }
        let beginning = Beginning {
            storage,
            dir: dir.to_owned(),
            identity: identity(),
            log,
            engine: match &self.image {
                Some(image) => image.engine(self.sessions_max),
                None => new_engine(self.sessions_max),
            },
            checkpoint: self.image.as_ref().map(Image::describe),
            inline: true,
            lock: None,
        };
        let mut replica = Replica::begin(beginning, &options, &mut |start| {
            spoil(start, sabotage);
            *found = (start.hard.term, start.last);
        })?;
        replica.watch();
        Ok((replica, view))
    }

    /// The wall clock's time (ns).
    #[must_use]
    pub fn wall_ns(&self, now_us: u64) -> u64 {
        let base = 1_700_000_000_000_000_000 + now_us * 1000;
        base.saturating_add_signed(self.clock_off_ns)
    }

    /// Takes a frame. False when it was refused.
    ///
    /// # Errors
    /// Why the node must end.
    pub fn receive(&mut self, frame: &Bytes) -> Result<bool, String> {
        let Some(up) = &mut self.up else {
            return Ok(true);
        };
        match up.replica.receive(frame) {
            Ok(()) => Ok(true),
            Err(ReceiveError::Refused(_)) => Ok(false),
            Err(ReceiveError::Stop(stop)) => Err(stop.to_string()),
        }
    }

    /// The checkpoint that was being written is durable.
    pub fn saved(&mut self) {
        let Some(up) = &mut self.up else { return };
        let Some(image) = up.saving.take() else {
            return;
        };
        up.replica.set_checkpoint(image.describe());
        self.image = Some(image);
    }

    /// A checkpoint was fetched, or could not be.
    pub fn fetched_checkpoint(&mut self, index: u64, image: Option<Image>) {
        let Some(up) = &mut self.up else { return };
        let is_whole = image.as_ref().is_some_and(|image| image.index == index);
        if let Some(image) = image.filter(|_| is_whole) {
            self.staged.insert(index, image);
        }
        up.replica.checkpoint_fetched(index, is_whole);
    }

    /// Does what there is to do.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn turn(&mut self, context: &mut Context<'_>) -> Result<(), Trouble> {
        let is_stalled = context.now_us < self.stalled_until_us;
        match &mut self.up {
            Some(up) => up.turn((self.id, is_stalled), context),
            None => Ok(()),
        }
    }
}

/// Does to what was found on disk what no disk does by itself.
fn spoil(start: &mut Start, sabotage: Sabotage) {
    match sabotage {
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
        Sabotage::NoRoll => start.is_new = false,
        Sabotage::ChangedCommit => {
            let commit = start.hard.commit;
            let mut ops = start
                .entries
                .iter_mut()
                .filter(|entry| entry.kind == EntryKind::Ops && entry.index <= commit);
            if let Some(entry) = ops.next() {
                entry.payload = forge::other_payload(&entry.payload.bytes);
            }
        }
        _ => {}
    }
}
