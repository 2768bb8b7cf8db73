//! One session: a client id the server knows, and at most one request in flight.

use std::sync::Arc;
use std::time::Duration;

use giro_base::Operation;
use giro_base::limits::MESSAGE_HEADER_BYTES;
use giro_wire::register::REGISTER_REQUEST_BYTES;
use giro_wire::{NewRequest, Release, RequestHeader};
use tokio::time::Instant;
use zerocopy::IntoBytes;

use crate::call::Call;
use crate::queue::{Gathered, write_empty_body};

/// What all requests of a client have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    pub(crate) cluster: u128,
    pub(crate) release: Release,
    /// The highest view seen.
    pub(crate) view: u32,
    pub(crate) resend_interval: Duration,
}

/// A session, open or not.
pub(crate) struct Session {
    /// Random; a new one for each session, so that what was meant for an old one is told apart.
    pub(crate) client: u128,
    /// 0 until it is open.
    pub(crate) number: u64,
    pub(crate) flight: Option<Flight>,
    /// How many requests have ended. Tells one flight from the next.
    pub(crate) ended: u64,
    /// The last reply's context.
    parent: u128,
    /// The last request's number.
    request: u32,
    /// How long the last request took (us).
    latency_us: u32,
    /// Memory of the last message, for the next one.
    spare: Arc<Vec<u8>>,
}

/// A request without an answer.
pub(crate) struct Flight {
    pub(crate) work: Work,
    /// The request's header checksum: what its answer names.
    pub(crate) checksum: u128,
    pub(crate) message: Arc<Vec<u8>>,
    /// How often it was handed to a connection.
    pub(crate) copies: u32,
    pub(crate) began: Instant,
    /// When it was last handed to a connection.
    pub(crate) asked: Instant,
    pub(crate) resend_at: Instant,
    pub(crate) resend_after: Duration,
    /// When nobody waits for it any more.
    pub(crate) give_up_at: Option<Instant>,
}

/// What a request is for.
pub(crate) enum Work {
    /// Opens the session.
    Register,
    /// Calls of users.
    Calls {
        operation: Operation,
        calls: Vec<Call>,
    },
    /// A write without events. Behind it, the given up request before it (whose checksum this
    /// is) cannot happen any more: the server drops a number below the last one it executed.
    Fence { behind: u128 },
}

impl Work {
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Register => Operation::Register,
            Self::Calls { operation, .. } => *operation,
            Self::Fence { .. } => Operation::CreateTransfers,
        }
    }

    /// The users' calls in it.
    pub(crate) fn calls(&self) -> &[Call] {
        match self {
            Self::Calls { calls, .. } => calls,
            Self::Register | Self::Fence { .. } => &[],
        }
    }
}

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            client: rand::random_range(1..=u128::MAX),
            number: 0,
            flight: None,
            ended: 0,
            parent: 0,
            request: 0,
            latency_us: 0,
            spare: Arc::default(),
        }
    }

    /// Forgets the server's session; the next one has another client id.
    pub(crate) fn renew(&mut self) {
        let fresh = Self::new();
        self.client = fresh.client;
        self.number = 0;
        self.parent = 0;
        self.request = 0;
        self.latency_us = 0;
    }

    /// Whether its numbers are used up, but for one that a fence may need.
    pub(crate) fn is_worn(&self) -> bool {
        self.request >= u32::MAX - 1
    }

    /// Begins a request of calls; returns the message.
    pub(crate) fn begin_calls(
        &mut self,
        voice: &Voice,
        gathered: Gathered,
        now: Instant,
    ) -> Arc<Vec<u8>> {
        let give_up_at = gathered.calls.iter().map(|call| call.deadline).max();
        let mut message = self.blank();
        gathered.write_body(&mut message);
        let Gathered { operation, calls } = gathered;
        let work = Work::Calls { operation, calls };
        self.begin(voice, work, message, give_up_at, now)
    }

    /// Begins a register or a fence; returns the message.
    pub(crate) fn begin_own(&mut self, voice: &Voice, work: Work, now: Instant) -> Arc<Vec<u8>> {
        let mut message = self.blank();
        match &work {
            Work::Register => message.resize(message.len() + REGISTER_REQUEST_BYTES, 0),
            Work::Fence { .. } => write_empty_body(work.operation(), &mut message),
            Work::Calls { .. } => unreachable!("calls have a body of their own"),
        }
        self.begin(voice, work, message, None, now)
    }

    /// A message with room for its header.
    fn blank(&mut self) -> Vec<u8> {
        let spare = std::mem::take(&mut self.spare);
        let mut message = Arc::try_unwrap(spare).unwrap_or_default();
        message.clear();
        message.resize(MESSAGE_HEADER_BYTES, 0);
        message
    }

    fn begin(
        &mut self,
        voice: &Voice,
        work: Work,
        mut message: Vec<u8>,
        give_up_at: Option<Instant>,
        now: Instant,
    ) -> Arc<Vec<u8>> {
        assert!(self.flight.is_none(), "one request a session");
        if !matches!(work, Work::Register) {
            assert!(self.number != 0, "only an open session asks");
            self.request += 1;
        }
        let new = NewRequest {
            cluster: voice.cluster,
            view: voice.view,
            release: voice.release,
            client: self.client,
            session: self.number,
            parent: self.parent,
            request: self.request,
            operation: work.operation(),
            previous_request_latency: self.latency_us,
        };
        let (head, body) = message.split_at_mut(MESSAGE_HEADER_BYTES);
        let header = RequestHeader::build(&new, body);
        head.copy_from_slice(header.as_bytes());
        let message = Arc::new(message);
        self.flight = Some(Flight {
            work,
            checksum: header.frame.checksum.get(),
            message: Arc::clone(&message),
            copies: 1,
            began: now,
            asked: now,
            resend_at: now + voice.resend_interval,
            resend_after: voice.resend_interval,
            give_up_at,
        });
        message
    }

    /// Ends the flight, whatever it came to.
    pub(crate) fn end(&mut self, now: Instant) -> Option<Work> {
        let work = self.put_aside(now)?;
        self.ended += 1;
        Some(work)
    }

    /// Stops asking, although the request has not ended.
    pub(crate) fn put_aside(&mut self, now: Instant) -> Option<Work> {
        let flight = self.flight.take()?;
        let took = now.saturating_duration_since(flight.began).as_micros();
        self.latency_us = u32::try_from(took).unwrap_or(u32::MAX);
        self.spare = flight.message;
        Some(flight.work)
    }

    /// Takes note of a reply's context.
    pub(crate) fn heard(&mut self, context: u128) {
        self.parent = context;
    }
}

impl Flight {
    /// Hands out the same bytes once more.
    pub(crate) fn resend(&mut self, now: Instant) -> Arc<Vec<u8>> {
        self.copies = self.copies.saturating_add(1);
        self.asked = now;
        self.resend_at = now + self.resend_after;
        Arc::clone(&self.message)
    }

    /// Whether it changes the ledger.
    pub(crate) fn is_write(&self) -> bool {
        self.work.operation().is_write()
    }

    /// Whether some caller has given up waiting for it.
    pub(crate) fn is_doubted(&self) -> bool {
        match &self.work {
            Work::Register => false,
            Work::Calls { calls, .. } => self.is_write() && calls.iter().any(Call::is_abandoned),
            Work::Fence { .. } => true,
        }
    }

    /// Whether all callers have.
    pub(crate) fn is_abandoned(&self, now: Instant) -> bool {
        let Work::Calls { calls, .. } = &self.work else {
            return false;
        };
        self.give_up_at.is_some_and(|at| at <= now) || calls.iter().all(Call::is_abandoned)
    }
}
