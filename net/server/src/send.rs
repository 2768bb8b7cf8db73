//! What waits to be sent on a connection.
//!
//! Small messages are gathered, and what was gathered while a send was in flight leaves in the
//! next one. A large reply keeps the pooled buffer it was built in.

use std::collections::VecDeque;

use giro_base::Buffer;

use crate::receive::MESSAGE_AT;

/// Bytes waiting on a connection beyond which nothing more is received on it.
const WAITING_BYTES_PAUSE: usize = 256 << 10;
/// The same for large replies, each of which has a buffer of its own, however little is in it.
const WAITING_LARGE_PAUSE: usize = 2;
/// Bytes of small messages beyond which further ones are not kept; clients ask again.
const GATHERED_BYTES_MAX: usize = 4 << 20;
/// Memory for gathering that a connection keeps when nothing waits.
const GATHERED_BYTES_KEPT: usize = 16 << 10;

/// The sending half of a connection. While a send is in flight, the bytes of
/// [`Sender::start`] stay and don't change.
#[derive(Default)]
pub(crate) struct Sender {
    gathered: Vec<u8>,
    large: VecDeque<Large>,
    large_bytes: usize,
    flight: Option<Flight>,
    /// The memory of the last gathered flight, for the next one.
    spare: Vec<u8>,
    /// The client understands refusals.
    takes_refusals: bool,
}

struct Large {
    buffer: Buffer,
    bytes: usize,
}

struct Flight {
    what: InFlight,
    sent: usize,
}

enum InFlight {
    Gathered(Vec<u8>),
    Large(Large),
}

impl Sender {
    /// Adds a small message. False when there is too much already.
    pub(crate) fn push(&mut self, header: &[u8], body: &[u8]) -> bool {
        if self.gathered.len() + header.len() + body.len() > GATHERED_BYTES_MAX {
            return false;
        }
        self.gathered.extend_from_slice(header);
        self.gathered.extend_from_slice(body);
        true
    }

    /// Adds a message of `bytes` bytes that lies in the buffer at [`MESSAGE_AT`].
    pub(crate) fn push_large(&mut self, buffer: Buffer, bytes: usize) {
        self.large_bytes += bytes;
        self.large.push_back(Large { buffer, bytes });
    }

    /// The client asked to be told which requests are not taken.
    pub(crate) fn take_refusals(&mut self) {
        self.takes_refusals = true;
    }

    /// Whether it did.
    pub(crate) fn takes_refusals(&self) -> bool {
        self.takes_refusals
    }

    /// Whether so much waits that the connection should not ask for more.
    pub(crate) fn is_full(&self) -> bool {
        self.gathered.len() + self.large_bytes > WAITING_BYTES_PAUSE
            || self.large.len() >= WAITING_LARGE_PAUSE
    }

    /// Whether nothing waits and nothing is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.flight.is_none() && self.gathered.is_empty() && self.large.is_empty()
    }

    /// The bytes of the next send, when none is in flight and something waits.
    pub(crate) fn start(&mut self) -> Option<&[u8]> {
        if self.flight.is_some() {
            return None;
        }
        let what = if self.gathered.is_empty() {
            let large = self.large.pop_front()?;
            self.large_bytes -= large.bytes;
            InFlight::Large(large)
        } else {
            let spare = std::mem::take(&mut self.spare);
            InFlight::Gathered(std::mem::replace(&mut self.gathered, spare))
        };
        Some(self.flight.insert(Flight { what, sent: 0 }).rest())
    }

    /// This many bytes of the flight were sent. Gives the rest of it, if there is one.
    pub(crate) fn on_sent(&mut self, bytes: usize) -> Option<&[u8]> {
        let flight = self.flight.as_mut().expect("a send was in flight");
        flight.sent += bytes;
        if flight.rest().is_empty() {
            let ended = self.flight.take().map(|flight| flight.what);
            if let Some(InFlight::Gathered(mut memory)) = ended {
                memory.clear();
                memory.shrink_to(GATHERED_BYTES_KEPT);
                self.spare = memory;
            }
            return None;
        }
        self.flight.as_ref().map(Flight::rest)
    }
}

impl Flight {
    fn rest(&self) -> &[u8] {
        let all = match &self.what {
            InFlight::Gathered(bytes) => bytes,
            InFlight::Large(large) => &large.buffer[MESSAGE_AT..MESSAGE_AT + large.bytes],
        };
        &all[self.sent..]
    }
}

#[cfg(test)]
mod tests {
    use giro_base::BufferPool;

    use super::*;

    #[test]
    fn small_messages_leave_together_and_large_ones_alone() {
        let pool = BufferPool::new(1).unwrap();
        let mut buffer = pool.take().unwrap();
        buffer[MESSAGE_AT..MESSAGE_AT + 3].copy_from_slice(b"big");
        let mut sender = Sender::default();
        assert!(sender.start().is_none());
        sender.push_large(buffer, 3);
        assert!(sender.push(b"a", b"b"));
        assert!(sender.push(b"c", b""));
        assert_eq!(sender.start(), Some(&b"abc"[..]));
        assert!(sender.start().is_none(), "one send at a time");
        assert!(sender.push(b"d", b""));
        assert_eq!(sender.on_sent(1), Some(&b"bc"[..]));
        assert_eq!(sender.on_sent(2), None);
        assert_eq!(sender.start(), Some(&b"d"[..]));
        assert_eq!(sender.on_sent(1), None);
        assert_eq!(sender.start(), Some(&b"big"[..]));
        assert_eq!(pool.free_count(), 0);
        assert!(!sender.is_idle());
        assert_eq!(sender.on_sent(3), None);
        assert_eq!(pool.free_count(), 1);
        assert!(sender.is_idle());
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut sender = Sender::default();
        let message = [0; 4096];
        let mut taken = 0;
        while sender.push(&message, &[]) {
            taken += message.len();
            assert_eq!(sender.is_full(), taken > WAITING_BYTES_PAUSE);
        }
        assert_eq!(taken, GATHERED_BYTES_MAX);
    }

    #[test]
    fn replies_with_buffers_of_their_own_are_few() {
        let pool = BufferPool::new(2).unwrap();
        let mut sender = Sender::default();
        sender.push_large(pool.take().unwrap(), 5_000);
        assert!(!sender.is_full());
        sender.push_large(pool.take().unwrap(), 5_000);
        assert!(sender.is_full());
    }
}
