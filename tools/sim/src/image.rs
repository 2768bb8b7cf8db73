//! Checkpoints: what a state can be made from again.

use std::rc::Rc;

use bytes::Bytes;
use giro::{Engine, EntryOps, Options};
use giro_log::{op_bytes, ops_of_valid_payload};
use giro_replication::{Checkpoint, Members};

/// A checkpoint.
#[derive(Clone, Debug)]
pub struct Image {
    /// Groups of ops of the entries up to `index`, in order.
    pub payloads: Rc<Vec<Bytes>>,
    /// The first ops of the next entry, which the state has, too.
    pub beyond: Bytes,
    /// The last entry in it as a whole.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The members behind it.
    pub members: Members,
}

impl Image {
    /// As the group knows it.
    #[must_use]
    pub fn describe(&self) -> Checkpoint {
        Checkpoint {
            index: self.index,
            term: self.term,
            members: self.members.clone(),
            manifest: Bytes::from_static(b"image"),
        }
    }

    /// Its state, with room for so many sessions.
    #[must_use]
    pub fn engine(&self, sessions_max: u32) -> Engine {
        let mut engine = new_engine(sessions_max);
        for payload in self.payloads.iter().chain([&self.beyond]) {
            let entry = EntryOps {
                record: 0,
                payload,
                known_op: 0,
                group: &mut Vec::new,
            };
            let executed = engine.execute_entry(entry, None);
            executed.expect("it was executed before");
        }
        engine.settle();
        engine
    }
}

/// The first ops of a group of several: a checkpoint may lie in the middle of an entry.
#[must_use]
pub fn first_ops(payload: &Bytes) -> Bytes {
    let sizes = ops_of_valid_payload(payload).map(|(_, body)| op_bytes(body.len()));
    let sizes: Vec<usize> = sizes.collect();
    let end: usize = sizes[..sizes.len() / 2].iter().sum();
    payload.slice(..end)
}

/// Of every node of a group: all need the same `sessions_max`.
#[must_use]
pub fn engine_options(sessions_max: u32) -> Options {
    Options {
        shards: 1,
        pin: false,
        sessions_max,
        buffers: 24,
        accounts_max: 1 << 15,
        transfers_max: 1 << 17,
        archive: false,
        ..Options::default()
    }
}

/// An empty ledger with room for so many sessions.
///
/// # Panics
/// When the system has no memory.
#[must_use]
pub fn new_engine(sessions_max: u32) -> Engine {
    Engine::in_memory(&engine_options(sessions_max)).expect("the simulation fits the machine")
}
