//! A verified message on its way from a port thread to the first thread.

use giro_base::Buffer;
use zerocopy::IntoBytes;

use crate::connection::Place;
use crate::receive::{ALIGNMENT, Incoming, Kind, MESSAGE_AT, Received, Receiver, SMALL_BYTES};

/// One whole message. The memory for small ones goes back and is used again.
pub(crate) struct Parcel {
    /// The connection it came on.
    pub(crate) place: Place,
    /// When it was there (ns), which is since when it has been in line for room.
    pub(crate) since: u64,
    /// Whether it asks and changes nothing.
    pub(crate) is_read: bool,
    pub(crate) kind: Kind,
    /// Bytes of the message, header included.
    pub(crate) total: usize,
    /// Where a small message lies; as wide as records in a body want to be aligned.
    small: Box<[u128]>,
    /// Where a large message lies, at [`MESSAGE_AT`].
    large: Option<Buffer>,
}

const _: () = assert!(align_of::<u128>() >= ALIGNMENT);

impl Parcel {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            place: Place {
                slot: 0,
                generation: 0,
            },
            since: 0,
            is_read: false,
            kind: Kind::Ping,
            total: 0,
            // Zeroed memory of this size stays untouched until it is used.
            small: vec![0; SMALL_BYTES / size_of::<u128>()].into_boxed_slice(),
            large: None,
        }
    }

    /// Takes the receiver's message: a large one with its buffer, a small one by a copy.
    pub(crate) fn fill(&mut self, receiver: &mut Receiver) {
        let (kind, bytes, is_large) = receiver.whole();
        self.kind = kind;
        self.total = bytes.len();
        if !is_large {
            self.small.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        }
        self.large = receiver.consume();
    }
}

impl Incoming for Parcel {
    fn message(&self) -> Received<'_> {
        let bytes = match &self.large {
            Some(buffer) => &buffer[MESSAGE_AT..MESSAGE_AT + self.total],
            None => &self.small.as_bytes()[..self.total],
        };
        Received::of(self.kind, bytes)
    }

    fn consume(&mut self) -> Option<Buffer> {
        self.large.take()
    }
}
