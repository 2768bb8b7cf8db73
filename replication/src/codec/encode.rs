//! From the library's messages to frames.

use bytes::Bytes;
use giro_base::checksum;
use raft::eraftpb::{Message, MessageType};
use zerocopy::{FromZeros, IntoBytes};

use super::header::{DESCRIPTOR_BYTES, Descriptor, HEADER_BYTES, Header, KINDS};
use super::pieces::Writer;
use crate::NodeId;
use crate::entry::Entry;
use crate::group::Checkpoint;
use crate::limits::{APPEND_ENTRIES_MAX, ENTRY_BYTES_MAX};
use crate::roll::Word;

/// A frame to be sent: its parts one behind the other. Payloads share the memory of the entries.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Header, descriptors, context, description.
    pub head: Vec<u8>,
    /// The payloads.
    pub payloads: Vec<Bytes>,
}

impl Frame {
    /// Bytes of the whole frame.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.payloads.iter().map(Bytes::len).sum::<usize>()
    }

    /// Never: a frame has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The frame in one piece; a copy.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend_from_slice(&self.head);
        for payload in &self.payloads {
            bytes.extend_from_slice(payload);
        }
        bytes.into()
    }
}

/// What a frame says of its sender, beside the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) cluster: u128,
    pub(crate) origin: u64,
    pub(crate) incarnation: u64,
    pub(crate) digest: (u64, u128),
    /// It takes no entries for now.
    pub(crate) holds_back: bool,
}

/// The message's frame. None for messages that are no nodes' business: those of the library to
/// itself.
pub(crate) fn encode(sender: &Sender, message: &Message) -> Option<Frame> {
    let wanted = message.get_msg_type();
    let kind = KINDS.iter().find(|(_, kind)| *kind == wanted)?.0;
    let mut header = header_of(sender);
    (header.digest_index, header.digest) = sender.digest;
    (header.from, header.to) = (message.from, message.to);
    (header.term, header.log_term) = (message.term, message.log_term);
    (header.index, header.commit) = (message.index, message.commit);
    (header.commit_term, header.reject_hint) = (message.commit_term, message.reject_hint);
    header.priority = message.priority.cast_unsigned();
    header.kind = kind as u8;
    header.set_flags(message.reject, sender.holds_back);
    let mut head = vec![0; HEADER_BYTES];
    let mut payloads = Vec::new();
    if wanted == MessageType::MsgAppend {
        append_entries(message, &mut head, &mut payloads);
        header.entry_count = ((head.len() - HEADER_BYTES) / DESCRIPTOR_BYTES) as u32;
    }
    header.context_bytes = context(message, &mut head);
    if wanted == MessageType::MsgSnapshot {
        let description = &message.get_snapshot().data;
        head.extend_from_slice(description);
        header.description_bytes = description.len() as u32;
    }
    let payload_bytes: usize = payloads.iter().map(Bytes::len).sum();
    header.bytes = (head.len() + payload_bytes) as u32;
    Some(sealed(header, head, payloads))
}

/// The frame of what a node says in a roll call, before there is a library's message.
pub(crate) fn encode_word(sender: &Sender, (from, to): (NodeId, NodeId), word: Word) -> Frame {
    let mut header = header_of(sender);
    (header.from, header.to) = (from, to);
    header.set_word(word);
    sealed(header, vec![0; HEADER_BYTES], Vec::new())
}

fn header_of(sender: &Sender) -> Header {
    let mut header = Header::new();
    (header.cluster, header.incarnation) = (sender.cluster, sender.incarnation);
    header.origin = sender.origin;
    header
}

fn sealed(mut header: Header, mut head: Vec<u8>, payloads: Vec<Bytes>) -> Frame {
    header.checksum_rest = checksum(head.get(HEADER_BYTES..).unwrap_or_default());
    header.checksum = header.checksum_now();
    let place = head.get_mut(..HEADER_BYTES);
    place
        .expect("made by the caller")
        .copy_from_slice(header.as_bytes());
    Frame { head, payloads }
}

/// Entries up to the limit. What lies beyond stays away: the follower acknowledges what came, and
/// the leader sends the rest again.
fn append_entries(message: &Message, head: &mut Vec<u8>, payloads: &mut Vec<Bytes>) {
    let mut bytes = 0;
    for entry in message.get_entries().iter().take(APPEND_ENTRIES_MAX) {
        let entry = Entry::from_raft(entry);
        bytes += entry.payload.bytes.len();
        if bytes > ENTRY_BYTES_MAX {
            break;
        }
        let mut descriptor = Descriptor::new_zeroed();
        descriptor.checksum = entry.payload.checksum();
        (descriptor.term, descriptor.index) = (entry.term, entry.index);
        descriptor.bytes = entry.payload.bytes.len() as u32;
        descriptor.kind = entry.kind as u8;
        head.extend_from_slice(descriptor.as_bytes());
        if !entry.payload.bytes.is_empty() {
            payloads.push(entry.payload.bytes);
        }
    }
}

/// The name of a read, or the mark that leadership is handed over, which is a text in the library.
fn context(message: &Message, head: &mut Vec<u8>) -> u16 {
    let context = &message.context;
    if context.is_empty() {
        return 0;
    }
    let name = match message.get_msg_type() {
        MessageType::MsgRequestVote => HANDED_OVER,
        _ => *<&[u8; 8]>::try_from(&context[..]).expect("reads are named with eight bytes"),
    };
    head.extend_from_slice(&name);
    name.len() as u16
}

/// Context of a request for votes of a node that was handed the leadership.
pub(super) const HANDED_OVER: [u8; 8] = *b"HANDOVER";

/// The bytes that describe a checkpoint.
pub(crate) fn encode_description(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut out = Vec::new();
    let mut members = Vec::new();
    checkpoint.members.encode(&mut members);
    let mut writer = Writer(&mut out);
    writer.u64(checkpoint.index);
    writer.u64(checkpoint.term);
    writer.u32(members.len() as u32);
    writer.u32(checkpoint.manifest.len() as u32);
    out.extend_from_slice(&members);
    out.extend_from_slice(&checkpoint.manifest);
    out
}
