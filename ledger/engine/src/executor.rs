//! Execution over shards: which phase runs where.

use giro_base::Timestamp;
use giro_core::batch::Made;
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
    /// The last operation's ids, when they are not in the indexes yet.
    unapplied: Option<Made>,
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
            unapplied: None,
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
    /// A large operation's ids enter the indexes only with the next call, or with
    /// [`settle`](Self::settle): its reply need not wait for that.
    ///
    /// # Panics
    /// When another operation was resolved ahead, or as [`StateMachine::execute`] does.
    pub fn execute(&mut self, op: u64, batch: &Batch<'_>, out: &mut [u8]) -> usize {
        match self.resolved.take() {
            None => self.resolve(batch),
            Some(resolved) => assert_eq!(resolved, op, "operations run in order"),
        }
        assert!(self.unapplied.is_none(), "resolve settles");
        self.machine.decide(batch);
        let length = self.machine.encode(batch, out);
        self.unapplied = Some(batch.made());
        if batch.len() < EVENTS_TO_SHARE_MIN {
            self.settle();
        }
        length
    }

    /// Whether [`settle`](Self::settle) has something to do.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.unapplied.is_none()
    }

    /// Adds the last operation's ids to the indexes, if that was left. Lookups by id are right
    /// only behind it.
    pub fn settle(&mut self) {
        let Some(made) = self.unapplied.take() else {
            return;
        };
        if made.events() < EVENTS_TO_SHARE_MIN {
            return self.machine.apply(made);
        }
        let parts = self.machine.parts();
        let scratch = parts.scratch;
        self.workers
            .run(parts.shards, |shard| shard.apply(made, scratch));
    }

    /// See [`StateMachine::expire`].
    ///
    /// # Panics
    /// When another operation was resolved ahead.
    pub fn expire(&mut self, timestamp: Timestamp) {
        assert_eq!(self.resolved, None, "operations run in order");
        self.settle();
        self.machine.expire(timestamp);
    }

    /// The state. Lookups by id are right only when it [is settled](Self::is_settled).
    #[must_use]
    pub fn machine(&self) -> &StateMachine {
        &self.machine
    }

    fn resolve(&mut self, batch: &Batch<'_>) {
        self.settle();
        if batch.len() < EVENTS_TO_SHARE_MIN {
            return self.machine.resolve(batch, None);
        }
        let parts = self.machine.parts();
        let (tables, scratch) = (parts.tables, parts.scratch);
        self.workers.run(parts.shards, |shard| {
            shard.resolve(tables, batch, scratch, None);
        });
    }
}
