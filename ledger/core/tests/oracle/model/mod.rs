//! The reference model: the specification in its plainest form.
//!
//! Maps, one event at a time, no thought for speed. It shares the record layouts with the engine
//! and nothing else: statuses are the specification's numbers, written out again here.

mod accounts;
mod batch;
mod exists;
mod expiry;
mod queries;
mod state;
mod transfers;
mod two_phase;

use giro_base::Transfer;
use zerocopy::IntoBytes;

use crate::request::{Action, Request, encode_batches};

pub(crate) use self::batch::{CREATED, Outcome};
pub(crate) use self::state::{Phase, State};

/// The model ledger.
#[derive(Default)]
pub(crate) struct Model {
    state: State,
}

/// What a request does and answers.
pub(crate) struct Answer {
    /// The bytes of the reply's body.
    pub(crate) reply: Vec<u8>,
    /// Create operations: the outcome of each event of each batch.
    pub(crate) outcomes: Vec<Vec<Outcome>>,
    /// Pulses: the transfers that expired.
    pub(crate) expired: Vec<u128>,
}

impl Model {
    /// Executes one request.
    pub(crate) fn execute(&mut self, request: &Request) -> Answer {
        let timestamp = request.timestamp;
        let state = &mut self.state;
        match &request.action {
            Action::CreateAccounts(form, batches) => {
                created(*form, execute_all(state, batches, timestamp))
            }
            Action::CreateTransfers(form, batches) => {
                created(*form, execute_all(state, batches, timestamp))
            }
            Action::Pulse => Answer {
                expired: expiry::pulse(state, timestamp),
                ..Answer::default()
            },
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
        }
    }

    /// The digest over everything executed.
    pub(crate) fn digest(&self) -> u128 {
        0
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            reply: Vec::new(),
            outcomes: Vec::new(),
            expired: Vec::new(),
        }
    }
}

/// When a pending transfer with a timeout expires (ns).
pub(crate) fn expires_at(p: &Transfer) -> u64 {
    p.timestamp + u64::from(p.timeout) * 1_000_000_000
}

fn execute_all<E: batch::Event>(
    state: &mut State,
    batches: &[Vec<E>],
    timestamp: u64,
) -> Vec<Vec<Outcome>> {
    let events: usize = batches.iter().map(Vec::len).sum();
    let mut first = timestamp - events as u64 + 1;
    let mut outcomes = Vec::new();
    for events in batches {
        outcomes.push(batch::execute(state, events, first));
        first += events.len() as u64;
    }
    outcomes
}

fn rows(bytes: &[u8]) -> Answer {
    Answer {
        reply: bytes.to_vec(),
        ..Answer::default()
    }
}

/// Encodes the outcomes: dense, or failures only; with a trailer or without.
fn created(form: crate::request::Form, outcomes: Vec<Vec<Outcome>>) -> Answer {
    let mut payload = Vec::new();
    let mut counts = Vec::new();
    let element = if form.is_dense() { 16 } else { 8 };
    for batch in &outcomes {
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
    Answer {
        reply: payload,
        outcomes,
        expired: Vec::new(),
    }
}
