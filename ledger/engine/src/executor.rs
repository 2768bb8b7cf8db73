//! Execution over shards: which phase runs where.

use std::sync::Arc;

use giro_base::branch::{BranchBodyError, Branches};
use giro_base::{Operation, Timestamp, Transfer};
use giro_core::archive::Archive;
use giro_core::batch::Made;
use giro_core::branches::Expanded;
use giro_core::{Batch, Digest, StateMachine};
use giro_store::{Catalog, Mark, Offer};

use crate::error::Error;
use crate::feed::Feeds;
use crate::handover::Workers;
use crate::lookup::Lookup;
use crate::past::Past;
use crate::queue::Queue;
use crate::reading::{Both, ReadTurn, Reading};

/// Events below which an operation runs on the calling thread whatever the number of shards: a
/// hand-over costs more than they do.
const EVENTS_TO_SHARE_MIN: usize = 256;

/// An operation on branches.
#[derive(Clone, Copy)]
pub struct BranchOp<'a> {
    operation: Operation,
    timestamp: Timestamp,
    body: &'a [u8],
    branches: Branches<'a>,
}

impl Ahead {
    fn resolved(op: u64) -> Self {
        Self {
            op,
            is_decided: false,
        }
    }
}

impl<'a> BranchOp<'a> {
    /// Reads an operation's body.
    ///
    /// # Errors
    /// When it is not valid.
    pub fn parse(
        operation: Operation,
        timestamp: Timestamp,
        body: &'a [u8],
    ) -> Result<Self, BranchBodyError> {
        Ok(Self {
            operation,
            timestamp,
            body,
            branches: Branches::parse(operation.kind(), body)?,
        })
    }

    /// Timestamps that it takes.
    #[must_use]
    pub fn ticks(&self) -> usize {
        self.branches.ticks()
    }

    fn batch<'b>(&'b self, expanded: &'b Expanded) -> Batch<'b> {
        let events = (self.branches, expanded);
        Batch::of_branches(self.operation, self.timestamp, self.body, events)
    }
}

/// An operation that was begun ahead of its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ahead {
    /// Its number.
    op: u64,
    /// Not only are its keys looked up: the state has its changes.
    is_decided: bool,
}

/// A state machine and the threads that share its work.
pub struct Executor {
    machine: StateMachine,
    /// What left memory; none where all stays.
    past: Option<Past>,
    workers: Workers,
    /// The next operation, when it was begun ahead of its turn.
    ahead: Option<Ahead>,
    /// The last operation's ids, when they are not in the indexes yet.
    unapplied: Option<Made>,
    /// The branches of the operation being executed.
    expanded: Option<Box<Expanded>>,
    /// Readers of the change feed that may come back.
    pub(crate) feeds: Feeds,
    /// Queries being worked on.
    pub(crate) readings: Queue<Reading>,
    /// Lookups being worked on.
    pub(crate) lookups: Queue<Lookup>,
    /// How much of one of either is done in a turn.
    pub(crate) read_turn: ReadTurn,
}

impl Executor {
    /// An executor for `machine`, with a thread for each shard but the first. What leaves memory
    /// goes to `past`; without it nothing does.
    ///
    /// # Errors
    /// The system's when it has no threads left.
    pub fn new(
        machine: StateMachine,
        past: Option<Past>,
        shards: u32,
        pin: bool,
    ) -> std::io::Result<Self> {
        Ok(Self {
            machine,
            past,
            workers: Workers::start(shards as usize, pin)?,
            ahead: None,
            unapplied: None,
            expanded: Some(Box::default()),
            feeds: Feeds::default(),
            readings: Queue::default(),
            lookups: Queue::default(),
            read_turn: ReadTurn::default(),
        })
    }

    /// Looks up what the next operation, number `op`, names. Only right when nothing is executed
    /// between this and it.
    ///
    /// # Errors
    /// The history's, when it cannot be read or is damaged: nothing more can be executed.
    pub fn resolve_ahead(&mut self, op: u64, batch: &Batch<'_>) -> Result<(), Error> {
        if self.begins(op) {
            self.resolve(batch)?;
            self.ahead = Some(Ahead::resolved(op));
        }
        Ok(())
    }

    /// Decides the next operation, number `op`, ahead of its turn. Until it is
    /// [executed](Self::execute) the state must be shown to nobody: what it shows may not be
    /// durable. Only right where nothing can come between, not even a loss of leadership.
    ///
    /// # Errors
    /// As [`resolve_ahead`](Self::resolve_ahead).
    pub fn decide_ahead(&mut self, op: u64, batch: &Batch<'_>) -> Result<(), Error> {
        self.assert_next(op);
        self.resolve_ahead(op, batch)?;
        self.decide_resolved(op, batch);
        Ok(())
    }

    /// Whether the state has changes of an operation that was not executed yet.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.ahead.is_some_and(|ahead| ahead.is_decided)
    }

    /// Executes operation `op`, writes the reply's body to `out` and returns its length.
    ///
    /// A large operation's ids enter the indexes only with the next call, or with
    /// [`settle`](Self::settle): its reply need not wait for that.
    ///
    /// # Errors
    /// As [`resolve_ahead`](Self::resolve_ahead).
    ///
    /// # Panics
    /// When another operation was resolved ahead, or as [`StateMachine::execute`] does.
    pub fn execute(&mut self, op: u64, batch: &Batch<'_>, out: &mut [u8]) -> Result<usize, Error> {
        self.decide_ahead(op, batch)?;
        Ok(self.finish(batch, out))
    }

    /// Nothing counts as looked up ahead: another operation may be the next one.
    ///
    /// # Panics
    /// When it was decided: that cannot be undone.
    pub(crate) fn forget_ahead(&mut self) {
        assert!(!self.is_ahead(), "what was decided stays");
        self.ahead = None;
    }

    /// As [`resolve_ahead`](Self::resolve_ahead), for an operation on branches.
    ///
    /// # Errors
    /// As there.
    pub fn resolve_branches_ahead(&mut self, op: u64, asked: &BranchOp<'_>) -> Result<(), Error> {
        if self.begins(op) {
            self.with_expanded(|this, expanded| this.resolve_branches(asked, expanded))?;
            self.ahead = Some(Ahead::resolved(op));
        }
        Ok(())
    }

    /// As [`decide_ahead`](Self::decide_ahead), for an operation on branches.
    ///
    /// # Errors
    /// As there.
    pub fn decide_branches_ahead(&mut self, op: u64, asked: &BranchOp<'_>) -> Result<(), Error> {
        self.assert_next(op);
        self.resolve_branches_ahead(op, asked)?;
        self.with_expanded(|this, expanded| this.decide_resolved(op, &asked.batch(expanded)));
        Ok(())
    }

    /// As [`execute`](Self::execute), for an operation on branches.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn execute_branches(
        &mut self,
        op: u64,
        asked: &BranchOp<'_>,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        self.decide_branches_ahead(op, asked)?;
        Ok(self.with_expanded(|this, expanded| this.finish(&asked.batch(expanded), out)))
    }

    /// Lends the memory that branches are expanded in.
    fn with_expanded<T>(&mut self, work: impl FnOnce(&mut Self, &mut Expanded) -> T) -> T {
        let mut expanded = self.expanded.take().expect("it is lent once at a time");
        let done = work(self, &mut expanded);
        self.expanded = Some(expanded);
        done
    }

    fn resolve_branches(
        &mut self,
        asked: &BranchOp<'_>,
        expanded: &mut Expanded,
    ) -> Result<(), Error> {
        self.machine.expand(&asked.branches, expanded);
        self.resolve(&asked.batch(expanded))
    }

    /// Whether operation `op` has to be looked up. What was looked up for another one is forgotten.
    fn begins(&self, op: u64) -> bool {
        let is_begun = self.ahead.is_some_and(|ahead| ahead.op == op);
        assert!(is_begun || !self.is_ahead(), "what was decided stays");
        !is_begun
    }

    fn assert_next(&self, op: u64) {
        let next = self.ahead.map_or(op, |ahead| ahead.op);
        assert_eq!(next, op, "operations run in order");
    }

    fn decide_resolved(&mut self, op: u64, batch: &Batch<'_>) {
        if !self.is_ahead() {
            assert!(self.unapplied.is_none(), "resolve settles");
            self.machine.decide(batch);
            self.ahead = Some(Ahead {
                op,
                is_decided: true,
            });
        }
    }

    /// Answers the operation that was decided. The state may be shown again.
    fn finish(&mut self, batch: &Batch<'_>, out: &mut [u8]) -> usize {
        self.ahead = None;
        let length = self.machine.encode(batch, out);
        self.unapplied = Some(batch.made());
        if batch.len() < EVENTS_TO_SHARE_MIN {
            self.settle();
        }
        length
    }

    /// Hands what is complete to the history, with the mark that `mark` makes, and lets go of what
    /// the history has. To be called after each operation, which took so many bytes of a record of
    /// the log, with nothing resolved ahead.
    ///
    /// # Errors
    /// The history's that do not pass.
    pub fn turn_over(
        &mut self,
        place: (u64, usize),
        mark: impl FnOnce(Digest) -> Mark,
    ) -> Result<(), Error> {
        let Some(past) = &mut self.past else {
            return Ok(());
        };
        assert_eq!(self.ahead, None, "operations run in order");
        let is_complete = past.is_complete(&self.machine, place);
        let mut complete = None;
        if is_complete {
            let spare = past.spare(&self.machine).map_err(|source| Error::Memory {
                what: "the next generation of transfers",
                source,
            })?;
            self.settle();
            complete = Some(Offer {
                mark: mark(self.machine.digest()),
                generation: self.machine.rotate(spare),
            });
        }
        let past = self.past.as_mut().expect("looked at it above");
        Ok(past.turn_over(&mut self.machine, complete)?)
    }

    /// Index of the first record of the log that the checkpoint does not hold; 0 without one.
    #[must_use]
    pub fn needed(&self) -> u64 {
        self.past.as_ref().map_or(0, Past::needed)
    }

    /// Takes note of what the history has done meanwhile. Costs little where it is called often.
    ///
    /// # Errors
    /// The history's that do not pass.
    pub fn keep_up(&mut self) -> Result<(), Error> {
        // Places that were looked up ahead must stay where they are.
        match &mut self.past {
            Some(past) if self.ahead.is_none() => Ok(past.turn_over(&mut self.machine, None)?),
            _ => Ok(()),
        }
    }

    /// Waits until the history has kept up.
    ///
    /// # Errors
    /// The history's.
    pub fn catch_up(&mut self) -> Result<(), Error> {
        match &mut self.past {
            Some(past) => Ok(past.catch_up(&mut self.machine)?),
            None => Ok(()),
        }
    }

    /// Whether so much waits for the history that requests should wait, too.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let past = self.past.as_ref();
        past.is_some_and(|past| past.is_behind(&self.machine))
    }

    /// Whether they wait for somebody to make room on the disk.
    #[must_use]
    pub fn is_starved(&self) -> bool {
        let past = self.past.as_ref();
        past.is_some_and(|past| past.is_starved(&self.machine))
    }

    /// What left memory.
    pub fn past(&mut self) -> Option<&mut Past> {
        self.past.as_mut()
    }

    /// The history's files as of now. They can be read as long as this is kept, also when they are
    /// merged and removed. None where all is in memory.
    pub(crate) fn catalog(&mut self) -> Option<Arc<Catalog>> {
        Some(Arc::clone(self.past.as_mut()?.history().catalog()))
    }

    /// Memory and history, for queries. None where all is in memory.
    pub(crate) fn both(&mut self) -> Option<Both<'_>> {
        self.settle();
        let history = self.past.as_mut()?.history();
        Some(Both {
            machine: &self.machine,
            catalog: Arc::clone(history.catalog()),
            reader: history.reader(),
        })
    }

    /// Finds transfers by id, in memory or not, in the order of `ids`.
    ///
    /// # Errors
    /// The history's.
    pub fn transfers(&mut self, ids: &[u128]) -> Result<Vec<Option<Transfer>>, Error> {
        self.settle();
        let recent = ids.iter().map(|id| self.machine.transfer(*id).copied());
        let mut found: Vec<_> = recent.collect();
        let Some(past) = &mut self.past else {
            return Ok(found);
        };
        let missing = found.iter().zip(ids).filter(|(found, _)| found.is_none());
        let missing: Vec<u128> = missing.map(|(_, id)| *id).collect();
        let mut older = past.find(&missing)?.into_iter();
        for found in found.iter_mut().filter(|found| found.is_none()) {
            *found = older.next().expect("one for each that was missing");
        }
        Ok(found)
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
        assert_eq!(self.ahead, None, "operations run in order");
        self.settle();
        self.machine.expire(timestamp);
    }

    /// The state and the history, for opening from a checkpoint.
    pub(crate) fn restoring(&mut self) -> (&mut StateMachine, Option<&mut Past>) {
        (&mut self.machine, self.past.as_mut())
    }

    /// The state. Lookups by id are right only when it [is settled](Self::is_settled); nothing of
    /// it may be shown while it [is ahead](Self::is_ahead).
    #[must_use]
    pub fn machine(&self) -> &StateMachine {
        &self.machine
    }

    fn resolve(&mut self, batch: &Batch<'_>) -> Result<(), Error> {
        self.settle();
        self.look_up(batch);
        if let Some(past) = &mut self.past {
            past.answer(&mut self.machine, batch)?;
        }
        Ok(())
    }

    fn look_up(&mut self, batch: &Batch<'_>) {
        let filters = self.past.as_ref().and_then(Past::filters);
        let archive = filters.as_ref().map(|filters| filters as &dyn Archive);
        if batch.len() < EVENTS_TO_SHARE_MIN {
            return self.machine.resolve(batch, archive);
        }
        let parts = self.machine.parts();
        let (tables, scratch) = (parts.tables, parts.scratch);
        self.workers.run(parts.shards, |shard| {
            shard.resolve(tables, batch, scratch, archive);
        });
    }
}
