//! The reference model: the specification in its plainest form.
//!
//! Maps, one event at a time, no thought for speed. It shares the record layouts with the engine
//! and nothing else: statuses are the specification's numbers, written out again here.

mod accounts;
mod batch;
mod branches;
mod changes;
mod digest;
mod exists;
mod expiry;
mod queries;
mod state;
mod transfers;
mod two_phase;

use giro_base::Transfer;
use zerocopy::IntoBytes;

use crate::request::{Action, BranchRequests, Form, Request, encode_batches};

use self::batch::Event;
use self::digest::Digest;

pub(crate) use self::batch::{CREATED, Outcome};
pub(crate) use self::branches::BranchOutcome;
pub(crate) use self::state::{Phase, State};

/// The model ledger.
#[derive(Default)]
pub(crate) struct Model {
    state: State,
    digest: Digest,
}

/// What a request does and answers.
#[derive(Default)]
pub(crate) struct Answer {
    /// The bytes of the reply's body.
    pub(crate) reply: Vec<u8>,
    /// Create operations: the outcome of each event of each batch.
    pub(crate) outcomes: Vec<Vec<Outcome>>,
    /// Operations on branches: the outcome of each.
    pub(crate) branches: Vec<BranchOutcome>,
    /// Pulses: how many transfers expired.
    pub(crate) expired: usize,
}

impl Model {
    /// Executes one request.
    pub(crate) fn execute(&mut self, request: &Request) -> Answer {
        match &request.action {
            Action::CreateAccounts(form, batches) => self.create(*form, batches, request.timestamp),
            Action::CreateTransfers(form, batches) => {
                self.create(*form, batches, request.timestamp)
            }
            Action::Branches(asked) => self.branches(asked, request.timestamp),
            Action::Pulse => self.pulse(request.timestamp),
            action => self.read(action),
        }
    }

    /// Answers a request that changes nothing.
    pub(crate) fn read(&self, action: &Action) -> Answer {
        let state = &self.state;
        match action {
            Action::CreateAccounts(..)
            | Action::CreateTransfers(..)
            | Action::Branches(..)
            | Action::Pulse => {
                unreachable!("it changes something")
            }
            Action::LookupAccounts(ids) => rows(queries::lookup_accounts(state, ids).as_bytes()),
            Action::LookupTransfers(ids) => rows(queries::lookup_transfers(state, ids).as_bytes()),
            Action::AccountTransfers(filter, max) => {
                rows(queries::account_transfers(state, filter, *max).as_bytes())
            }
            Action::QueryAccounts(filter, max) => {
                rows(queries::query_accounts(state, filter, *max).as_bytes())
            }
            Action::QueryTransfers(filter, max) => {
                rows(queries::query_transfers(state, filter, *max).as_bytes())
            }
            Action::ChangeEvents(filter, max) => {
                rows(changes::by_time(state, filter, *max).as_bytes())
            }
            Action::ChangesAfter(filter, max) => {
                rows(changes::by_position(state, filter, *max).as_bytes())
            }
        }
    }

    /// The digest over everything executed.
    pub(crate) fn digest(&self) -> u128 {
        self.digest.value()
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// All batches of a create operation, whose last event has this timestamp.
    fn create<E: Event>(&mut self, form: Form, batches: &[Vec<E>], timestamp: u64) -> Answer {
        let events: usize = batches.iter().map(Vec::len).sum();
        self.digest.absorb(timestamp, events as u64);
        let mut first = timestamp - events as u64 + 1;
        let mut outcomes: Vec<Vec<Outcome>> = Vec::new();
        for events in batches {
            let executed = batch::execute(&mut self.state, events, first);
            first += events.len() as u64;
            for event in &executed {
                let Outcome { status, timestamp } = event.outcome;
                let word = timestamp ^ (u64::from(status) << 32);
                self.digest.absorb(word, event.effect);
            }
            outcomes.push(executed.iter().map(|event| event.outcome).collect());
        }
        Answer {
            reply: encode(form, &outcomes),
            outcomes,
            ..Answer::default()
        }
    }

    fn branches(&mut self, asked: &BranchRequests, timestamp: u64) -> Answer {
        self.digest.absorb(timestamp, asked.len() as u64);
        let mut answer = Answer::default();
        for branch in branches::execute(&mut self.state, asked, timestamp) {
            let BranchOutcome {
                status,
                timestamp,
                leg,
                leg_status,
            } = branch.outcome;
            let first = timestamp ^ (u64::from(status) << 32) ^ (u64::from(leg) << 48);
            let id = branch.id as u64 ^ (branch.id >> 64) as u64;
            self.digest.absorb(first, id ^ u64::from(leg_status));
            for effect in branch.effects {
                self.digest.absorb(0, effect);
            }
            answer.reply.extend_from_slice(&timestamp.to_le_bytes());
            answer.reply.extend_from_slice(&status.to_le_bytes());
            answer.reply.extend_from_slice(&leg.to_le_bytes());
            answer.reply.extend_from_slice(&leg_status.to_le_bytes());
            answer.branches.push(branch.outcome);
        }
        answer
    }

    fn pulse(&mut self, timestamp: u64) -> Answer {
        let effects = expiry::pulse(&mut self.state, timestamp);
        let expired = effects.len();
        self.digest.absorb(timestamp, expired as u64);
        for (k, effect) in effects.into_iter().enumerate() {
            let timestamp = timestamp - expired as u64 + k as u64 + 1;
            self.digest.absorb(timestamp, effect);
        }
        Answer {
            expired,
            ..Answer::default()
        }
    }
}

/// When a pending transfer with a timeout expires (ns).
pub(crate) fn expires_at(p: &Transfer) -> u64 {
    p.timestamp + u64::from(p.timeout) * 1_000_000_000
}

fn rows(bytes: &[u8]) -> Answer {
    Answer {
        reply: bytes.to_vec(),
        ..Answer::default()
    }
}

/// Encodes the outcomes: dense, or failures only; with a trailer or without.
fn encode(form: Form, outcomes: &[Vec<Outcome>]) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut counts = Vec::new();
    let element = if form.is_dense() { 16 } else { 8 };
    for batch in outcomes {
        let start = payload.len();
        for (i, outcome) in batch.iter().enumerate() {
            if form.is_dense() {
                payload.extend_from_slice(&outcome.timestamp.to_le_bytes());
                payload.extend_from_slice(&outcome.status.to_le_bytes());
                payload.extend_from_slice(&[0; 4]);
            } else if outcome.status != CREATED {
                payload.extend_from_slice(&(i as u32).to_le_bytes());
                payload.extend_from_slice(&outcome.status.to_le_bytes());
            }
        }
        counts.push((payload.len() - start) / element);
    }
    if form.has_trailer() {
        encode_batches(&mut payload, element, &counts);
    }
    payload
}
