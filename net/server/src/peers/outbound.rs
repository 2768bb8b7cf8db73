//! The way to a peer: one ordered stream of frames, given up as a whole when it breaks.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use giro_replication::Frame;
use giro_replication::limits::APPEND_ENTRIES_MAX;

use super::flight::Flight;

/// Bytes that wait for a peer, beyond which it counts as unreachable. The group stops long before
/// with a peer that answers nothing; this bounds what it sends to one that answers and lags.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Bytes and parts that one operation sends.
const FLIGHT_BYTES: usize = 2 << 20;
const FLIGHT_PARTS_MAX: usize = 512;
// A single frame is never too much for one operation.
const _: () = assert!(APPEND_ENTRIES_MAX < libc::UIO_MAXIOV as usize);
const _: () = assert!(FLIGHT_PARTS_MAX < libc::UIO_MAXIOV as usize);
/// Pauses between attempts: the first, and the longest.
const PAUSE_MIN_NS: u64 = 20_000_000;
const PAUSE_MAX_NS: u64 = 500_000_000;
/// A connection that lasted so long was a good one.
const STEADY_NS: u64 = 2_000_000_000;

/// How the way stands.
pub(super) enum Way {
    /// Nobody tries before then (ns).
    Closed { until: u64 },
    /// An attempt is under way.
    Dialing,
    /// Frames go out.
    Open { socket: OwnedFd },
    /// It broke while an operation was under way, which ends soon.
    Breaking { _socket: OwnedFd },
}

/// One peer's.
pub(super) struct Outbound {
    pub(super) name: String,
    pub(super) way: Way,
    /// Tells operations of one connection from those of the next.
    pub(super) epoch: u32,
    pub(super) flight: Option<Flight>,
    waiting: VecDeque<Frame>,
    waiting_bytes: usize,
    pause_ns: u64,
    /// When the connection was made (ns).
    opened: u64,
    /// Why it is closed was said.
    pub(super) is_told: bool,
}

impl Outbound {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            way: Way::Closed { until: 0 },
            epoch: 0,
            flight: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            pause_ns: PAUSE_MIN_NS,
            opened: 0,
            is_told: false,
        }
    }

    /// Whether frames can be sent, or wait at least.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.way, Way::Open { .. })
    }

    /// Whether it is time for an attempt.
    pub(super) fn wants_dialing(&self, now: u64) -> bool {
        matches!(self.way, Way::Closed { until } if until <= now)
    }

    /// Adds a frame. False when too much waits.
    pub(super) fn push(&mut self, frame: Frame) -> bool {
        let bytes = frame.len();
        if self.waiting_bytes + bytes > WAITING_BYTES_MAX {
            return false;
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back(frame);
        true
    }

    /// The frames of the next operation, when none is under way.
    pub(super) fn next_flight(&mut self, now: u64) -> Option<&Flight> {
        if self.flight.is_some() || self.waiting.is_empty() || !self.is_open() {
            return None;
        }
        let (mut bytes, mut parts, mut count) = (0, 0, 0);
        for frame in &self.waiting {
            bytes += frame.len();
            parts += 1 + frame.payloads.len();
            if count > 0 && (bytes > FLIGHT_BYTES || parts > FLIGHT_PARTS_MAX) {
                break;
            }
            count += 1;
        }
        let frames: Vec<Frame> = self.waiting.drain(..count).collect();
        let flight = Flight::new(frames, now);
        self.waiting_bytes -= flight.bytes;
        Some(self.flight.insert(flight))
    }

    /// The peer was heard of: it is worth an attempt at once.
    pub(super) fn is_back(&mut self, now: u64) {
        if let Way::Closed { until } = &mut self.way {
            *until = now.min(*until);
            self.pause_ns = PAUSE_MIN_NS;
        }
    }

    /// A connection stands.
    pub(super) fn open(&mut self, socket: OwnedFd, now: u64) {
        self.way = Way::Open { socket };
        self.epoch = self.epoch.wrapping_add(1);
        self.opened = now;
        self.is_told = false;
    }

    /// It broke, or could not be made: what waits is given up, since the stream has an order.
    pub(super) fn close(&mut self, now: u64) {
        self.waiting.clear();
        self.waiting_bytes = 0;
        let closed = self.closed(now);
        self.way = match std::mem::replace(&mut self.way, Way::Dialing) {
            Way::Open { socket } => {
                // Ends the operations under way: memory and socket stay until then.
                let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
                match self.flight {
                    Some(_) => Way::Breaking { _socket: socket },
                    None => closed,
                }
            }
            breaking @ Way::Breaking { .. } => breaking,
            _ => closed,
        };
    }

    /// The operation under way ended, while the way was breaking.
    pub(super) fn broke(&mut self, now: u64) {
        self.flight = None;
        self.way = self.closed(now);
    }

    fn closed(&mut self, now: u64) -> Way {
        // A peer that closes every connection at once is not asked again at once.
        if self.opened != 0 && now - self.opened >= STEADY_NS {
            self.pause_ns = PAUSE_MIN_NS;
        }
        self.opened = 0;
        let until = now + self.pause_ns;
        self.pause_ns = (self.pause_ns * 2).min(PAUSE_MAX_NS);
        Way::Closed { until }
    }
}
