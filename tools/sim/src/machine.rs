//! A node's state: the real engine in memory, and what it was made of.

use std::rc::Rc;

use bytes::Bytes;
use giro::{Engine, EntryOps, Options, Reply};
use giro_base::BufferPool;
use giro_base::limits::RECORD_HEADER_BYTES;
use giro_replication::Members;

/// A state machine with sessions, and every group of ops it executed.
pub struct Machine {
    /// The real one.
    pub engine: Engine,
    /// Groups of ops, in order.
    pub payloads: Vec<Bytes>,
    /// The last entry executed.
    pub executed: u64,
    /// Its term.
    pub term: u64,
    /// The members behind it.
    pub members: Members,
}

/// A checkpoint: what a state can be made from again.
#[derive(Clone, Debug)]
pub struct Image {
    /// As [`Machine::payloads`].
    pub payloads: Rc<Vec<Bytes>>,
    /// The last entry in it.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The members behind it.
    pub members: Members,
}

impl Machine {
    /// An empty ledger.
    ///
    /// # Panics
    /// When the system has no memory.
    #[must_use]
    pub fn new(members: Members) -> Self {
        let options = Options {
            shards: 1,
            pin: false,
            sessions_max: 8,
            buffers: 24,
            accounts_max: 1 << 15,
            transfers_max: 1 << 17,
            archive: false,
            ..Options::default()
        };
        let engine = Engine::in_memory(&options).expect("the simulation fits the machine");
        Self {
            engine,
            payloads: Vec::new(),
            executed: 0,
            term: 0,
            members,
        }
    }

    /// The state of a checkpoint.
    #[must_use]
    pub fn of_image(image: &Image, pool: &BufferPool) -> Self {
        let mut machine = Self::new(image.members.clone());
        for payload in image.payloads.iter() {
            machine.execute(payload, pool, None);
        }
        (machine.executed, machine.term) = (image.index, image.term);
        machine
    }

    /// A checkpoint of now.
    #[must_use]
    pub fn image(&self) -> Image {
        Image {
            payloads: Rc::new(self.payloads.clone()),
            index: self.executed,
            term: self.term,
            members: self.members.clone(),
        }
    }

    /// Executes a group of ops; it counts when the caller moves [`Self::executed`].
    ///
    /// # Panics
    /// When the ops are not the next ones.
    pub fn execute(
        &mut self,
        payload: &Bytes,
        pool: &BufferPool,
        reply: Option<&mut dyn FnMut(Reply<'_>)>,
    ) {
        // Ops must be aligned, and a frame's bytes are not.
        let mut buffer = pool.take().expect("the pool has enough");
        let place = RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + payload.len();
        buffer[place.clone()].copy_from_slice(payload);
        let entry = EntryOps {
            record: 0,
            payload: &buffer[place],
            known_op: 0,
            group: &mut Vec::new,
        };
        let executed = self.engine.execute_entry(entry, reply);
        executed.expect("a ledger in memory has no history to fail");
        self.engine.settle();
        self.payloads.push(payload.clone());
    }

    /// The state's digest.
    #[must_use]
    pub fn digest(&self) -> u128 {
        self.engine.digest().value()
    }
}
