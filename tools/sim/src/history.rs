//! What clients saw, and whether one order of all requests explains it. The checker knows the
//! engine's answers only as bytes, and works them out again with a model of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use giro_base::limits::RECORD_HEADER_BYTES;
use giro_base::{BufferPool, Operation};
use giro_log::{OpHeader, ops_of_payload};

use crate::model::Model;
use crate::workload::Request;

/// A request and what became of it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Who asked.
    pub client: usize,
    /// Tells requests apart.
    pub request_checksum: u128,
    /// What was asked.
    pub request: Request,
    /// When it was sent first (us).
    pub invoked_us: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended, as its client saw it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Not answered: it may have taken effect.
    Unknown,
    /// Answered.
    Done {
        /// The write's op, or the last one that the read saw.
        op: u64,
        /// The reply.
        body: Vec<u8>,
        /// When the answer came (us).
        returned_us: u64,
    },
}

/// An op of the log, with the reply that the model gives.
struct Executed {
    request_checksum: u128,
    /// A register of a client that had no session: it may be there again, once another client
    /// displaced the first one.
    is_first: bool,
    reply: Vec<u8>,
    /// Balances behind it.
    balances: Vec<u8>,
}

/// Checks that the log's order explains every answer: each acknowledged write is there once, with
/// the answer that the model gives there; a request that began after another was answered comes
/// behind it; and a read saw the balances of a moment between its beginning and its end.
///
/// # Errors
/// What does not fit.
pub fn check(events: &[Event], log: &[Bytes], pool: &BufferPool) -> Result<(), String> {
    let ops = walk(log, pool)?;
    let mut places = HashMap::new();
    for (op, executed) in &ops {
        let first = *places.entry(executed.request_checksum).or_insert(*op);
        if executed.request_checksum != 0 && first != *op && !executed.is_first {
            return Err(format!("one request is both op {first} and op {op}"));
        }
    }
    // What was answered before a moment bounds what begins behind it.
    let mut ends: Vec<(u64, u64)> = Vec::new();
    for event in events {
        let Outcome::Done {
            op,
            body,
            returned_us,
        } = &event.outcome
        else {
            continue;
        };
        let executed = ops.get(op);
        let executed = executed.ok_or_else(|| format!("answered op {op} is not in the log"))?;
        if event.request.is_write() {
            check_write(event, *op, executed, body)?;
        } else if *body != executed.balances {
            let client = event.client;
            return Err(format!(
                "client {client} read other balances than those behind op {op}"
            ));
        }
        ends.push((*returned_us, *op));
    }
    ends.sort_unstable();
    check_order(events, &ends, &places)
}

fn check_write(event: &Event, op: u64, executed: &Executed, body: &[u8]) -> Result<(), String> {
    let client = event.client;
    if event.request_checksum != executed.request_checksum {
        return Err(format!(
            "client {client} was answered as op {op}, which is another's"
        ));
    }
    if event.request.operation != Operation::Register && body != executed.reply {
        return Err(format!(
            "client {client} got another answer to op {op} than the model"
        ));
    }
    Ok(())
}

/// `ends` are the answers by time, each with its op.
fn check_order(
    events: &[Event],
    ends: &[(u64, u64)],
    places: &HashMap<u128, u64>,
) -> Result<(), String> {
    let mut highest = 0;
    let highest_until: Vec<u64> = ends
        .iter()
        .map(|(_, op)| {
            highest = highest.max(*op);
            highest
        })
        .collect();
    for event in events {
        let before = ends.partition_point(|(at, _)| *at < event.invoked_us);
        let floor = before.checked_sub(1).map_or(0, |last| highest_until[last]);
        let op = match &event.outcome {
            Outcome::Done { op, .. } => *op,
            // It may have taken effect unseen; if so, not before it was asked.
            Outcome::Unknown => match places.get(&event.request_checksum) {
                Some(op) => *op,
                None => continue,
            },
        };
        let is_behind = if event.request.is_write() {
            op > floor
        } else {
            op >= floor
        };
        if !is_behind {
            let (client, at) = (event.client, event.invoked_us);
            return Err(format!(
                "client {client} asked at {at} us, when op {floor} had been answered, and was \
                 served at op {op}"
            ));
        }
    }
    Ok(())
}

/// Executes the log with the model.
fn walk(log: &[Bytes], pool: &BufferPool) -> Result<BTreeMap<u64, Executed>, String> {
    let mut model = Model::default();
    // A read may come before everything.
    let nothing = Executed {
        request_checksum: 0,
        is_first: false,
        reply: Vec::new(),
        balances: Vec::new(),
    };
    let mut ops = BTreeMap::from([(0, nothing)]);
    let mut sessions = BTreeSet::new();
    let mut buffer = pool.take().ok_or("no buffer")?;
    for payload in log {
        let place = RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + payload.len();
        buffer[place.clone()].copy_from_slice(payload);
        for (header, body) in ops_of_payload(&buffer[place]).map_err(|e| e.to_string())? {
            let reply = execute(&mut model, header, body)?;
            let is_register = header.operation == u8::from(Operation::Register);
            sessions.remove(&header.evicted_client);
            let executed = Executed {
                request_checksum: header.request_checksum,
                is_first: is_register && sessions.insert(header.client),
                reply,
                balances: model.balances(),
            };
            ops.insert(header.op, executed);
        }
    }
    model.check_conservation()?;
    Ok(ops)
}

fn execute(model: &mut Model, header: &OpHeader, body: &[u8]) -> Result<Vec<u8>, String> {
    let operation = Operation::try_from(header.operation).map_err(|e| e.to_string())?;
    match operation {
        Operation::Register => Ok(Vec::new()),
        Operation::Pulse => {
            model.expire(header.timestamp);
            Ok(Vec::new())
        }
        Operation::CreateAccountsUnbatched => Ok(model.create_accounts(header.timestamp, body)),
        Operation::CreateTransfersUnbatched => Ok(model.create_transfers(header.timestamp, body)),
        other => Err(format!("no client asks for {other}")),
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
