//! What the first thread has to say on the connections of a port thread, gathered for a turn.

use giro_base::Buffer;
use giro_wire::NewReply;

use crate::connection::Place;
use crate::counters::count;
use crate::outbox::{LocalOutbox, Outbox};
use crate::port::Port;

/// Answers in the order in which they were given. Their memory goes back and is used again.
#[derive(Default)]
pub(crate) struct Answers {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

struct Entry {
    place: Place,
    what: What,
}

enum What {
    /// A reply whose body is `bytes[start..end]`.
    Reply(NewReply, usize, usize),
    /// A reply whose body, of this many bytes, lies in the buffer.
    Large(NewReply, Buffer, usize),
    /// A message `bytes[start..end]`.
    Notice(usize, usize),
    Refusal(usize, usize),
}

/// Memory for bodies that is kept when nothing waits.
const BYTES_KEPT: usize = 256 << 10;
/// The same for entries.
const ENTRIES_KEPT: usize = 1024;

impl Answers {
    /// Room for what a turn usually has.
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::with_capacity(ENTRIES_KEPT),
            bytes: Vec::with_capacity(BYTES_KEPT),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The outbox of a connection of that thread.
    pub(crate) fn outbox(&mut self, place: Place) -> RemoteOutbox<'_> {
        RemoteOutbox {
            answers: self,
            place,
        }
    }

    /// Says everything, in order, on the connections of this thread.
    pub(crate) fn deliver(&mut self, port: &mut Port) {
        let bytes = &self.bytes;
        for Entry { place, what } in self.entries.drain(..) {
            let found = LocalOutbox::find(&mut port.connections, &port.counters, place);
            let Some(mut outbox) = found else {
                if matches!(what, What::Reply(..) | What::Large(..)) {
                    // It is recorded: the client gets it when it asks again.
                    count(&port.counters.unroutable);
                }
                continue;
            };
            match what {
                What::Reply(new, start, end) => outbox.reply(&new, &bytes[start..end]),
                What::Large(new, buffer, body_bytes) => {
                    outbox.reply_large(&new, buffer, body_bytes);
                }
                What::Notice(start, end) => outbox.notice(&bytes[start..end]),
                What::Refusal(start, end) => outbox.refusal(&bytes[start..end]),
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(BYTES_KEPT);
        self.entries.shrink_to(ENTRIES_KEPT);
    }

    fn keep(&mut self, bytes: &[u8]) -> (usize, usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        (start, self.bytes.len())
    }
}

/// The outbox of a connection of another thread.
pub(crate) struct RemoteOutbox<'a> {
    answers: &'a mut Answers,
    place: Place,
}

impl RemoteOutbox<'_> {
    fn say(&mut self, what: What) {
        let place = self.place;
        self.answers.entries.push(Entry { place, what });
    }
}

impl Outbox for RemoteOutbox<'_> {
    fn reply(&mut self, new: &NewReply, body: &[u8]) {
        let (start, end) = self.answers.keep(body);
        self.say(What::Reply(*new, start, end));
    }

    fn reply_large(&mut self, new: &NewReply, buffer: Buffer, body_bytes: usize) {
        self.say(What::Large(*new, buffer, body_bytes));
    }

    fn notice(&mut self, message: &[u8]) {
        let (start, end) = self.answers.keep(message);
        self.say(What::Notice(start, end));
    }

    fn refusal(&mut self, message: &[u8]) {
        let (start, end) = self.answers.keep(message);
        self.say(What::Refusal(start, end));
    }
}
