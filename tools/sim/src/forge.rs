//! Bytes that have right checksums and are not what they should be.

use bytes::Bytes;
use giro_base::limits::OP_HEADER_BYTES;
use giro_base::{Operation, Transfer, checksum};
use giro_log::{OpHeader, op_bytes, ops_of_valid_payload};
use giro_node::aligned;
use giro_replication::Payload;
use giro_replication::codec::{HEADER_BYTES, Header, Kind, decode};
use zerocopy::{FromBytes, IntoBytes};

/// Bytes of an entry's descriptor in a frame.
const DESCRIPTOR_BYTES: usize = 48;

/// The frame with one byte of its first payload changed, all of the frame's own checksums right.
/// None when it has no payload with ops.
#[must_use]
pub fn garbage(frame: &Bytes, at: usize) -> Option<Bytes> {
    with_payload(frame, |payload| {
        let at = at % payload.len();
        payload[at] ^= 0x11;
    })
}

/// The frame with another payment in its first entry, which nobody can tell from the right one.
#[must_use]
pub fn other_entry(frame: &Bytes) -> Option<Bytes> {
    with_payload(frame, |payload| {
        let other = other_payload(&aligned(payload));
        payload.copy_from_slice(&other.bytes);
    })
}

/// The frame with a vote instead of its refusal.
#[must_use]
pub fn granted(frame: &Bytes) -> Option<Bytes> {
    let mut header = header_of(frame);
    let is_vote = matches!(header.kind(), Some(Kind::VoteAnswer | Kind::PreVoteAnswer));
    if !is_vote || !header.is_reject() {
        return None;
    }
    header.flags = 0;
    let mut bytes = frame.to_vec();
    seal(&mut bytes, header);
    Some(bytes.into())
}

/// Ops like these, with another amount in the first payment that has one.
#[must_use]
pub fn other_payload(payload: &Bytes) -> Payload {
    let mut bytes = payload.to_vec();
    let mut at = 0;
    for (header, body) in ops_of_valid_payload(payload) {
        let is_payment = header.operation == u8::from(Operation::CreateTransfersUnbatched);
        let amount = std::mem::offset_of!(Transfer, amount);
        if is_payment && body[amount] != 0 {
            let mut body = body.to_vec();
            body[amount] ^= 0x80;
            let sealed = OpHeader {
                checksum_body: checksum(&body),
                ..*header
            };
            let place = &mut bytes[at..];
            place[..OP_HEADER_BYTES].copy_from_slice(sealed.sealed().as_bytes());
            place[OP_HEADER_BYTES..][..body.len()].copy_from_slice(&body);
            break;
        }
        at += op_bytes(body.len());
    }
    Payload::new(aligned(&bytes))
}

fn header_of(frame: &Bytes) -> Header {
    Header::read_from_bytes(&frame[..HEADER_BYTES]).expect("a frame has a header")
}

fn with_payload(frame: &Bytes, change: impl FnOnce(&mut [u8])) -> Option<Bytes> {
    let incoming = decode(frame).expect("nodes send frames");
    let mut entries = incoming.entries().into_iter().enumerate();
    let (place, entry) = entries.find(|(_, entry)| {
        entry.kind == giro_replication::EntryKind::Ops && !entry.payload.bytes.is_empty()
    })?;
    let before = incoming.entries()[..place]
        .iter()
        .map(|entry| entry.payload.bytes.len())
        .sum::<usize>();
    let header = incoming.header;
    let start = HEADER_BYTES + header.rest_bytes() + before;
    let mut bytes = frame.to_vec();
    let payload = &mut bytes[start..start + entry.payload.bytes.len()];
    change(payload);
    let sum = checksum(payload);
    let descriptor = HEADER_BYTES + place * DESCRIPTOR_BYTES;
    bytes[descriptor..descriptor + 16].copy_from_slice(&sum.to_le_bytes());
    seal(&mut bytes, header);
    Some(bytes.into())
}

/// Makes the checksums right.
fn seal(bytes: &mut [u8], mut header: Header) {
    let rest = HEADER_BYTES..HEADER_BYTES + header.rest_bytes();
    header.checksum_rest = checksum(&bytes[rest]);
    header.checksum = checksum(&header.as_bytes()[16..]);
    bytes[..HEADER_BYTES].copy_from_slice(header.as_bytes());
}
