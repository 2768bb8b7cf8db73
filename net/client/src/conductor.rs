//! All sessions of a client and their requests. No I/O and no clock: messages and times go in,
//! messages come out.
//!
//! What becomes of a request in flight:
//!
//! | event | a read, or a write sent once | a write sent more than once |
//! |---|---|---|
//! | reply | its calls are answered | the same |
//! | connection lost | sent again on the next one | the same |
//! | refusal | its calls are refused: nothing happened | sent again later |
//! | the server does not lead | sent again, to another server | the same |
//! | session lost | sent again in a new session: nothing happened | unknown; a new session |
//! | nobody waits any more | a read is forgotten, a write fenced | fenced |
//!
//! A fence is a write without events behind the one given up. When it is answered, that one
//! either has happened or never will, and its session can be used again.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use giro_base::Operation;
use giro_base::limits::BODY_BYTES_MAX;
use giro_base::multi_batch::split_trailer;
use giro_wire::register::batch_size_limit;
use giro_wire::{
    EvictionHeader, EvictionReason, Message, RefusalHeader, RefusalReason, ReplyHeader,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::call::{Call, Rows};
use crate::error::{CallError, Refusal, Uncertainty};
use crate::options::ClientOptions;
use crate::outbox::Outbox;
use crate::queue::Queue;
use crate::session::{Flight, Session, Voice, Work};

/// Pause before another register after one was refused.
const REGISTER_PAUSE: Duration = Duration::from_millis(100);
/// Resends are at least this often, however long an answer takes.
const RESEND_INTERVAL_MAX: Duration = Duration::from_secs(30);

/// So many calls share a message even where others could share the work. When so many are answered,
/// those who made them go on before others are.
pub(crate) const CALLS_TOGETHER: usize = 64;

/// Told when the first session is open, or why none can be.
pub(crate) type Opened = oneshot::Sender<Result<(), EvictionReason>>;

/// The sessions and what they do.
pub(crate) struct Conductor {
    voice: Voice,
    sessions_max: usize,
    calls_max: usize,
    queue: Queue,
    /// Never removed; a lost session is renewed in its place.
    sessions: Vec<Session>,
    by_client: HashMap<u128, usize>,
    /// Open sessions without a request, the one used last on top.
    idle: Vec<usize>,
    /// The server's limit on a request's body.
    body_bytes_max: usize,
    is_connected: bool,
    /// No register before this.
    register_at: Option<Instant>,
    /// The server does not accept this client at all.
    outcast: Option<EvictionReason>,
    opened: Option<Opened>,
    settling: Vec<Settling>,
    /// The server does not lead; the view says who does.
    redirection: Option<u32>,
    /// The server took a request of this client.
    is_answered: bool,
    /// Calls answered since the last [`Conductor::count_answers`].
    answers: usize,
}

/// Somebody waits for doubted requests to end: sessions and their count of ended requests.
struct Settling {
    left: Vec<(usize, u64)>,
    done: oneshot::Sender<()>,
}

impl Conductor {
    pub(crate) fn new(options: &ClientOptions, opened: Opened) -> Self {
        Self {
            voice: Voice {
                cluster: options.cluster,
                release: options.release,
                view: 0,
                resend_interval: options.resend_interval,
            },
            sessions_max: options.sessions_max.max(1),
            calls_max: options.calls_max.max(1),
            queue: Queue::new(),
            sessions: Vec::new(),
            by_client: HashMap::new(),
            idle: Vec::new(),
            body_bytes_max: BODY_BYTES_MAX,
            is_connected: false,
            register_at: None,
            outcast: None,
            opened: Some(opened),
            settling: Vec::new(),
            redirection: None,
            is_answered: false,
            answers: 0,
        }
    }

    /// The view that leads away from this server, when it does not lead.
    pub(crate) fn take_redirection(&mut self) -> Option<u32> {
        self.redirection.take()
    }

    /// Whether the server has answered a request since this was last asked: with what came of it,
    /// or with a refusal that another server would give, too. A pong is no answer.
    pub(crate) fn take_answered(&mut self) -> bool {
        std::mem::take(&mut self.is_answered)
    }

    /// Calls answered since [`Conductor::count_answers`].
    pub(crate) fn answers(&self) -> usize {
        self.answers
    }

    /// Counts answers from here on.
    pub(crate) fn count_answers(&mut self) {
        self.answers = 0;
    }

    /// When the request that waits for longest was last handed to this connection.
    pub(crate) fn oldest_asked(&self) -> Option<Instant> {
        let flights = self.sessions.iter().filter_map(|s| s.flight.as_ref());
        flights.map(|flight| flight.asked).min()
    }

    /// Takes a call.
    pub(crate) fn submit(&mut self, call: Call) {
        match self.outcast {
            Some(reason) => call.finish(Err(CallError::Refused(Refusal::Evicted(reason)))),
            None => self.queue.push(call),
        }
    }

    /// Whether there is room for another call.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.queue.len() >= self.calls_max {
            self.queue.purge();
        }
        self.queue.len() < self.calls_max
    }

    /// Whether nobody waits for anything.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.queue.purge();
        let waits = |session: &Session| match session.flight.as_ref().map(|flight| &flight.work) {
            Some(Work::Calls { calls, .. }) => calls.iter().any(|call| !call.is_abandoned()),
            _ => false,
        };
        self.queue.is_empty() && !self.sessions.iter().any(waits)
    }

    /// Tells `done` when every write that some caller has given up has ended.
    pub(crate) fn settle(&mut self, done: oneshot::Sender<()>, now: Instant, out: &mut Outbox) {
        let mut left = Vec::new();
        for index in 0..self.sessions.len() {
            let session = &self.sessions[index];
            if session.flight.as_ref().is_some_and(Flight::is_doubted) {
                left.push((index, session.ended));
                self.give_up_if_abandoned(index, now, out);
            }
        }
        self.settling.push(Settling { left, done });
        self.tell_settled();
    }

    /// A connection is there: everything in flight is sent again.
    pub(crate) fn on_connected(&mut self, now: Instant, out: &mut Outbox) {
        self.is_connected = true;
        for session in &mut self.sessions {
            if let Some(flight) = &mut session.flight {
                out.push(flight.resend(now));
            }
        }
        if self.sessions.is_empty() || self.opened.is_some() {
            self.open_session(now, out);
        }
    }

    /// The connection is gone.
    pub(crate) fn on_disconnected(&mut self) {
        self.is_connected = false;
    }

    /// Sends what can be sent.
    pub(crate) fn dispatch(&mut self, now: Instant, out: &mut Outbox) {
        if !self.is_connected || self.queue.is_empty() {
            return;
        }
        while let Some(&index) = self.idle.last() {
            let calls_max = self.calls_together(now);
            let Some(gathered) = self.queue.take(self.body_bytes_max, calls_max) else {
                return;
            };
            self.idle.pop();
            out.push(self.sessions[index].begin_calls(&self.voice, gathered, now));
        }
        if !self.queue.is_empty() {
            self.open_session(now, out);
        }
    }

    /// Calls of a message: half of those that wait for an answer, so that there are two messages on
    /// their way. While the server works on one, the callers are told what became of the other.
    /// The last session that is idle takes all, where no more can be opened.
    fn calls_together(&self, now: Instant) -> usize {
        let is_paused = self.register_at.is_some_and(|at| now < at);
        let may_open = self.sessions.len() < self.sessions_max
            || self.sessions.iter().any(|session| session.number == 0);
        if self.idle.len() < 2 && (is_paused || !may_open) {
            return usize::MAX;
        }
        let flights = self.sessions.iter().filter_map(|s| s.flight.as_ref());
        let asked: usize = flights.map(|flight| flight.work.calls().len()).sum();
        let waiting = self.queue.len() + asked;
        waiting.div_ceil(2).max(CALLS_TOGETHER)
    }

    /// Opens one more session, unless one is being opened or there are enough.
    fn open_session(&mut self, now: Instant, out: &mut Outbox) {
        let is_opening = |session: &Session| session.number == 0 && session.flight.is_some();
        let paused = self.register_at.is_some_and(|at| now < at);
        if paused || self.outcast.is_some() || self.sessions.iter().any(is_opening) {
            return;
        }
        let closed = self.sessions.iter().position(|session| session.number == 0);
        let index = match closed {
            Some(index) => index,
            None if self.sessions.len() < self.sessions_max => {
                let session = Session::new();
                self.by_client.insert(session.client, self.sessions.len());
                self.sessions.push(session);
                self.sessions.len() - 1
            }
            None => return,
        };
        out.push(self.sessions[index].begin_own(&self.voice, Work::Register, now));
    }

    /// A message of the server.
    pub(crate) fn on_message(
        &mut self,
        message: Message<'_>,
        body: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) {
        match message {
            Message::Pong(pong) => self.voice.view = self.voice.view.max(pong.frame.view.get()),
            Message::Reply(reply) => self.on_reply(reply, body, now, out),
            Message::Refusal(refusal) => self.on_refusal(refusal, now),
            Message::Eviction(eviction) => self.on_eviction(eviction, now),
            // What only clients send.
            Message::Ping(_) | Message::Request(_) => {}
        }
        self.tell_settled();
    }

    fn on_reply(&mut self, reply: &ReplyHeader, body: &[u8], now: Instant, out: &mut Outbox) {
        self.voice.view = self.voice.view.max(reply.frame.view.get());
        let Some(&index) = self.by_client.get(&reply.client.get()) else {
            return;
        };
        let session = &mut self.sessions[index];
        let Some(flight) = &mut session.flight else {
            return;
        };
        let answers = reply.request_checksum.get();
        if let Work::Fence { behind } = flight.work
            && behind == answers
        {
            // The write that was given up has ended; nothing keeps the fence from being taken.
            out.push(flight.resend(now));
            return;
        }
        if answers != flight.checksum {
            return;
        }
        self.is_answered = true;
        session.heard(reply.context.get());
        match session.end(now) {
            Some(Work::Register) => self.on_registered(index, reply, body),
            Some(Work::Calls { operation, calls }) => {
                self.answers += calls.len();
                answer(operation, calls, body);
            }
            Some(Work::Fence { .. }) | None => {}
        }
        self.release(index);
    }

    fn on_registered(&mut self, index: usize, reply: &ReplyHeader, body: &[u8]) {
        let session = &mut self.sessions[index];
        session.number = reply.commit.get();
        if let Some(limit) = batch_size_limit(body) {
            self.body_bytes_max = limit as usize;
        }
        if let Some(opened) = self.opened.take() {
            // Who connects may have given up.
            let _ = opened.send(Ok(()));
        }
    }

    /// An open session without a request is free for the next.
    fn release(&mut self, index: usize) {
        if self.sessions[index].is_worn() {
            self.renew(index);
        } else if self.sessions[index].number != 0 {
            self.idle.push(index);
        }
    }

    fn renew(&mut self, index: usize) {
        let session = &mut self.sessions[index];
        self.by_client.remove(&session.client);
        session.renew();
        self.by_client.insert(session.client, index);
    }

    fn on_refusal(&mut self, refusal: &RefusalHeader, now: Instant) {
        let Ok(reason) = RefusalReason::try_from(refusal.reason) else {
            return;
        };
        let Some(&index) = self.by_client.get(&refusal.client.get()) else {
            return;
        };
        let session = &mut self.sessions[index];
        let Some(flight) = &mut session.flight else {
            return;
        };
        if flight.checksum != refusal.request_checksum.get() {
            return;
        }
        self.is_answered |= reason != RefusalReason::NotLeader;
        if reason == RefusalReason::NotLeader {
            // This copy was not taken; what became of others does not change.
            flight.copies = flight.copies.saturating_sub(1);
            self.redirection = Some(refusal.frame.view.get());
            return;
        }
        let refused = CallError::Refused(Refusal::Busy(reason));
        match &flight.work {
            Work::Register => {
                session.end(now);
                // Another copy may be taken yet, and open a session whose answer nobody waits for:
                // the next one is for another client.
                self.renew(index);
                self.register_at = Some(now + REGISTER_PAUSE);
                if self.sessions.iter().all(|session| session.number == 0) {
                    finish_all(self.queue.drain(), refused);
                }
            }
            Work::Calls { .. } if flight.copies == 1 || !flight.is_write() => {
                if let Some(Work::Calls { calls, .. }) = session.end(now) {
                    finish_all(calls, refused);
                }
                self.release(index);
            }
            // Another copy may have been taken: only an answer to it tells.
            Work::Calls { .. } | Work::Fence { .. } => flight.resend_at = now + REGISTER_PAUSE,
        }
    }

    fn on_eviction(&mut self, eviction: &EvictionHeader, now: Instant) {
        let Ok(reason) = EvictionReason::try_from(eviction.reason) else {
            return;
        };
        let Some(&index) = self.by_client.get(&eviction.client.get()) else {
            return;
        };
        self.is_answered = true;
        let session = &mut self.sessions[index];
        let copies = session.flight.as_ref().map_or(0, |flight| flight.copies);
        let work = session.end(now);
        self.idle.retain(|idle| *idle != index);
        // An eviction does not say which request it answers. With a new client id, one that was
        // on its way for the old one cannot be taken for the answer to a later request.
        self.renew(index);
        let fatal = matches!(
            reason,
            EvictionReason::ClientReleaseTooLow | EvictionReason::ClientReleaseTooHigh
        );
        match work {
            Some(Work::Calls { operation, calls }) => {
                self.on_calls_evicted(reason, calls, copies == 1 || !operation.is_write());
            }
            Some(Work::Register) => return self.cast_out(reason),
            Some(Work::Fence { .. }) | None => {}
        }
        if fatal {
            self.cast_out(reason);
        }
    }

    fn on_calls_evicted(&mut self, reason: EvictionReason, calls: Vec<Call>, harmless: bool) {
        let is_lost = matches!(
            reason,
            EvictionReason::NoSession
                | EvictionReason::SessionTooLow
                | EvictionReason::SessionReleaseMismatch
        );
        if harmless && is_lost {
            for call in &calls {
                call.stage.take_back();
            }
            self.queue.put_back(calls);
        } else if harmless {
            finish_all(calls, CallError::Refused(Refusal::Evicted(reason)));
        } else {
            finish_all(calls, CallError::Unknown(Uncertainty::SessionLost(reason)));
        }
    }

    /// The server will not have this client: no call can be sent.
    fn cast_out(&mut self, reason: EvictionReason) {
        self.outcast = Some(reason);
        finish_all(
            self.queue.drain(),
            CallError::Refused(Refusal::Evicted(reason)),
        );
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(Err(reason));
        }
    }

    /// Lets time pass: resends, and gives up what nobody waits for.
    pub(crate) fn on_time(&mut self, now: Instant, out: &mut Outbox) {
        for index in 0..self.sessions.len() {
            self.give_up_if_abandoned(index, now, out);
            let Some(flight) = &mut self.sessions[index].flight else {
                continue;
            };
            if !self.is_connected || now < flight.resend_at {
                continue;
            }
            flight.resend_after = (flight.resend_after * 2).min(RESEND_INTERVAL_MAX);
            if out.is_empty() {
                out.push(flight.resend(now));
            } else {
                // The last copy may not even have left.
                flight.resend_at = now + flight.resend_after;
            }
        }
        if self.register_at.is_some_and(|at| now >= at) {
            self.register_at = None;
            if self.is_connected && (self.opened.is_some() || !self.queue.is_empty()) {
                self.open_session(now, out);
            }
        }
        self.tell_settled();
    }

    /// Stops asking for what nobody waits for any more.
    fn give_up_if_abandoned(&mut self, index: usize, now: Instant, out: &mut Outbox) {
        let session = &mut self.sessions[index];
        let Some(flight) = session.flight.as_ref() else {
            return;
        };
        if !flight.is_abandoned(now) {
            return;
        }
        let (is_write, behind) = (flight.is_write(), flight.checksum);
        let Some(Work::Calls { calls, .. }) = session.put_aside(now) else {
            unreachable!("only calls are abandoned");
        };
        if is_write {
            finish_all(calls, CallError::Unknown(Uncertainty::Deadline));
            let message = session.begin_own(&self.voice, Work::Fence { behind }, now);
            if self.is_connected {
                out.push(message);
            }
        } else {
            finish_all(calls, CallError::Refused(Refusal::Deadline));
            // An eviction that answers the read must not be taken for another request's.
            self.renew(index);
        }
    }

    fn tell_settled(&mut self) {
        if self.settling.is_empty() {
            return;
        }
        let sessions = &self.sessions;
        for settling in &mut self.settling {
            settling
                .left
                .retain(|(index, ends)| sessions[*index].ended <= *ends);
        }
        let is_over = |settling: &mut Settling| settling.left.is_empty();
        for settled in self.settling.extract_if(.., is_over) {
            let _ = settled.done.send(());
        }
    }

    /// When [`Conductor::on_time`] has something to do.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        let flights = self.sessions.iter().filter_map(|s| s.flight.as_ref());
        let resends = flights.clone().filter(|_| self.is_connected);
        let resends = resends.map(|flight| flight.resend_at);
        let give_ups = flights.filter_map(|flight| flight.give_up_at);
        resends.chain(give_ups).chain(self.register_at).min()
    }
}

/// Gives each call its part of the reply.
fn answer(operation: Operation, calls: Vec<Call>, body: &[u8]) {
    let Some(ranges) = divide(operation, &calls, body) else {
        return finish_all(calls, CallError::Unknown(Uncertainty::Answer));
    };
    let body = Arc::new(body.to_vec());
    for (call, range) in calls.into_iter().zip(ranges) {
        let body = Arc::clone(&body);
        call.finish(Ok(Rows { body, range }));
    }
}

/// Where each call's rows lie; none when the reply does not fit the calls.
fn divide(operation: Operation, calls: &[Call], body: &[u8]) -> Option<Vec<Range<usize>>> {
    let row_bytes = operation.result_bytes();
    if operation.kind().takes_branches() {
        return divide_branches(row_bytes, calls, body);
    }
    if !operation.is_multi_batch() {
        let [call] = calls else { return None };
        let fits = body.len().is_multiple_of(row_bytes) && body.len() / row_bytes <= call.rows_max;
        let whole = 0..body.len();
        return fits.then(|| vec![whole]);
    }
    let (_, counts) = split_trailer(body, row_bytes).ok()?;
    if counts.len() != 2 * calls.len() {
        return None;
    }
    let mut at = 0;
    let mut ranges = Vec::with_capacity(calls.len());
    // The trailer's counts stand last batch first.
    for (call, count) in calls.iter().zip(counts.rchunks_exact(2)) {
        let rows = usize::from(u16::from_le_bytes([count[0], count[1]]));
        let is_wrong = if operation.is_write() {
            rows != call.rows_max
        } else {
            rows > call.rows_max
        };
        if is_wrong {
            return None;
        }
        ranges.push(at..at + rows * row_bytes);
        at += rows * row_bytes;
    }
    Some(ranges)
}

/// A row for each branch, one call's behind the other's.
fn divide_branches(row_bytes: usize, calls: &[Call], body: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut at = 0;
    let ranges = calls.iter().map(|call| {
        let start = at;
        at += call.rows_max * row_bytes;
        start..at
    });
    let ranges = ranges.collect();
    (at == body.len()).then_some(ranges)
}

fn finish_all(calls: impl IntoIterator<Item = Call>, error: CallError) {
    for call in calls {
        call.finish(Err(error));
    }
}

#[cfg(test)]
mod tests;
