//! A ledger that keeps sessions as the real one does, and says yes to everything.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use giro::{DropReason, EvictReason, Reply, RequestMeta, Verdict};
use giro_base::limits::{MESSAGE_HEADER_BYTES, RECORD_HEADER_BYTES};
use giro_base::multi_batch::{Body, write_trailer};
use giro_base::operation::ResultForm;
use giro_base::{Buffer, Operation, Timestamp, checksum};
use giro_log::uring::Ring;
use giro_server::{Ledger, Standing};
use giro_wire::register;

/// What a test holds in its hands.
#[derive(Default)]
pub(crate) struct Gate {
    /// The ledger has no room.
    pub(crate) full: AtomicBool,
    /// It gets room in a turn that takes so many milliseconds.
    pub(crate) slow_room: AtomicU64,
    /// Another node leads, in this view.
    pub(crate) elsewhere: AtomicU32,
    /// Every session is in use.
    pub(crate) crowded: AtomicBool,
    /// What was taken does not become durable.
    pub(crate) stuck: AtomicBool,
    /// Writes executed.
    pub(crate) executed: AtomicU64,
    /// Of those, the ones taken in their buffer.
    pub(crate) in_place: AtomicU64,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.full.store(false, Ordering::SeqCst);
        self.crowded.store(false, Ordering::SeqCst);
        self.stuck.store(false, Ordering::SeqCst);
    }
}

struct Session {
    session: u64,
    last: RequestMeta,
    op: u64,
    body: Vec<u8>,
}

pub(crate) struct SimpleLedger {
    gate: std::sync::Arc<Gate>,
    sessions: HashMap<u128, Session>,
    busy: HashSet<u128>,
    taken: VecDeque<(RequestMeta, Vec<usize>)>,
    op: u64,
}

impl SimpleLedger {
    pub(crate) fn new(gate: std::sync::Arc<Gate>) -> Self {
        Self {
            gate,
            sessions: HashMap::new(),
            busy: HashSet::new(),
            taken: VecDeque::new(),
            op: 0,
        }
    }

    fn take(&mut self, meta: &RequestMeta, body: &[u8]) {
        assert_eq!(checksum(body), meta.checksum_body, "the body came whole");
        assert!(self.busy.insert(meta.client), "one request a session");
        let body = Body::parse(meta.operation, body).unwrap();
        self.taken.push_back((*meta, body.batches().collect()));
    }
}

fn results(operation: Operation, batches: &[usize]) -> Vec<u8> {
    let events: usize = batches.iter().sum();
    let mut out = vec![0; (events + batches.len() + 2) * 384];
    let bytes = operation.result_bytes();
    let sparse = operation.result_form() == ResultForm::Sparse && operation.is_write();
    let none = sparse || operation.takes_filter();
    let results_of = |events: usize| if none { 0 } else { events };
    let results = results_of(events);
    if operation.is_write() && !sparse {
        for result in out.chunks_exact_mut(16).take(results) {
            // A timestamp, and the status of what was created.
            result[0] = 1;
            result[8..12].fill(0xFF);
        }
    }
    let length = if operation.is_multi_batch() {
        let counts = batches.iter().map(|events| results_of(*events));
        write_trailer(&mut out, results * bytes, bytes, counts)
    } else {
        results * bytes
    };
    out.truncate(length);
    out
}

impl Ledger for SimpleLedger {
    type Error = Infallible;

    fn prepare(&mut self, _ring: &mut Ring) -> io::Result<()> {
        Ok(())
    }

    fn supports(&self, operation: Operation) -> bool {
        operation != Operation::QueryAccounts
    }

    fn check(&self, meta: &RequestMeta) -> Verdict {
        let is_register = meta.operation == Operation::Register;
        if let Some(session) = self.sessions.get(&meta.client) {
            if !is_register && session.session > meta.session {
                return Verdict::Evict(EvictReason::SessionTooLow);
            }
            if !is_register && session.session < meta.session {
                return Verdict::Drop(DropReason::SessionFromFuture);
            }
            if session.last.release != meta.release {
                return Verdict::Evict(EvictReason::ReleaseMismatch);
            }
            let last = &session.last;
            if last.request == meta.request && last.request_checksum == meta.request_checksum {
                return Verdict::Resend;
            }
            if last.request >= meta.request {
                return Verdict::Drop(DropReason::Old);
            }
            if self.busy.contains(&meta.client) {
                return Verdict::Drop(DropReason::InProgress);
            }
            return Verdict::Accept;
        }
        match () {
            () if self.busy.contains(&meta.client) => Verdict::Drop(DropReason::InProgress),
            () if is_register && self.gate.crowded.load(Ordering::SeqCst) => {
                Verdict::Drop(DropReason::Full)
            }
            () if is_register => Verdict::Accept,
            () => Verdict::Evict(EvictReason::NoSession),
        }
    }

    fn last_reply(&self, client: u128) -> Option<Reply<'_>> {
        let session = self.sessions.get(&client)?;
        Some(Reply {
            client,
            request: session.last.request,
            request_checksum: session.last.request_checksum,
            operation: session.last.operation,
            release: session.last.release,
            op: session.op,
            timestamp: session.op,
            body: &session.body,
            session: session.session,
        })
    }

    fn can_submit(&self, _body_bytes: usize) -> bool {
        !self.gate.full.load(Ordering::SeqCst)
    }

    fn can_submit_in_place(&self) -> bool {
        self.can_submit(0)
    }

    fn submit_in_place(
        &mut self,
        _now: Timestamp,
        meta: &RequestMeta,
        body_bytes: usize,
        buffer: Buffer,
    ) {
        let at = RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES;
        self.gate.in_place.fetch_add(1, Ordering::SeqCst);
        self.take(meta, &buffer[at..at + body_bytes]);
    }

    fn submit_copy(&mut self, _now: Timestamp, meta: &RequestMeta, body: &[u8]) {
        self.take(meta, body);
    }

    fn read(
        &mut self,
        _key: u128,
        operation: Operation,
        body: &Body<'_>,
        out: &mut [u8],
    ) -> Result<usize, Infallible> {
        let results = results(operation, &body.batches().collect::<Vec<_>>());
        out[..results.len()].copy_from_slice(&results);
        Ok(results.len())
    }

    fn touch(&mut self, client: u128) {
        assert!(self.sessions.contains_key(&client), "only sessions read");
    }

    fn can_decide_ahead(&self) -> bool {
        false
    }

    fn decide_ahead(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn commit_op(&self) -> u64 {
        self.op
    }

    fn read_timestamp(&self) -> Timestamp {
        self.op
    }

    fn standing(&self) -> Standing {
        match self.gate.elsewhere.load(Ordering::SeqCst) {
            0 => Standing::Serving,
            _ => Standing::Elsewhere,
        }
    }

    fn view(&self) -> u32 {
        self.gate.elsewhere.load(Ordering::SeqCst)
    }

    fn flush(&mut self, _ring: &mut Ring) -> Result<(), Infallible> {
        let slow = self.gate.slow_room.swap(0, Ordering::SeqCst);
        if slow > 0 {
            std::thread::sleep(Duration::from_millis(slow));
            self.gate.full.store(false, Ordering::SeqCst);
        }
        Ok(())
    }

    fn on_write(&mut self, _value: u64, _result: io::Result<usize>) -> Result<(), Infallible> {
        Ok(())
    }

    fn is_stalled(&self) -> bool {
        false
    }

    fn is_ready(&self) -> bool {
        !self.taken.is_empty() && !self.gate.stuck.load(Ordering::SeqCst)
    }

    fn execute(&mut self, reply: &mut dyn FnMut(Reply<'_>)) -> Result<bool, Infallible> {
        let Some((meta, batches)) = self.taken.pop_front() else {
            return Ok(false);
        };
        self.op += 1;
        self.gate.executed.fetch_add(1, Ordering::SeqCst);
        self.busy.remove(&meta.client);
        let is_register = meta.operation == Operation::Register;
        let session = if is_register { self.op } else { meta.session };
        let body = if is_register {
            register::reply_body().to_vec()
        } else {
            results(meta.operation, &batches)
        };
        let recorded = Session {
            session,
            last: meta,
            op: self.op,
            body,
        };
        self.sessions.insert(meta.client, recorded);
        reply(self.last_reply(meta.client).unwrap());
        Ok(self.is_ready())
    }

    fn is_settled(&self) -> bool {
        true
    }

    fn settle(&mut self) {}

    fn tick(&mut self, _now: Timestamp) {}

    fn is_idle(&self) -> bool {
        self.taken.is_empty()
    }
}
