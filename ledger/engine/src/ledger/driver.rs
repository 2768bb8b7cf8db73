//! The ledger's thread: takes commands, drives the engine, hands out answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, TryRecvError};
use giro_base::limits::{BODY_BYTES_MAX, OP_HEADER_BYTES, RECORD_HEADER_BYTES};
use giro_base::multi_batch::Body;
use giro_base::{Operation, Timestamp, checksum};
use giro_log::disk::SLOT_COUNT;
use giro_log::uring::{OWNER_DISK, OWNER_WAKE, Ring, Target, Token};
use giro_log::{LogError, MemoryDisk, UringDisk};

use super::gather::{Asked, Gathered};
use super::wake::Wake;
use crate::engine::{Engine, own_request};
use crate::error::Error;

/// What a handle asks of the thread.
pub(super) enum Command {
    /// A request of the protocol, and what to do with the reply's body.
    Request {
        operation: Operation,
        body: Vec<u8>,
        answer: Answer,
    },
    /// A request about branches, which may share an operation with others.
    Branches { asked: Asked, answer: Answer },
    /// A look at the engine.
    Look(Box<dyn FnOnce(&Engine) + Send>),
}

impl Command {
    fn is_write(&self) -> bool {
        match self {
            Self::Request { operation, .. } => operation.is_write(),
            Self::Branches { .. } => true,
            Self::Look(_) => false,
        }
    }
}

/// A read that takes several turns.
struct Read {
    key: u128,
    operation: Operation,
    body: Vec<u8>,
    answer: Answer,
}

pub(super) type Answer = Box<dyn FnOnce(Result<&[u8], Error>) + Send>;

/// Where the engine's writes go.
pub(super) enum Storage {
    Ring(Box<Ring>),
    Memory(MemoryDisk),
}

pub(super) struct Driver {
    // First, so that it is dropped first: it waits for writes in flight from the engine's buffers.
    storage: Storage,
    engine: Engine,
    inbox: Receiver<Command>,
    wake: Arc<Wake>,
    /// Writes that found no room, in the order they came.
    held: VecDeque<Command>,
    /// Requests about branches that wait for others to share an operation with.
    gathered: Gathered,
    /// Reads that are being prepared.
    preparing: VecDeque<Read>,
    /// Tells the next read from others.
    next_key: u128,
    /// Who waits for which write, in the order of submission: replies come in the same.
    answers: VecDeque<Answer>,
    /// For the replies of reads.
    out: Box<[u8]>,
    /// All handles are gone.
    closed: bool,
}

/// Writes that may be held before reads wait, too.
const HELD_MAX: usize = 4096;
/// Bodies from this size on go to disk from a buffer of their own.
const IN_PLACE_FROM: usize = 64 << 10;
/// How long the thread sleeps at most: pending transfers expire in time.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// The same while the log prepares a segment.
const SLEEP_STALLED: Duration = Duration::from_millis(1);
const RING_ENTRIES: u32 = 64;

impl Storage {
    pub(super) fn ring() -> Result<Self, Error> {
        let mut ring = Ring::new(RING_ENTRIES).map_err(Error::Ring)?;
        ring.register_files_sparse(SLOT_COUNT)
            .map_err(Error::Ring)?;
        Ok(Self::Ring(Box::new(ring)))
    }

    pub(super) fn memory() -> Self {
        Self::Memory(MemoryDisk::default())
    }
}

impl Driver {
    pub(super) fn new(
        engine: Engine,
        mut storage: Storage,
        inbox: Receiver<Command>,
        wake: Arc<Wake>,
    ) -> Result<Self, Error> {
        if let Storage::Ring(ring) = &mut storage {
            // Without registration writes cost a little more.
            let _ = ring.register_pool(engine.pool());
            ring.poll_readable(Target::of(&*wake), Token::new(OWNER_WAKE, 0).0);
        }
        let out = vec![0; BODY_BYTES_MAX].into_boxed_slice();
        let (held, answers, closed) = (VecDeque::new(), VecDeque::new(), false);
        Ok(Self {
            storage,
            engine,
            inbox,
            wake,
            held,
            gathered: Gathered::default(),
            preparing: VecDeque::new(),
            next_key: 1,
            answers,
            out,
            closed,
        })
    }

    /// Turns until all handles are gone and everything taken is executed, but for writes that wait
    /// for room on the disk.
    pub(super) fn run(mut self) {
        loop {
            let turned = self.turn();
            if let Err(error) = turned {
                // What is on disk is unknown: no request may be answered any more.
                tracing::error!(%error, "the ledger stops");
                return;
            }
            // Nobody knows when a full disk has room again: what is held then was not begun.
            let held = !self.held.is_empty() || !self.gathered.is_empty();
            let held = held && !self.engine.is_starved();
            if self.closed && self.engine.is_idle() && !held && self.preparing.is_empty() {
                return;
            }
        }
    }

    fn turn(&mut self) -> Result<(), Error> {
        self.take_commands()?;
        self.engine.tick(now());
        self.engine.watch_log(Instant::now());
        self.start_writes()?;
        let more = self.execute()?;
        self.wait(more)?;
        Ok(())
    }

    fn take_commands(&mut self) -> Result<(), Error> {
        for _ in 0..self.preparing.len() {
            if let Some(read) = self.preparing.pop_front() {
                self.read(read)?;
            }
        }
        while let Some(command) = self.held.pop_front() {
            if let Some(refused) = self.take(command)? {
                self.held.push_front(refused);
                break;
            }
        }
        while !self.closed && self.held.len() < HELD_MAX {
            match self.inbox.try_recv() {
                // Writes stay in order; reads need not wait for those that found no room.
                Ok(command) if !self.held.is_empty() && command.is_write() => {
                    self.held.push_back(command);
                }
                Ok(command) => {
                    let refused = self.take(command)?;
                    self.held.extend(refused);
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.closed = true,
            }
        }
        self.submit_gathered();
        Ok(())
    }

    /// Makes operations of the requests about branches that were gathered; false when there is no
    /// room for all of them.
    fn submit_gathered(&mut self) -> bool {
        while let Some(kind) = self.gathered.first() {
            if self.engine.is_full() && self.engine.is_idle() {
                self.gathered.refuse(kind);
                continue;
            }
            // How long its body is shows when it is made; it is no longer than this.
            if !self.engine.can_submit(BODY_BYTES_MAX) {
                return false;
            }
            let (operation, body, answer) = self.gathered.take(kind);
            self.submit(operation, &body);
            self.answers.push_back(answer);
        }
        true
    }

    /// Whether the first write that found no room has an answer or room by now.
    fn can_take_held(&self) -> bool {
        let full = self.engine.is_full() && self.engine.is_idle();
        if !self.gathered.is_empty() && (full || self.engine.can_submit(BODY_BYTES_MAX)) {
            return true;
        }
        match self.held.front() {
            Some(Command::Branches { .. }) => self.gathered.is_empty(),
            Some(Command::Request { body, .. }) => full || self.engine.can_submit(body.len()),
            Some(Command::Look(_)) => !self.engine.is_ahead(),
            None => false,
        }
    }

    /// Gives the command back when there is no room for it now.
    fn take(&mut self, command: Command) -> Result<Option<Command>, Error> {
        let (operation, body, answer) = match command {
            Command::Look(look) => {
                if self.engine.is_ahead() {
                    return Ok(Some(Command::Look(look)));
                }
                look(&self.engine);
                return Ok(None);
            }
            Command::Branches { asked, answer } => {
                if !self.gathered.has_room(&asked) && !self.submit_gathered() {
                    return Ok(Some(Command::Branches { asked, answer }));
                }
                self.gathered.add(asked, answer);
                return Ok(None);
            }
            Command::Request {
                operation,
                body,
                answer,
            } => (operation, body, answer),
        };
        if !operation.is_write() {
            let key = self.next_key;
            self.next_key += 1;
            self.read(Read {
                key,
                operation,
                body,
                answer,
            })?;
            return Ok(None);
        }
        if self.engine.is_full() && self.engine.is_idle() {
            answer(Err(Error::Full));
            return Ok(None);
        }
        // What came before it goes before it.
        if !self.submit_gathered() || !self.engine.can_submit(body.len()) {
            return Ok(Some(Command::Request {
                operation,
                body,
                answer,
            }));
        }
        self.submit(operation, &body);
        self.answers.push_back(answer);
        Ok(None)
    }

    /// Answers a read, or does a part of it.
    fn read(&mut self, read: Read) -> Result<(), Error> {
        let (key, operation) = (read.key, read.operation);
        let body = Body::parse(operation, &read.body).expect("made by the handle");
        if self.engine.prepare_read(key, operation, &body)? {
            let bytes = self.engine.read(key, operation, &body, &mut self.out)?;
            (read.answer)(Ok(&self.out[..bytes]));
        } else {
            self.preparing.push_back(read);
        }
        Ok(())
    }

    fn submit(&mut self, operation: Operation, body: &[u8]) {
        let mut meta = own_request(operation, 0);
        meta.checksum_body = checksum(body);
        if body.len() >= IN_PLACE_FROM
            && let Some(mut buffer) = self.engine.pool().take()
        {
            let start = RECORD_HEADER_BYTES + OP_HEADER_BYTES;
            buffer[start..start + body.len()].copy_from_slice(body);
            self.engine
                .submit_in_place(now(), &meta, body.len(), buffer);
        } else {
            self.engine.submit_copy(now(), &meta, body);
        }
    }

    fn start_writes(&mut self) -> Result<(), Error> {
        match &mut self.storage {
            Storage::Ring(ring) => {
                // SAFETY: the engine keeps a group's buffer until its write was reported, and the
                // ring lives as long as the engine does.
                let mut disk = unsafe { UringDisk::new(ring, 0) };
                self.engine.flush(&mut disk)?;
                ring.submit_and_wait(0, None)
                    .map_err(|source| ring_failed(&source))?;
                self.engine.decide_ahead()?;
            }
            Storage::Memory(disk) => {
                self.engine.flush(disk)?;
                while let Some(write) = disk.next_done() {
                    self.engine.on_write(write.index, Ok(write.bytes))?;
                }
            }
        }
        Ok(())
    }

    fn execute(&mut self) -> Result<bool, Error> {
        let answers = &mut self.answers;
        let more = self.engine.execute(&mut |reply| {
            let answer = answers
                .pop_front()
                .expect("one answer waits for each write");
            answer(Ok(reply.body));
        })?;
        self.engine.settle();
        Ok(more)
    }

    /// Sleeps unless there is more to do, and takes completions.
    fn wait(&mut self, more: bool) -> Result<(), LogError> {
        self.wake.will_sleep();
        let commands = self.held.len() < HELD_MAX && !self.inbox.is_empty();
        // The history makes room without a completion.
        let commands = commands || self.can_take_held();
        let done = self.closed && self.engine.is_idle();
        // Reads wait for the write that makes durable what they would show.
        let reads = !self.preparing.is_empty() && !self.engine.is_ahead();
        let busy = more || commands || done || reads;
        match &mut self.storage {
            Storage::Ring(ring) => {
                let sleep = if self.engine.is_stalled() {
                    SLEEP_STALLED
                } else {
                    SLEEP_MAX
                };
                ring.submit_and_wait(usize::from(!busy), Some(sleep))
                    .map_err(|source| ring_failed(&source))?;
                while let Some(completion) = ring.next_completion() {
                    match Token(completion.token).owner() {
                        OWNER_DISK => {
                            let index = UringDisk::index_of(completion.token);
                            self.engine.on_write(index, completion.count())?;
                        }
                        _ => {
                            ring.poll_readable(
                                Target::of(&*self.wake),
                                Token::new(OWNER_WAKE, 0).0,
                            );
                        }
                    }
                }
            }
            Storage::Memory(_) => {
                if !busy && self.engine.is_idle() {
                    let command = self.inbox.recv_timeout(SLEEP_MAX);
                    self.held.extend(command);
                }
            }
        }
        self.wake.is_up();
        Ok(())
    }
}

fn ring_failed(source: &std::io::Error) -> LogError {
    tracing::error!(%source, "the kernel's io_uring failed");
    LogError::Stopped
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // Before 1970 the ledger's own time goes on from where it is.
    since.map_or(1, |elapsed| elapsed.as_nanos() as Timestamp)
}
