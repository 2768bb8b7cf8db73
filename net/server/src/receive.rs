//! From received bytes to whole, verified messages.
//!
//! Every connection has a small buffer; messages that fit are handled where they lie in it,
//! several of one receive too. A larger message moves to a pooled buffer: what has arrived is
//! copied to the offset it will have on disk, and the rest is received straight behind it.

use giro_base::Buffer;
use giro_base::limits::{MESSAGE_HEADER_BYTES, OP_HEADER_BYTES, RECORD_HEADER_BYTES};
use giro_wire::frame::Frame;
use giro_wire::{
    Fault, HeaderBytes, Message, PingHeader, Rejection, RequestHeader, parse_header, verify_body,
};
use zerocopy::{FromZeros, transmute_ref};

/// Bytes a connection receives at a time while it waits for messages. A request of up to some
/// hundred events comes in one receive.
pub(crate) const SMALL_BYTES: usize = 16 << 10;
/// Where a message starts in a pooled buffer: behind the header of a log record.
pub(crate) const MESSAGE_AT: usize = RECORD_HEADER_BYTES;
/// Where its body starts, and stays.
pub(crate) const BODY_AT: usize = RECORD_HEADER_BYTES + OP_HEADER_BYTES;
/// Records in a body are read where they lie and want this alignment.
pub(crate) const ALIGNMENT: usize = 16;

#[repr(C, align(64))]
#[derive(FromZeros)]
struct Small([u8; SMALL_BYTES]);

/// The receiving half of a connection. While a receive is in flight, the bytes behind
/// [`Receiver::room`] belong to the kernel and nothing here touches them.
pub(crate) struct Receiver {
    small: Box<Small>,
    /// The small buffer's bytes `start..end` are received and not handled yet.
    start: usize,
    end: usize,
    phase: Phase,
    large: Option<Large>,
}

struct Large {
    buffer: Buffer,
    /// Bytes of the message that are there.
    filled: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A header comes next.
    Header,
    /// The header is valid; the body may be incomplete.
    Body { kind: Kind, total: usize },
    /// The whole message is there and verified.
    Ready { kind: Kind, total: usize },
    /// Bytes of a message that is not wanted.
    Skip { left: usize },
}

/// What a client can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ping,
    Request,
}

/// What the bytes so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Receive more.
    More,
    /// A large message needs a buffer: [`Receiver::give`].
    Buffer,
    /// A message is there: [`Incoming::message`].
    Message,
    /// A message broke a rule and is skipped; ask again.
    Ignored(Fault),
    /// The stream makes no sense any more.
    Close(Fault),
}

/// A whole message of a client.
pub(crate) enum Received<'a> {
    Ping(&'a PingHeader),
    Request(&'a RequestHeader, &'a [u8]),
}

impl<'a> Received<'a> {
    /// A verified message of this kind.
    pub(crate) fn of(kind: Kind, message: &'a [u8]) -> Self {
        let (header, body) = split(message);
        match kind {
            Kind::Ping => Self::Ping(transmute_ref!(header)),
            Kind::Request => Self::Request(transmute_ref!(header), body),
        }
    }
}

/// Something that holds a whole, verified message.
pub(crate) trait Incoming {
    /// The message.
    fn message(&self) -> Received<'_>;

    /// Ends with the message. A large one's buffer is handed out, the message in it at
    /// [`MESSAGE_AT`].
    fn consume(&mut self) -> Option<Buffer>;
}

impl Receiver {
    pub(crate) fn new() -> Self {
        Self {
            small: Small::new_box_zeroed().expect("memory for a connection"),
            start: 0,
            end: 0,
            phase: Phase::Header,
            large: None,
        }
    }

    /// Where the next receive goes, and whether it should wait for all of it. Never empty after
    /// [`Next::More`].
    pub(crate) fn room(&mut self) -> (&mut [u8], bool) {
        if let (Some(large), Phase::Body { total, .. }) = (&mut self.large, self.phase) {
            let at = MESSAGE_AT + large.filled;
            return (&mut large.buffer[at..MESSAGE_AT + total], true);
        }
        (&mut self.small.0[self.end..], false)
    }

    /// This many bytes came into [`Receiver::room`].
    pub(crate) fn on_received(&mut self, bytes: usize) {
        match &mut self.large {
            Some(large) => large.filled += bytes,
            None => self.end += bytes,
        }
        assert!(self.end <= SMALL_BYTES, "received beyond the buffer");
    }

    /// Whether a message has begun and is not complete.
    pub(crate) fn is_inside_message(&self) -> bool {
        self.phase != Phase::Header || self.start < self.end
    }

    /// Goes through what has been received up to the next thing somebody must do.
    pub(crate) fn next(&mut self, cluster: u128) -> Next {
        loop {
            match self.phase {
                Phase::Header => {
                    if let Some(next) = self.next_header(cluster) {
                        return next;
                    }
                }
                Phase::Body { kind, total } => match self.next_body(total) {
                    Some(next) => return next,
                    None => self.phase = Phase::Ready { kind, total },
                },
                Phase::Ready { .. } => return Next::Message,
                Phase::Skip { left } => {
                    let here = left.min(self.end - self.start);
                    self.start += here;
                    if here < left {
                        self.phase = Phase::Skip { left: left - here };
                        return self.more();
                    }
                    self.phase = Phase::Header;
                }
            }
        }
    }

    fn next_header(&mut self, cluster: u128) -> Option<Next> {
        if self.end - self.start < MESSAGE_HEADER_BYTES {
            return Some(self.more());
        }
        if !self.start.is_multiple_of(ALIGNMENT) {
            self.compact();
        }
        let message_bytes = |frame: &Frame| frame.size.get() as usize;
        let (kind, total) = match parse_header(self.small_header(), cluster) {
            Ok(Message::Ping(header)) => (Kind::Ping, message_bytes(&header.frame)),
            Ok(Message::Request(header)) => (Kind::Request, message_bytes(&header.frame)),
            // What only servers send. Its size is known to be in range.
            Ok(
                Message::Pong(_) | Message::Reply(_) | Message::Eviction(_) | Message::Refusal(_),
            ) => {
                let frame = *frame_of(self.small_header());
                let left = message_bytes(&frame);
                self.phase = Phase::Skip { left };
                return Some(Next::Ignored(Fault::ReplicaCommand(frame.command)));
            }
            Err(Rejection::Ignore {
                fault,
                message_bytes: left,
            }) => {
                self.phase = Phase::Skip { left };
                return Some(Next::Ignored(fault));
            }
            Err(Rejection::Close(fault)) => return Some(Next::Close(fault)),
        };
        self.phase = Phase::Body { kind, total };
        None
    }

    /// None when the body is there and good.
    fn next_body(&mut self, total: usize) -> Option<Next> {
        let there = match &self.large {
            Some(large) => large.filled,
            None if total > SMALL_BYTES => return Some(Next::Buffer),
            None => self.end - self.start,
        };
        if there < total {
            return Some(self.more());
        }
        let (header, body) = split(self.bytes(total));
        verify_body(frame_of(header), body).err().map(Next::Close)
    }

    /// Moves a large message to this buffer, which the rest of it is received into.
    pub(crate) fn give(&mut self, mut buffer: Buffer) {
        let there = self.end - self.start;
        let bytes = &self.small.0[self.start..self.end];
        buffer[MESSAGE_AT..MESSAGE_AT + there].copy_from_slice(bytes);
        self.start = 0;
        self.end = 0;
        self.large = Some(Large {
            buffer,
            filled: there,
        });
    }

    /// The message after [`Next::Message`], as bytes, and whether it lies in a pooled buffer.
    pub(crate) fn whole(&self) -> (Kind, &[u8], bool) {
        let Phase::Ready { kind, total } = self.phase else {
            panic!("no message is ready");
        };
        (kind, self.bytes(total), self.large.is_some())
    }

    /// The header of the request that waits for a buffer, after [`Next::Buffer`].
    pub(crate) fn waiting_request(&self) -> Option<&RequestHeader> {
        match self.phase {
            Phase::Body {
                kind: Kind::Request,
                ..
            } if self.large.is_none() => Some(transmute_ref!(self.small_header())),
            _ => None,
        }
    }

    /// Gives up on a message that waits for a buffer; its bytes are skipped.
    pub(crate) fn skip(&mut self) {
        if let Phase::Body { total, .. } = self.phase
            && self.large.is_none()
        {
            self.phase = Phase::Skip { left: total };
        }
    }

    fn more(&mut self) -> Next {
        self.compact();
        Next::More
    }

    /// Moves what has not been handled to the front, so that there is room behind it.
    fn compact(&mut self) {
        if self.start > 0 {
            self.small.0.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    fn small_header(&self) -> &HeaderBytes {
        let header = self.small.0[self.start..].first_chunk();
        header.expect("the caller saw a whole header")
    }

    fn bytes(&self, total: usize) -> &[u8] {
        match &self.large {
            Some(large) => &large.buffer[MESSAGE_AT..MESSAGE_AT + total],
            None => &self.small.0[self.start..self.start + total],
        }
    }
}

impl Incoming for Receiver {
    fn message(&self) -> Received<'_> {
        let (kind, bytes, _) = self.whole();
        Received::of(kind, bytes)
    }

    fn consume(&mut self) -> Option<Buffer> {
        let Phase::Ready { total, .. } = self.phase else {
            panic!("no message is ready");
        };
        self.phase = Phase::Header;
        let large = self.large.take();
        if large.is_none() {
            self.start += total;
        }
        large.map(|large| large.buffer)
    }
}

fn split(message: &[u8]) -> (&HeaderBytes, &[u8]) {
    message
        .split_first_chunk()
        .expect("a message is not shorter than its header")
}

fn frame_of(header: &HeaderBytes) -> &Frame {
    let halves: &[[u8; size_of::<Frame>()]; 2] = transmute_ref!(header);
    transmute_ref!(&halves[0])
}

#[cfg(test)]
mod tests {
    use giro_base::{BufferPool, Operation};
    use giro_wire::{NewRequest, Release};
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    use super::*;

    fn request(number: u32, body: &[u8]) -> Vec<u8> {
        let new = NewRequest {
            cluster: 0,
            view: 0,
            release: Release::DEVELOPMENT,
            client: 5,
            session: 1,
            parent: 0,
            request: number,
            operation: Operation::CreateTransfers,
            previous_request_latency: 0,
        };
        let mut message = RequestHeader::build(&new, body).as_bytes().to_vec();
        message.extend_from_slice(body);
        message
    }

    /// A message with a rule broken in its header, and so to be skipped with its body.
    fn broken(body: &[u8]) -> Vec<u8> {
        let mut message = request(1, body);
        message[112] = 1;
        let sum = giro_base::checksum(&message[16..256]);
        message[..16].copy_from_slice(&sum.to_le_bytes());
        message
    }

    /// Feeds a stream in pieces of these sizes; collects request numbers and bodies, and how
    /// the stream ended.
    fn feed(stream: &[u8], pieces: &[usize]) -> (Vec<(u32, Vec<u8>)>, usize, Next) {
        let pool = BufferPool::new(1).unwrap();
        let mut receiver = Receiver::new();
        let (mut found, mut ignored) = (Vec::new(), 0);
        let mut left = stream;
        let mut sizes = pieces.iter().copied().cycle();
        loop {
            match receiver.next(0) {
                Next::More if left.is_empty() => return (found, ignored, Next::More),
                Next::More => {
                    let (room, _) = receiver.room();
                    let bytes = sizes.next().unwrap().min(room.len()).min(left.len());
                    room[..bytes].copy_from_slice(&left[..bytes]);
                    left = &left[bytes..];
                    receiver.on_received(bytes);
                }
                Next::Buffer => receiver.give(pool.take().expect("one large message at a time")),
                Next::Message => {
                    let Received::Request(header, body) = receiver.message() else {
                        panic!("only requests were sent");
                    };
                    assert!(body.as_ptr().addr().is_multiple_of(ALIGNMENT));
                    found.push((header.request.get(), body.to_vec()));
                    if let Some(buffer) = receiver.consume() {
                        let end = BODY_AT + found.last().unwrap().1.len();
                        assert_eq!(buffer[BODY_AT..end], found.last().unwrap().1);
                    }
                }
                Next::Ignored(_) => ignored += 1,
                close @ Next::Close(_) => return (found, ignored, close),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// However the stream is cut, the same messages come out of it, at aligned places.
        #[test]
        fn cuts_do_not_matter(
            sizes in prop::collection::vec((0_usize..40_000, any::<bool>()), 1..8),
            pieces in prop::collection::vec(1_usize..20_000, 1..10),
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (number, &(bytes, valid)) in (1..).zip(&sizes) {
                let body: Vec<u8> = (0..bytes).map(|at| (at * 7 + bytes) as u8).collect();
                if valid {
                    stream.extend(request(number, &body));
                    expected.push((number, body));
                } else {
                    stream.extend(broken(&body));
                }
            }
            let (found, ignored, end) = feed(&stream, &pieces);
            prop_assert_eq!(ignored, sizes.len() - expected.len());
            prop_assert_eq!(found, expected);
            prop_assert_eq!(end, Next::More);
        }
    }

    #[test]
    fn the_largest_message_fits_and_ends_where_it_should() {
        let body = vec![3; giro_base::limits::BODY_BYTES_MAX];
        let mut stream = request(1, &body);
        stream.extend(request(2, &[]));
        let (found, _, end) = feed(&stream, &[1 << 20]);
        assert_eq!(found, [(1, body), (2, Vec::new())]);
        assert_eq!(end, Next::More);
    }

    #[test]
    fn damage_closes_after_what_was_good() {
        for at in [0, 100, 255, 256, 20_000] {
            let mut stream = request(1, &[1; 64]);
            let mut bad = request(2, &[2; 24_000]);
            bad[at] ^= 0x40;
            stream.extend(bad);
            let (found, _, end) = feed(&stream, &[4096]);
            assert_eq!(found.len(), 1, "{at}");
            let fault = if at < 256 {
                Fault::HeaderChecksum
            } else {
                Fault::BodyChecksum
            };
            assert_eq!(end, Next::Close(fault));
        }
    }

    #[test]
    fn a_message_that_got_no_buffer_is_skipped() {
        let mut stream = request(1, &[1; 20_000]);
        stream.extend(request(2, &[]));
        let mut receiver = Receiver::new();
        let mut left = &stream[..];
        let mut found = Vec::new();
        loop {
            match receiver.next(0) {
                Next::More if left.is_empty() => break,
                Next::More => {
                    let (room, _) = receiver.room();
                    let bytes = room.len().min(left.len());
                    room[..bytes].copy_from_slice(&left[..bytes]);
                    left = &left[bytes..];
                    receiver.on_received(bytes);
                }
                Next::Buffer => receiver.skip(),
                Next::Message => {
                    let Received::Request(header, _) = receiver.message() else {
                        panic!("only requests were sent");
                    };
                    found.push(header.request.get());
                    assert!(receiver.consume().is_none());
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(found, [2]);
        assert!(!receiver.is_inside_message());
    }
}
