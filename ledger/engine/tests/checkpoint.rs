//! Opening from a checkpoint: a random ledger's life, with crashes at any moment and everything a
//! disk may do to what was not flushed, against an engine that never stops and forgets nothing.
#![cfg(not(loom))]

#[allow(dead_code)] // The log's tests use all of it.
#[path = "../../log/tests/support/model.rs"]
mod disk;
#[allow(dead_code)]
#[path = "../../core/tests/oracle/generate/mod.rs"]
mod generate;
#[allow(dead_code)]
#[path = "../../core/tests/oracle/model/mod.rs"]
mod model;
#[allow(dead_code)]
#[path = "../../core/tests/oracle/request.rs"]
mod request;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use giro::{Engine, Error, Operation, Options, RequestMeta, Verdict};
use giro_base::branch::{OpenBranch, OpenBranchesFilter};
use giro_base::{BufferPool, checksum};
use giro_core::Digest;
use giro_log::directory::format_on;
use giro_log::storage::{Access, Removed, Storage, StorageFile};
use giro_log::{Identity, LogOptions, MemoryDisk, Recovery, SEGMENT_BYTES_MIN, segment_path};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zerocopy::IntoBytes;

use disk::{Model, ModelDisk};
use generate::Generator;
use request::{Action, body};

/// Time for all seeds together; at least [`SEED_COUNT_MIN`] run in any case.
const TIME: Duration = Duration::from_secs(15);
const SEED_COUNT_MIN: u64 = 4;
/// Of all sessions so many write.
const CLIENTS: u128 = 5;
const DIR: &str = "/ledger";

/// One op of a script, and what it must come to.
struct Step {
    now: u64,
    meta: RequestMeta,
    body: Vec<u8>,
    reply: Vec<u8>,
    digest: Digest,
    /// A checksum over the open branches.
    open: u128,
    /// Each client's last write up to here.
    last: HashMap<u128, usize>,
}

fn options(archive: bool, rows: usize) -> Options {
    Options {
        accounts_max: 1 << 16,
        transfers_max: 1 << 20,
        archive,
        generation_rows: rows,
        buffers: 16,
        sessions_max: 1024,
        ..Options::default()
    }
}

/// Random requests of some clients, executed by an engine in memory.
fn script(seed: u64, events: usize) -> Vec<Step> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut generator = Generator::new(seed, seed.is_multiple_of(2));
    let mut state = model::Model::default();
    let mut twin = Life {
        engine: Engine::in_memory(&options(false, 1)).unwrap(),
        disk: MemoryDisk::default(),
    };
    let mut steps: Vec<Step> = Vec::new();
    let mut sessions: HashMap<u128, (u64, u32)> = HashMap::new();
    let (mut made, mut newest) = (0, 0);
    while made < events {
        // Now and then a client comes.
        if newest == 0 || rng.random_bool(0.02) {
            newest += 1;
            let client = newest;
            let meta = meta(client, 0, 0, Operation::Register, &[0; 256]);
            let step = twin.step(steps.last(), 1, meta, vec![0; 256], steps.len());
            sessions.insert(client, (steps.len() as u64 + 1, 0));
            steps.push(step);
            continue;
        }
        let client = rng.random_range(newest.saturating_sub(CLIENTS) + 1..=newest);
        let request = generator.next(state.state());
        state.execute(&request);
        let (operation, body) = match &request.action {
            Action::CreateAccounts(form, batches) => (form.accounts(), body(*form, batches)),
            Action::CreateTransfers(form, batches) => (form.transfers(), body(*form, batches)),
            Action::Branches(asked) => (asked.operation(), asked.body()),
            Action::Pulse => (Operation::Pulse, Vec::new()),
            _ => continue,
        };
        let meta = if operation == Operation::Pulse {
            meta(0, 0, 0, operation, &body)
        } else {
            let (session, number) = sessions.get_mut(&client).unwrap();
            *number += rng.random_range(1..4);
            meta(client, *session, *number, operation, &body)
        };
        made += request.event_count().max(1);
        let step = twin.step(steps.last(), request.timestamp, meta, body, steps.len());
        steps.push(step);
    }
    steps
}

fn meta(
    client: u128,
    session: u64,
    request: u32,
    operation: Operation,
    body: &[u8],
) -> RequestMeta {
    RequestMeta {
        client,
        session,
        request,
        request_checksum: u128::from(request) + 1000 * client,
        checksum_body: checksum(body),
        operation,
        release: 1,
    }
}

/// What the crashes came upon.
#[derive(Debug, Default)]
struct Seen {
    crashes: usize,
    /// Ledgers that were opened from a checkpoint.
    checkpoints: usize,
    /// Ledgers whose log no longer had its first segment.
    released: usize,
    /// Ledgers that were opened without their history.
    unarchived: usize,
}

/// An engine and its disk.
struct Life<D> {
    engine: Engine,
    disk: D,
}

impl Life<MemoryDisk> {
    fn step(
        &mut self,
        before: Option<&Step>,
        now: u64,
        meta: RequestMeta,
        body: Vec<u8>,
        place: usize,
    ) -> Step {
        assert!(meta.client == 0 || self.engine.check(&meta) == Verdict::Accept);
        self.engine.submit_copy(now, &meta, &body);
        self.engine.flush(&mut self.disk).unwrap();
        while let Some(write) = self.disk.next_done() {
            self.engine.on_write(write.index, Ok(write.bytes)).unwrap();
        }
        let mut answer = Vec::new();
        let more = self
            .engine
            .execute(&mut |reply| answer = reply.body.to_vec());
        assert!(!more.unwrap(), "one op at a time");
        self.engine.settle();
        let mut last = before.map(|step| step.last.clone()).unwrap_or_default();
        last.insert(meta.client, place);
        Step {
            now,
            meta,
            body,
            reply: answer,
            digest: self.engine.digest(),
            open: open_branches(&self.engine),
            last,
        }
    }
}

impl Life<ModelDisk> {
    /// Opens the ledger and checks that it is where the script is at that op.
    fn open(
        model: &Model,
        rows: usize,
        script: &[Step],
        acknowledged: u64,
        seen: &mut Seen,
    ) -> Self {
        Self::open_as(model, &options(true, rows), script, acknowledged, seen)
    }

    fn open_as(
        model: &Model,
        options: &Options,
        script: &[Step],
        acknowledged: u64,
        seen: &mut Seen,
    ) -> Self {
        let names = model.list(&Path::new(DIR).join("log")).unwrap();
        seen.released += usize::from(!names.contains(&"0000000000000001.log".to_owned()));
        let storage: Arc<dyn Storage> = Arc::new(model.clone());
        let mut ops = 0;
        let engine = Engine::open_on(&storage, Path::new(DIR), options, &mut |at| {
            ops = at.ops;
        });
        let engine = match engine {
            Err(Error::ArchiveNeeded) if !options.archive => {
                let archived = Options {
                    archive: true,
                    ..options.clone()
                };
                return Self::open_as(model, &archived, script, acknowledged, seen);
            }
            engine => engine.unwrap(),
        };
        seen.unarchived += usize::from(!options.archive);
        let op = engine.commit_op();
        assert!(
            op >= acknowledged,
            "{op} is there, {acknowledged} was acknowledged"
        );
        seen.checkpoints += usize::from(ops < op);
        if let Some(last) = op.checked_sub(1) {
            check_state(&engine, script, last as usize);
        }
        Self {
            engine,
            disk: ModelDisk::new(model),
        }
    }

    /// Goes on with the script for so many turns, and then ends what is in flight.
    fn work(&mut self, model: &Model, script: &[Step], rng: &mut ChaCha8Rng, turns: usize) {
        let mut next = self.engine.commit_op() as usize;
        let mut busy: Vec<u128> = Vec::new();
        for _ in 0..turns {
            for _ in 0..rng.random_range(0..4) {
                let Some(step) = script.get(next) else {
                    break;
                };
                let waits = busy.contains(&step.meta.client)
                    // All sessions that there is room for are busy.
                    || matches!(self.engine.check(&step.meta), Verdict::Drop(_));
                if waits || !self.engine.can_submit(step.body.len()) {
                    break;
                }
                self.engine.submit_copy(step.now, &step.meta, &step.body);
                busy.push(step.meta.client);
                next += 1;
            }
            self.turn(model, script, rng, &mut busy);
        }
        while !self.engine.is_idle() {
            self.turn(model, script, rng, &mut busy);
        }
    }

    fn turn(&mut self, model: &Model, script: &[Step], rng: &mut ChaCha8Rng, busy: &mut Vec<u128>) {
        self.engine.flush(&mut self.disk).unwrap();
        while self.disk.in_flight() > 0 && rng.random_bool(0.8) {
            let which = rng.random_range(0..self.disk.in_flight());
            let write = self.disk.complete(which);
            self.engine.on_write(write.index, Ok(write.bytes)).unwrap();
        }
        let mut done = Vec::new();
        while self
            .engine
            .execute(&mut |reply| done.push((reply.op, reply.body.to_vec())))
            .unwrap()
        {}
        for (op, body) in done {
            let step = &script[op as usize - 1];
            assert_eq!(body, step.reply, "op {op}");
            busy.retain(|client| *client != step.meta.client);
        }
        if self.engine.is_idle() {
            // Pulses have no reply.
            busy.clear();
        }
        self.engine.settle();
        model.set_note(self.engine.commit_op());
    }
}

/// Digest and replies are those of the script's op in this place.
fn check_state(engine: &Engine, script: &[Step], place: usize) {
    let step = &script[place];
    assert_eq!(engine.digest(), step.digest, "op {}", place + 1);
    assert_eq!(open_branches(engine), step.open, "op {}", place + 1);
    for reply in engine.sessions().iter() {
        let last = step.last[&reply.client];
        assert_eq!(reply.op, last as u64 + 1);
        assert_eq!(reply.body, script[last].reply);
        assert_eq!(reply.request, script[last].meta.request);
        if reply.operation != Operation::Register {
            assert_eq!(engine.check(&script[last].meta), Verdict::Resend);
        }
    }
}

/// A checksum over all open branches, oldest first, with their texts.
fn open_branches(engine: &Engine) -> u128 {
    const BRANCHES_MAX: usize = 1_000;
    let filter = OpenBranchesFilter {
        limit: BRANCHES_MAX as u32,
        ..OpenBranchesFilter::default()
    };
    let mut out = vec![0; BRANCHES_MAX * size_of::<OpenBranch>()];
    let machine = engine.machine();
    let count = machine.list_branches(filter.as_bytes(), BRANCHES_MAX, &mut out);
    checksum(&out[..count * size_of::<OpenBranch>()])
}

fn formatted() -> Model {
    let model = Model::default();
    let storage: Arc<dyn Storage> = Arc::new(model.clone());
    format_on(&storage, Path::new(DIR), &identity()).unwrap();
    model
}

fn identity() -> Identity {
    Identity {
        cluster: 3,
        replica: 0,
        replica_count: 1,
        incarnation: 0,
        hash_key: [8, 9],
        segment_bytes: SEGMENT_BYTES_MIN,
    }
}

fn check_seed(seed: u64, seen: &mut Seen) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rows = [30, 200, 1000][seed as usize % 3];
    let script = script(seed, 6_000);
    let mut model = formatted();
    let mut acknowledged = 0;
    while (acknowledged as usize) < script.len() {
        model.set_note(acknowledged);
        model.keep_moment(match rng.random_range(0..3) {
            0 => rng.random_range(1..100),
            1 => rng.random_range(1..2_000),
            _ => u64::MAX,
        });
        let mut life = Life::open(&model, rows, &script, acknowledged, seen);
        model.set_note(life.engine.commit_op());
        life.work(&model, &script, &mut rng, 150);
        drop(life);
        let (image, note) = model.crash(&mut rng);
        (model, acknowledged) = (image, note);
        seen.crashes += 1;
    }
    let life = Life::open(&model, rows, &script, acknowledged, seen);
    assert_eq!(life.engine.commit_op() as usize, script.len());
}

/// As [`check_seed`], each opening with other options.
fn check_options(seed: u64, seen: &mut Seen) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let script = script(seed, 5_000);
    let mut model = formatted();
    let mut acknowledged = 0;
    while (acknowledged as usize) < script.len() {
        model.set_note(acknowledged);
        if rng.random_bool(0.5) {
            model.keep_moment(rng.random_range(1..2_000));
        }
        let options = Options {
            shards: rng.random_range(1..4),
            sessions_max: [2, 5, 1024][rng.random_range(0..3)],
            ..options(
                rng.random_bool(0.6),
                [1, 30, 200, 1000, 100_000][rng.random_range(0..5)],
            )
        };
        let mut life = Life::open_as(&model, &options, &script, acknowledged, seen);
        model.set_note(life.engine.commit_op());
        life.work(&model, &script, &mut rng, 60);
        drop(life);
        let (image, note) = model.crash(&mut rng);
        (model, acknowledged) = (image, note);
        seen.crashes += 1;
    }
}

#[test]
fn options_that_differ_from_start_to_start_make_no_difference() {
    let start = Instant::now();
    let (mut seeds, mut seen) = (100, Seen::default());
    while seeds < 100 + SEED_COUNT_MIN || start.elapsed() < TIME {
        check_options(seeds, &mut seen);
        seeds += 1;
    }
    println!("{seeds} seeds, {seen:?}");
    assert!(seen.checkpoints > 20 && seen.unarchived > 10, "{seen:?}");
}

#[test]
fn without_its_history_a_ledger_whose_log_was_released_is_refused() {
    let script = script(3, 12_000);
    let model = formatted();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut life = Life::open(&model, 100, &script, 0, &mut Seen::default());
    while (life.engine.commit_op() as usize) < script.len() {
        life.work(&model, &script, &mut rng, 50);
    }
    drop(life);
    let storage: Arc<dyn Storage> = Arc::new(model.clone());
    let open = |options| Engine::open_on(&storage, Path::new(DIR), &options, &mut |_| {});
    let error = open(options(false, 100))
        .err()
        .expect("its log has a part only");
    assert!(matches!(error, Error::ArchiveNeeded), "{error}");
    assert!(error.to_string().contains("archive = true"), "{error}");
    // Nor is it enough to have lost the checkpoint: nothing is made again from half a log.
    for name in model
        .list(&Path::new(DIR).join("history/checkpoints"))
        .unwrap()
    {
        let path = Path::new(DIR).join("history/checkpoints").join(name);
        drop(model.remove(&path).unwrap());
    }
    let error = open(options(true, 100))
        .err()
        .expect("there is no checkpoint");
    assert!(
        error.to_string().contains("piece of generation 0"),
        "{error}"
    );
}

/// Takes ops until the checkpoint lies in the log's last record.
fn with_a_checkpoint_at_the_end(script: &[Step], rng: &mut ChaCha8Rng) -> Model {
    let model = formatted();
    let mut life = Life::open(&model, 1, script, 0, &mut Seen::default());
    life.work(&model, script, rng, 40);
    let start = Instant::now();
    let is_held = |engine: &Engine| {
        let positions = engine.positions();
        positions.checkpointed + 1 == positions.appended
    };
    while !is_held(&life.engine) {
        assert!(start.elapsed() < TIME, "no checkpoint comes");
        if life.engine.is_idle() && start.elapsed() > Duration::from_millis(200) {
            // The last op made nothing.
            life.work(&model, script, rng, 1);
        }
        life.engine.flush(&mut life.disk).unwrap();
    }
    drop(life);
    model
}

#[test]
fn a_lost_record_that_a_checkpoint_holds_is_damage() {
    let script = script(6, 2_000);
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let model = with_a_checkpoint_at_the_end(&script, &mut rng);
    let storage: Arc<dyn Storage> = Arc::new(model.clone());
    let log = LogOptions::default();
    let mut recovery = Recovery::open_on(
        Arc::clone(&storage),
        Path::new(DIR),
        &identity(),
        &LogOptions {
            first_index: Recovery::oldest_index(&storage, Path::new(DIR), &identity()).unwrap(),
            ..log
        },
    )
    .unwrap();
    let pool = BufferPool::new(1).unwrap();
    let mut buffer = pool.take().unwrap();
    let mut last = None;
    while let Some(record) = recovery.next(&mut buffer).unwrap() {
        let place = recovery.place();
        last = Some((
            place.segment,
            place.offset as usize - record.padded_bytes(),
            record.index,
        ));
    }
    let (segment, offset, index) = last.unwrap();
    let path = segment_path(&Path::new(DIR).join("log"), segment);
    model.edit(&path, offset, |sector| sector.fill(0));
    let opened = Engine::open_on(&storage, Path::new(DIR), &options(true, 1), &mut |_| {});
    let error = opened.err().expect("a record that was durable is lost");
    let said = error.to_string();
    assert!(said.contains(path.to_str().unwrap()), "{said}");
    assert!(said.contains(&format!("record {index}")), "{said}");
    assert!(said.contains("checkpoint"), "{said}");
}

/// A disk without room for new files of the history, while it is said so.
struct Crowded {
    model: Model,
    is_full: AtomicBool,
}

impl Storage for Crowded {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.model.create_dir(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        if self.is_full.load(Ordering::Relaxed) && path.starts_with("/ledger/history") {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.model.create(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        self.model.open(path, access)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.model.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.model.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<Removed> {
        self.model.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.model.sync_dir(dir)
    }
}

#[test]
fn a_ledger_that_ran_into_a_full_disk_can_be_opened_on_it() {
    let script = script(5, 4_000);
    let model = formatted();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let crowded = Arc::new(Crowded {
        model: model.clone(),
        is_full: AtomicBool::new(true),
    });
    let storage: Arc<dyn Storage> = crowded.clone();
    let open = || Life {
        engine: Engine::open_on(&storage, Path::new(DIR), &options(true, 30), &mut |_| {}).unwrap(),
        disk: ModelDisk::new(&model),
    };
    let mut life = open();
    life.work(&model, &script, &mut rng, 400);
    let done = life.engine.commit_op() as usize;
    assert!(done < script.len() && !life.engine.can_submit(0));
    drop(life);
    let mut life = open();
    check_state(&life.engine, &script, done - 1);
    assert!(!life.engine.can_submit(0), "writes wait");
    crowded.is_full.store(false, Ordering::Relaxed);
    let start = Instant::now();
    while (life.engine.commit_op() as usize) < script.len() {
        assert!(start.elapsed() < TIME, "it does not go on");
        life.work(&model, &script, &mut rng, 20);
        life.engine.flush(&mut life.disk).unwrap();
    }
    check_state(&life.engine, &script, script.len() - 1);
}

#[test]
fn a_ledger_too_large_for_its_options_is_refused() {
    let script = script(4, 4_000);
    let model = formatted();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut life = Life::open(&model, 50, &script, 0, &mut Seen::default());
    while (life.engine.commit_op() as usize) < script.len() {
        life.work(&model, &script, &mut rng, 50);
    }
    drop(life);
    let storage: Arc<dyn Storage> = Arc::new(model.clone());
    let small = Options {
        accounts_max: 2,
        ..options(true, 50)
    };
    let outcome = Engine::open_on(&storage, Path::new(DIR), &small, &mut |_| {});
    assert!(matches!(outcome.err(), Some(Error::Full)));
}

#[test]
fn whatever_crashes_come_the_ledger_is_where_its_log_is() {
    let start = Instant::now();
    let (mut seeds, mut seen) = (0, Seen::default());
    while seeds < SEED_COUNT_MIN || start.elapsed() < TIME {
        check_seed(seeds, &mut seen);
        seeds += 1;
    }
    println!("{seeds} seeds, {seen:?}");
    assert!(seen.checkpoints > 20 && seen.released > 10, "{seen:?}");
}
