//! Opening a ledger: its directory, its options, and replaying its log.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use giro_base::limits::EVENTS_MAX_UNBATCHED;
use giro_base::{BufferPool, Operation};
use giro_core::{Digest, StateMachine};
use giro_log::directory::read_identity_on;
use giro_log::storage::{RealStorage, Storage};
use giro_log::{DirLock, Identity, Log, LogOptions, Recovery, ops, read_identity};
use giro_store::{Catalog, Found, History, Names, StoreError};

use crate::engine::{Engine, LogWait, event_count, meta_of};
use crate::error::Error;
use crate::executor::Executor;
use crate::past::Past;
use crate::session::Sessions;

/// What can be chosen at each opening. Nothing of it shows in results.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that share execution; the default, 1, is best on few cores (`BENCHMARKS.md`).
    pub shards: u32,
    /// Pin the shards' threads to cores of their own, where there are enough.
    pub pin: bool,
    /// Most sessions; one more displaces the one quiet for longest.
    pub sessions_max: u32,
    /// Message buffers of 1 MiB: requests being received, written or executed.
    pub buffers: u32,
    /// Most accounts. Only address space until they are created.
    pub accounts_max: usize,
    /// Most transfers, where all stay in memory. Only address space until they are created.
    pub transfers_max: usize,
    /// Transfers leave memory for a history on disk (under `history/`), and have no limit. Ledgers
    /// in memory have none. May be switched on at any opening, and off again while the log is
    /// whole.
    pub archive: bool,
    /// Transfers in a generation: what goes to the history at a time. At least 1, at most
    /// [`GENERATION_ROWS_MAX`]; what lies beyond is taken as that.
    pub generation_rows: usize,
    /// The history's.
    pub history: giro_store::Options,
    /// Memory for transfers to make resident at once (bytes). Worth it where the first touch of
    /// memory is slow, as on virtual machines, and the peak is known.
    pub prefault_bytes: usize,
    /// The log's.
    pub log: LogOptions,
}

impl Default for Options {
    fn default() -> Self {
        let core = giro_core::Options::default();
        Self {
            shards: 1,
            pin: true,
            sessions_max: 4096,
            buffers: 96,
            accounts_max: core.accounts_max,
            transfers_max: core.transfers_max,
            archive: true,
            generation_rows: 1 << 19,
            history: giro_store::Options::default(),
            prefault_bytes: 0,
            log: LogOptions::default(),
        }
    }
}

/// Most transfers in a generation: several of them lie in memory, whose rows have 30 bits.
pub const GENERATION_ROWS_MAX: usize = 1 << 24;

/// How far replaying the log has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Records replayed.
    pub records: u64,
    /// Operations replayed.
    pub ops: u64,
    /// Bytes of the log read.
    pub bytes: u64,
    /// Bytes of the log's segments; the last one is seldom full.
    pub bytes_total: u64,
}

/// A member's state as of its newest checkpoint; see [`Engine::open_at_checkpoint`].
pub struct AtCheckpoint {
    /// The state. It has no log.
    pub engine: Engine,
    /// The log, not read yet, from its oldest record on.
    pub recovery: Recovery,
    /// Where the state is from; none when it is empty.
    pub checkpoint: Option<CheckpointPlace>,
    /// Whose ledger it is.
    pub identity: Identity,
}

/// Where a checkpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointPlace {
    /// The last op it has.
    pub op: u64,
    /// The record with that op, of the node that made it.
    pub record: u64,
    /// What it says of the group; empty in a ledger alone.
    pub group: Vec<u8>,
}

impl CheckpointPlace {
    /// Where the newest checkpoint of a history is; none without one.
    ///
    /// # Errors
    /// The history's, when it cannot be read or is damaged.
    pub fn of(catalog: &Catalog) -> Result<Option<Self>, Error> {
        let Some(whole) = catalog.checkpoint() else {
            return Ok(None);
        };
        let memory = |source| Error::Memory {
            what: "a page of the history",
            source,
        };
        let mut reader = giro_store::reader::Reader::new().map_err(memory)?;
        let state = whole.state();
        Ok(Some(Self {
            op: state.op,
            record: state.record,
            group: whole.group(&mut reader)?,
        }))
    }
}

impl Engine {
    /// Opens the ledger in `dir`, which stays locked until the engine is dropped, and replays its
    /// log. `progress` is called for each record.
    ///
    /// # Errors
    /// [`Error::Log`] when there is no ledger, another process has it, or its log is damaged;
    /// [`Error::Memory`] when the system cannot hold it; [`Error::Full`] when it has more accounts
    /// or transfers than `options` have room for.
    pub fn open(
        dir: &Path,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, Error> {
        let lock = take_lock(dir)?;
        let finish = |recovery: Recovery| Ok((recovery.finish()?, Some(lock)));
        let storage: Arc<dyn Storage> = Arc::new(RealStorage);
        Self::open_with(&storage, dir, options, progress, finish)
    }

    /// As [`Self::open`], on any storage, without a lock; log segments are made when they are
    /// needed. For simulations and tests.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, Error> {
        let finish = |recovery: Recovery| Ok((recovery.finish_inline()?, None));
        Self::open_with(storage, dir, options, progress, finish)
    }

    fn open_with(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
        finish: impl FnOnce(Recovery) -> Result<(Log, Option<DirLock>), Error>,
    ) -> Result<Self, Error> {
        let identity = read_identity_on(&**storage, dir)?;
        if identity.incarnation != 0 {
            return Err(Error::Grouped);
        }
        let history = options.archive;
        let history = history.then(|| open_history(storage, dir, &identity, options));
        let history = history.transpose()?;
        let catalog = history.as_ref().map(Found::catalog);
        let recovery = open_log(storage, dir, &identity, catalog, options)?;
        // Only a log that is there makes again what is removed now.
        let history = history.map(Found::begin).transpose()?;
        let generation_rows = options.generation_rows.clamp(1, GENERATION_ROWS_MAX);
        let past = history.map(|history| (history, Some(generation_rows)));
        let parts = Parts::new(identity.hash_key, past, options)?;
        Self::replay(parts, recovery, progress, finish)
    }

    /// Opens the state of a member of a group of nodes in `dir` as of its newest checkpoint; what
    /// is behind that in the log is for the group to say. Nothing is locked. `is_ours` tells from
    /// a checkpoint's part of the group whether this node made it; others' records are not ours.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_at_checkpoint(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        options: &Options,
        is_ours: &dyn Fn(&[u8]) -> bool,
    ) -> Result<AtCheckpoint, Error> {
        let identity = read_identity_on(&**storage, dir)?;
        let history = options.archive;
        let history = history.then(|| open_history(storage, dir, &identity, options));
        let history = history.transpose()?;
        let catalog = history.as_ref().map(Found::catalog);
        let checkpoint = catalog.map(CheckpointPlace::of).transpose()?.flatten();
        let ours = checkpoint.as_ref().filter(|found| is_ours(&found.group));
        let log = LogOptions {
            // Peers may need what is older than the checkpoint.
            first_index: Recovery::oldest_index(storage, dir, &identity)?,
            durable_index: ours.map_or(0, |found| found.record),
            ..options.log.clone()
        };
        let recovery = Recovery::open_on(Arc::clone(storage), dir, &identity, &log)?;
        let history = history.map(Found::begin).transpose()?;
        let generation_rows = options.generation_rows.clamp(1, GENERATION_ROWS_MAX);
        let past = history.map(|history| (history, Some(generation_rows)));
        let parts = Parts::new(identity.hash_key, past, options)?;
        let mut engine = Self::assemble(parts, Log::in_memory(0), None);
        engine.restore()?;
        engine.abandon();
        Ok(AtCheckpoint {
            engine,
            recovery,
            checkpoint,
            identity,
        })
    }

    /// Replays the ledger in `dir` without taking part in it: for checking and inspecting. Log and
    /// history are read, never written, and nothing can be submitted.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn replay_only(
        dir: &Path,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, Error> {
        let identity = read_identity(dir)?;
        let storage: Arc<dyn Storage> = Arc::new(RealStorage);
        let history = read_history(&storage, dir, &identity)?;
        let catalog = history.as_ref().map(|history| &**history.catalog());
        let recovery = open_log(&storage, dir, &identity, catalog, options)?;
        let past = history.map(|history| (history, None));
        let parts = Parts::new(identity.hash_key, past, options)?;
        let log = Log::in_memory(identity.cluster);
        Self::replay(parts, recovery, progress, |_| Ok((log, None)))
    }

    /// The state of a member of a group of nodes as of the checkpoint of `history`, or an empty
    /// one, for checking and inspecting: nothing can be submitted, and nothing is written. What is
    /// behind that in the log, the caller has to [execute](Self::execute_entry).
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn read_at_checkpoint(
        history: Option<History>,
        identity: &Identity,
        options: &Options,
    ) -> Result<Self, Error> {
        let past = history.map(|history| (history, None));
        let parts = Parts::new(identity.hash_key, past, options)?;
        let mut engine = Self::assemble(parts, Log::in_memory(identity.cluster), None);
        engine.restore()?;
        Ok(engine)
    }

    /// A ledger that lives in memory and is gone with the process: for tests. Its disk is a
    /// [`giro_log::MemoryDisk`].
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn in_memory(options: &Options) -> Result<Self, Error> {
        let parts = Parts::new([0, 0], None, options)?;
        Ok(Self::assemble(parts, Log::in_memory(0), None))
    }

    fn replay(
        parts: Parts,
        mut recovery: Recovery,
        progress: &mut dyn FnMut(Progress),
        finish: impl FnOnce(Recovery) -> Result<(Log, Option<DirLock>), Error>,
    ) -> Result<Self, Error> {
        // Execution needs an engine, and the engine its log; until that is known, this one.
        let mut engine = Self::assemble(parts, Log::in_memory(0), None);
        engine.restore()?;
        let first_op = engine.executed_op + 1;
        let mut buffer = engine.pool.take().expect("a new pool has free buffers");
        let bytes_total = recovery.bytes_total();
        let mut at = Progress {
            records: 0,
            ops: 0,
            bytes: 0,
            bytes_total,
        };
        while let Some(record) = recovery.next(&mut buffer)? {
            if record.mark != giro_log::Mark::default() {
                // Which of its entries count, only the group can tell.
                return Err(Error::Grouped);
            }
            // A checkpoint can lie in the middle of a record.
            for (header, body) in ops(&buffer).filter(|(header, _)| header.op >= first_op) {
                if Operation::try_from(header.operation).is_err() {
                    let (index, operation) = (record.index, header.operation);
                    return Err(Error::UnknownOperation { index, operation });
                }
                if header.op != engine.executed_op + 1 {
                    let (index, op, expected) = (record.index, header.op, engine.executed_op + 1);
                    return Err(Error::OpOutOfOrder {
                        index,
                        op,
                        expected,
                    });
                }
                // Options may differ from those that made the ledger.
                let operation = meta_of(header).operation;
                let events = event_count(operation, &buffer[body.clone()]);
                if !engine.machine().has_room(events) {
                    return Err(Error::Full);
                }
                engine.execute_op(record.index, (header, &buffer[body]), &mut Vec::new, None)?;
                engine.executor.catch_up()?;
            }
            at.records += 1;
            at.ops += u64::from(record.op_count);
            at.bytes += record.padded_bytes() as u64;
            progress(at);
        }
        engine.settle();
        engine.next_op = engine.executed_op + 1;
        engine.sequenced_at = engine.executed_at;
        (engine.log, engine.lock) = finish(recovery)?;
        engine.release_log();
        Ok(engine)
    }

    fn assemble(parts: Parts, log: Log, lock: Option<DirLock>) -> Self {
        Self {
            executor: parts.executor,
            sessions: parts.sessions,
            log,
            lock,
            pool: parts.pool,
            next_op: 1,
            executed_op: 0,
            marked_op: 0,
            sequenced_at: 0,
            executed_at: 0,
            log_wait: LogWait::default(),
            gathering: None,
            waiting: VecDeque::with_capacity(crate::engine::WAITING_MAX),
            flying: VecDeque::with_capacity(giro_log::IN_FLIGHT_MAX),
            events_in_flight: 0,
            pulsing: false,
            wants_op: false,
            own_reply: Vec::new(),
            own_reply_bytes: 0,
        }
    }

    /// The digest over everything executed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.machine().digest()
    }
}

/// What an engine has beside its log.
struct Parts {
    executor: Executor,
    sessions: Sessions,
    pool: BufferPool,
}

impl Parts {
    /// The history comes with the rows of a generation; without them it is only read.
    fn new(
        hash_key: [u64; 2],
        past: Option<(History, Option<usize>)>,
        options: &Options,
    ) -> Result<Self, Error> {
        let memory = |what| move |source| Error::Memory { what, source };
        let generation_rows = past.as_ref().and_then(|(_, rows)| *rows);
        let core = giro_core::Options {
            shards: options.shards,
            hash_key,
            accounts_max: options.accounts_max,
            // The last operation of a generation may go beyond its rows.
            transfers_max: generation_rows
                .map_or(options.transfers_max, |rows| rows + EVENTS_MAX_UNBATCHED),
            is_archived: past.is_some(),
            transfers_expected: options.prefault_bytes / giro_core::machine::TRANSFER_BYTES,
        };
        let machine = StateMachine::new(&core).map_err(memory("accounts and transfers"))?;
        let mut past = past
            .map(|(history, generation_rows)| Past::new(history, hash_key, generation_rows))
            .transpose()
            .map_err(memory("the history's threads"))?;
        if let Some(past) = &mut past {
            past.prefault(&machine, options.prefault_bytes);
        }
        Ok(Self {
            executor: Executor::new(machine, past, options.shards, options.pin)
                .map_err(memory("the shards' threads"))?,
            sessions: Sessions::new(options.sessions_max).map_err(memory("sessions"))?,
            pool: BufferPool::new(options.buffers).map_err(memory("message buffers"))?,
        })
    }
}

/// Finds the history of the ledger in `dir`, or makes an empty one.
fn open_history(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    identity: &Identity,
    options: &Options,
) -> Result<Found, Error> {
    match History::create(&**storage, dir) {
        Ok(()) | Err(StoreError::AlreadyThere { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let storage = Arc::clone(storage);
    Ok(Found::open(storage, dir, whose(identity), options.history)?)
}

/// The history of the ledger in `dir`, if it has one with a checkpoint. It is only read.
///
/// # Errors
/// The history's, when it cannot be read or is damaged.
pub fn read_history(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    identity: &Identity,
) -> Result<Option<History>, Error> {
    let listed = storage.list(&Names::new(dir).checkpoints);
    if listed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let history = History::open_read_only(Arc::clone(storage), dir, whose(identity))?;
    let has_checkpoint = history.catalog().checkpoint().is_some();
    Ok(has_checkpoint.then_some(history))
}

/// Whose history belongs to this ledger.
#[must_use]
pub fn whose(identity: &Identity) -> giro_store::Identity {
    giro_store::Identity {
        cluster: identity.cluster,
        hash_key: identity.hash_key,
    }
}

/// Opens the log at the record in which the checkpoint lies, or at its beginning.
fn open_log(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    identity: &Identity,
    history: Option<&Catalog>,
    options: &Options,
) -> Result<Recovery, Error> {
    let checkpoint = history.and_then(Catalog::checkpoint);
    let record = checkpoint.map_or(0, |whole| whole.state().record);
    let log = LogOptions {
        first_index: record.max(1),
        durable_index: record,
        ..options.log.clone()
    };
    let recovery = Recovery::open_on(Arc::clone(storage), dir, identity, &log);
    let asks_history = recovery.is_err() && history.is_none();
    if asks_history && read_history(storage, dir, identity)?.is_some() {
        return Err(Error::ArchiveNeeded);
    }
    Ok(recovery?)
}

/// Takes the directory's lock. A process that was just killed holds it until the kernel has let
/// go of its memory, so a lock that is taken gets a little time.
///
/// # Errors
/// As [`DirLock::take`].
pub fn take_lock(dir: &Path) -> Result<DirLock, giro_log::LogError> {
    let start = Instant::now();
    loop {
        match DirLock::take(dir) {
            Err(giro_log::LogError::Locked { .. }) if start.elapsed() < LOCK_WAIT_MAX => {
                std::thread::sleep(LOCK_WAIT_STEP);
            }
            taken => return taken,
        }
    }
}

const LOCK_WAIT_MAX: Duration = Duration::from_secs(3);
const LOCK_WAIT_STEP: Duration = Duration::from_millis(10);

/// An identity for a new ledger that is alone, with a hash key drawn from the system.
///
/// # Errors
/// The system's, when it has no random numbers.
pub fn new_identity(cluster: u128) -> std::io::Result<Identity> {
    Ok(Identity {
        cluster,
        replica: 0,
        replica_count: 1,
        incarnation: 0,
        hash_key: random_key()?,
        segment_bytes: giro_log::SEGMENT_BYTES_DEFAULT,
    })
}

/// An identity for a new replica, number `replica` of a group that began with `count`. All
/// replicas of a group have the same `hash_key`.
///
/// # Errors
/// The system's, when it has no random numbers.
pub fn new_replica(
    cluster: u128,
    replica: u8,
    count: u8,
    hash_key: [u64; 2],
) -> std::io::Result<Identity> {
    Ok(Identity {
        replica,
        replica_count: count,
        incarnation: new_incarnation()?,
        hash_key,
        ..new_identity(cluster)?
    })
}

/// A number that no other directory of a replica has, and never 0.
///
/// # Errors
/// The system's, when it has no random numbers.
pub fn new_incarnation() -> std::io::Result<u64> {
    Ok(random_key()?[0] | 1)
}

/// A key that nobody knows.
///
/// # Errors
/// The system's, when it has no random numbers.
pub fn random_key() -> std::io::Result<[u64; 2]> {
    let mut key = [0; 16];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut key)?;
    let (low, high) = key.split_at(8);
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("half of 16 bytes"));
    Ok([word(low), word(high)])
}
