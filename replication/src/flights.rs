//! Writes that are not durable yet, and the messages that wait for them.

use std::collections::VecDeque;

use raft::eraftpb::Message;

/// In the order of their numbers. A turn without a write waits behind those before it.
#[derive(Default)]
pub(crate) struct Flights {
    queue: VecDeque<Flight>,
    /// The newest one's number.
    count: u64,
    /// Everything up to this number is durable.
    durable: u64,
}

/// What a write or a turn is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A turn of the library, which has this number there.
    Ready(u64),
    /// This entry, of which the library may not know yet.
    Untold(u64),
}

struct Flight {
    number: u64,
    purpose: Purpose,
    needs_write: bool,
    /// Leave when it is durable.
    messages: Vec<Message>,
    started: u64,
    /// The term in its record.
    term: u64,
}

/// A turn whose promises are kept.
pub(crate) struct Landed {
    pub(crate) purpose: Purpose,
    /// This term is durable; none when nothing was written.
    pub(crate) term: Option<u64>,
    pub(crate) messages: Vec<Message>,
}

impl Flights {
    /// Adds a write or a turn, which starts now (ticks). Says which number it has, from 1 on.
    pub(crate) fn push(&mut self, purpose: Purpose, needs_write: bool, now: u64, term: u64) -> u64 {
        self.count += 1;
        self.queue.push_back(Flight {
            number: self.count,
            purpose,
            needs_write,
            messages: Vec::new(),
            started: now,
            term,
        });
        self.count
    }

    /// Adds messages to the newest turn.
    pub(crate) fn hold(&mut self, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        let newest = self.queue.back_mut().expect("its turn is under way");
        newest.messages.extend(messages);
    }

    /// The write with this number and all before it are durable.
    ///
    /// # Panics
    /// When no such write is under way: the caller mixed them up.
    pub(crate) fn set_durable(&mut self, number: u64) {
        let found = self.queue.iter().find(|flight| flight.number == number);
        assert!(
            found.is_some_and(|flight| flight.needs_write),
            "write {number} is under way"
        );
        self.durable = number;
    }

    /// Whether all that the oldest turn promised is durable.
    pub(crate) fn has_landed(&self) -> bool {
        let front = self.queue.front();
        front.is_some_and(|front| !front.needs_write || front.number <= self.durable)
    }

    /// The oldest turn, when all it promised is durable.
    pub(crate) fn pop(&mut self) -> Option<Landed> {
        if !self.has_landed() {
            return None;
        }
        let flight = self.queue.pop_front()?;
        Some(Landed {
            purpose: flight.purpose,
            term: flight.needs_write.then_some(flight.term),
            messages: flight.messages,
        })
    }

    /// When the oldest write under way was started (ticks).
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.queue.front().map(|flight| flight.started)
    }
}
