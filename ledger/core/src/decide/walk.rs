//! The walk through an operation's events, which is the same for accounts and transfers: batches
//! one after another, chains within a batch.

use giro_base::Timestamp;
use giro_base::result::CreateResult;

use super::chain::{Chain, Entry, Gate};
use crate::batch::Batch;
use crate::place::NONE;
use crate::scratch::Decided;

/// An event's answer.
#[derive(Clone, Copy)]
pub(super) struct Outcome<S> {
    pub(super) status: S,
    pub(super) timestamp: Timestamp,
}

/// What the walk needs to know of an event before it is created.
#[derive(Clone, Copy)]
pub(super) struct Bits {
    pub(super) linked: bool,
    pub(super) imported: bool,
    pub(super) timestamp: Timestamp,
}

/// One kind of create operation.
pub(super) trait Decider {
    type Status: Into<u32> + PartialEq + Copy;
    /// The status of an event that made its object.
    const CREATED: Self::Status;

    fn bits(&self, i: usize) -> Bits;
    fn decided(&mut self) -> &mut Decided;

    /// Asks for the memory that event `i` will need soon.
    fn fetch(&self, i: usize);

    /// Runs the event's own checks and creates its object when they hold.
    fn create(&mut self, i: usize, timestamp: Timestamp) -> Outcome<Self::Status>;

    /// The status of an event that did not get through the gate; none when it did.
    fn refusal(gate: Gate) -> Option<Self::Status>;

    /// Undoes the chain's events before `end`, which broke it, newest first.
    fn take_back(&mut self, chain_start: usize, end: usize);

    /// Event `i` failed for good.
    fn failed(&mut self, i: usize, status: Self::Status);
}

/// Events between asking for memory and using it.
pub(super) const AHEAD: usize = 12;

/// Decides all events of all batches, in order.
#[inline(always)]
pub(super) fn walk<D: Decider>(decider: &mut D, batch: &Batch<'_>) {
    let mut start = 0;
    for events in batch.body.batches() {
        if events > 0 {
            walk_batch(decider, batch, start, start + events);
        }
        start += events;
    }
}

#[inline(always)]
fn walk_batch<D: Decider>(decider: &mut D, batch: &Batch<'_>, start: usize, end: usize) {
    let imported_batch = decider.bits(start).imported;
    let first_timestamp = batch.event_timestamp(start);
    let batch_timestamp = batch.event_timestamp(end - 1);
    let mut chain = Chain::default();
    for i in start..end {
        decider.fetch((i + AHEAD).min(end - 1));
        let Bits {
            linked,
            imported,
            timestamp,
        } = decider.bits(i);
        let last = i + 1 == end;
        let entry = Entry {
            i,
            linked,
            last,
            imported,
            imported_batch,
            timestamp,
            batch_timestamp,
        };
        let gate = chain.enter(entry);
        let timestamp = first_timestamp + (i - start) as u64;
        decider.decided().place[i] = NONE;
        let outcome = match D::refusal(gate) {
            None => decider.create(i, timestamp),
            Some(status) => Outcome { status, timestamp },
        };
        if outcome.status != D::CREATED {
            if let Some(chain_start) = chain.fail() {
                decider.take_back(chain_start, i);
            }
            decider.failed(i, outcome.status);
        }
        chain.leave(linked, gate);
        let (status, timestamp) = (outcome.status.into(), outcome.timestamp);
        decider.decided().results[i] = CreateResult {
            timestamp,
            status,
            reserved: 0,
        };
    }
}
