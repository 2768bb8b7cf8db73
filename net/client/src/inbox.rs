//! Received bytes, and the messages they become.

use giro_base::limits::{MESSAGE_BYTES_MAX, MESSAGE_HEADER_BYTES};
use giro_wire::frame::Frame;
use giro_wire::{Fault, HeaderBytes, Message, Rejection, parse_header, verify_body};

/// Bytes received at a time; a larger message makes more room once.
const ROOM_BYTES: usize = 64 << 10;

/// What a connection has received.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    /// `bytes[start..end]` is received and not handled.
    start: usize,
    end: usize,
    /// Bytes to leave out, of a message that broke a rule.
    skip: usize,
}

/// What the front of the received bytes is.
enum Front {
    Partial { total: usize },
    Whole { total: usize },
    Skip { total: usize },
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; ROOM_BYTES],
            start: 0,
            end: 0,
            skip: 0,
        }
    }

    /// Forgets the bytes of the last connection.
    pub(crate) fn clear(&mut self) {
        (self.start, self.end, self.skip) = (0, 0, 0);
    }

    /// Where the next bytes go; never empty after [`Inbox::next`] gave none.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// This many bytes came into [`Inbox::room`].
    pub(crate) fn on_received(&mut self, bytes: usize) {
        self.end += bytes;
        assert!(self.end <= self.bytes.len(), "received beyond the room");
    }

    /// The next whole message and its body.
    ///
    /// # Errors
    /// When the stream makes no sense any more.
    pub(crate) fn next(&mut self, cluster: u128) -> Result<Option<(Message<'_>, &[u8])>, Fault> {
        loop {
            let here = self.skip.min(self.end - self.start);
            self.start += here;
            self.skip -= here;
            match self.front(cluster)? {
                Front::Skip { total } => self.skip = total,
                Front::Partial { total } => {
                    self.make_room(total);
                    return Ok(None);
                }
                Front::Whole { total } => {
                    let message = &self.bytes[self.start..self.start + total];
                    self.start += total;
                    let (header, body) = split(message);
                    return match parse_header(header, cluster) {
                        Ok(message) => {
                            verify_body(frame_of(&message), body)?;
                            Ok(Some((message, body)))
                        }
                        Err(Rejection::Close(fault) | Rejection::Ignore { fault, .. }) => {
                            Err(fault)
                        }
                    };
                }
            }
        }
    }

    fn front(&self, cluster: u128) -> Result<Front, Fault> {
        let there = &self.bytes[self.start..self.end];
        if self.skip > 0 || there.len() < MESSAGE_HEADER_BYTES {
            let total = MESSAGE_HEADER_BYTES;
            return Ok(Front::Partial { total });
        }
        let (header, _) = split(there);
        match parse_header(header, cluster) {
            Ok(message) => {
                let total = frame_of(&message).size.get() as usize;
                Ok(if there.len() < total {
                    Front::Partial { total }
                } else {
                    Front::Whole { total }
                })
            }
            Err(Rejection::Ignore {
                message_bytes: total,
                fault,
            }) => {
                tracing::debug!(%fault, "message of the server ignored");
                Ok(Front::Skip { total })
            }
            Err(Rejection::Close(fault)) => Err(fault),
        }
    }

    /// Room for a message of this many bytes, of which some may be there.
    fn make_room(&mut self, total: usize) {
        assert!(total <= MESSAGE_BYTES_MAX, "sizes are checked");
        let wanted = total.max(ROOM_BYTES);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start + wanted > self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if wanted > self.bytes.len() {
            self.bytes.resize(wanted, 0);
        }
    }
}

fn split(message: &[u8]) -> (&HeaderBytes, &[u8]) {
    message
        .split_first_chunk()
        .expect("a whole header is there")
}

fn frame_of<'a>(message: &Message<'a>) -> &'a Frame {
    match message {
        Message::Ping(header) => &header.frame,
        Message::Pong(header) => &header.frame,
        Message::Request(header) => &header.frame,
        Message::Reply(header) => &header.frame,
        Message::Eviction(header) => &header.frame,
        Message::Refusal(header) => &header.frame,
    }
}

#[cfg(test)]
mod tests {
    use giro_base::{Operation, checksum};
    use giro_wire::{NewReply, Release, ReplyHeader};
    use zerocopy::IntoBytes;

    use super::*;

    fn reply(number: u32, body: &[u8]) -> Vec<u8> {
        let new = NewReply {
            cluster: 0,
            view: 1,
            release: Release::DEVELOPMENT,
            request_checksum: 1,
            client: 5,
            op: 9,
            timestamp: 9,
            request: number,
            operation: Operation::LookupAccounts,
        };
        let mut message = ReplyHeader::build(&new, body).as_bytes().to_vec();
        message.extend_from_slice(body);
        message
    }

    /// What comes out of a stream that arrives in pieces of this size.
    fn fed(stream: &[u8], piece: usize) -> (Vec<(u32, usize)>, Option<Fault>) {
        let mut inbox = Inbox::new();
        let mut found = Vec::new();
        let mut left = stream;
        loop {
            match inbox.next(0) {
                Ok(Some((Message::Reply(header), body))) => {
                    found.push((header.request.get(), body.len()));
                }
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) if left.is_empty() => return (found, None),
                Ok(None) => {
                    let room = inbox.room();
                    let bytes = piece.min(room.len()).min(left.len());
                    assert!(bytes > 0, "there is always room");
                    room[..bytes].copy_from_slice(&left[..bytes]);
                    left = &left[bytes..];
                    inbox.on_received(bytes);
                }
                Err(fault) => return (found, Some(fault)),
            }
        }
    }

    #[test]
    fn cuts_do_not_matter_and_broken_rules_are_skipped() {
        let sizes = [0, 16, 70_000, 3, giro_base::limits::BODY_BYTES_MAX, 100];
        let mut stream = Vec::new();
        for (number, bytes) in (1..).zip(sizes) {
            stream.extend(reply(number, &vec![number as u8; bytes]));
            let mut broken = reply(99, &[1; 500]);
            broken[112] = 1;
            let sum = checksum(&broken[16..256]);
            broken[..16].copy_from_slice(&sum.to_le_bytes());
            stream.extend(broken);
        }
        let expected: Vec<_> = (1..).zip(sizes).collect();
        for piece in [61, 256, 4096, 1 << 20] {
            assert_eq!(fed(&stream, piece), (expected.clone(), None), "{piece}");
        }
    }

    #[test]
    fn damage_ends_the_stream() {
        for (at, fault) in [(300, Fault::BodyChecksum), (40, Fault::HeaderChecksum)] {
            let mut stream = reply(1, &[7; 16]);
            let mut bad = reply(2, &[7; 100]);
            bad[at] ^= 1;
            stream.extend(bad);
            assert_eq!(fed(&stream, 100), (vec![(1, 16)], Some(fault)));
        }
    }
}
