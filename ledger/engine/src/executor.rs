//! Execution over shards: which phase runs where.

use giro_base::Timestamp;
use giro_core::{Batch, StateMachine};

use crate::handover::Workers;

/// Events below which an operation runs on the calling thread whatever the number of shards: a
/// hand-over costs more than they do.
const EVENTS_TO_SHARE_MIN: usize = 256;

/// A state machine and the threads that share its work.
pub struct Executor {
    machine: StateMachine,
    workers: Workers,
    /// The operation whose keys were looked up ahead of its turn.
    resolved: Option<u64>,
}

impl Executor {
    /// An executor for `machine`, with a thread for each shard but the first.
    ///
    /// # Errors
    /// The system's when it has no threads left.
    pub fn new(machine: StateMachine, shards: u32, pin: bool) -> std::io::Result<Self> {
        Ok(Self {
            machine,
            workers: Workers::start(shards as usize, pin)?,
            resolved: None,
        })
    }

    /// Looks up what the next operation, number `op`, names. Only right when nothing is executed
    /// between this and it.
    pub fn resolve_ahead(&mut self, op: u64, batch: &Batch<'_>) {
        if self.resolved != Some(op) {
            self.resolve(batch);
            self.resolved = Some(op);
        }
    }

    /// Executes operation `op`, writes the reply's body to `out` and returns its length.
    ///
    /// # Panics
    /// When another operation was resolved ahead, or as [`StateMachine::execute`] does.
    pub fn execute(&mut self, op: u64, batch: &Batch<'_>, out: &mut [u8]) -> usize {
        match self.resolved.take() {
            None => self.resolve(batch),
            Some(resolved) => assert_eq!(resolved, op, "operations run in order"),
        }
        self.machine.decide(batch);
        self.apply(batch);
        self.machine.encode(batch, out)
    }

    /// See [`StateMachine::expire`].
    ///
    /// # Panics
    /// When another operation was resolved ahead.
    pub fn expire(&mut self, timestamp: Timestamp) {
        assert_eq!(self.resolved, None, "operations run in order");
        self.machine.expire(timestamp);
    }

    /// The state.
    #[must_use]
    pub fn machine(&self) -> &StateMachine {
        &self.machine
    }

    fn resolve(&mut self, batch: &Batch<'_>) {
        if batch.len() < EVENTS_TO_SHARE_MIN {
            return self.machine.resolve(batch);
        }
        let parts = self.machine.parts();
        let (tables, scratch) = (parts.tables, parts.scratch);
        self.workers
            .run(parts.shards, |shard| shard.resolve(tables, batch, scratch));
    }

    fn apply(&mut self, batch: &Batch<'_>) {
        if batch.len() < EVENTS_TO_SHARE_MIN {
            return self.machine.apply(batch);
        }
        let parts = self.machine.parts();
        let scratch = parts.scratch;
        self.workers
            .run(parts.shards, |shard| shard.apply(batch, scratch));
    }
}
