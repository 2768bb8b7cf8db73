//! From frames to the library's messages.

use bytes::Bytes;
use giro_base::checksum;
use raft::eraftpb::{Message, MessageType, Snapshot};
use zerocopy::FromBytes;

use super::encode::HANDED_OVER;
use super::header::{DESCRIPTOR_BYTES, Descriptor, HEADER_BYTES, Header, KINDS, Kind};
use super::pieces::Reader;
use super::{BadFrame, Incoming};
use crate::change::Change;
use crate::entry::{Entry, EntryKind, Payload};
use crate::group::Checkpoint;
use crate::limits::{ENTRY_BYTES_MAX, MANIFEST_BYTES_MAX, NUMBER_MAX};
use crate::members::Members;

/// What stands between header and payloads, validated: a receiver that wants payloads in memory of
/// their own learns here how long each is.
#[derive(Debug)]
pub struct Rest {
    header: Header,
    descriptors: Vec<(Descriptor, EntryKind)>,
    context: Bytes,
    description: Option<(Bytes, Checkpoint)>,
}

/// The message in the bytes of a whole frame. Payloads share their memory.
///
/// # Errors
/// When they are no frame.
pub fn decode(frame: &Bytes) -> Result<Incoming, BadFrame> {
    decode_with(frame, |payload| payload)
}

/// As [`decode`], with each payload where `place` puts it: for receivers that need them aligned.
///
/// # Errors
/// As [`decode`].
pub fn decode_with(
    frame: &Bytes,
    mut place: impl FnMut(Bytes) -> Bytes,
) -> Result<Incoming, BadFrame> {
    let found = frame.len();
    let short = |expected| BadFrame::Length { found, expected };
    let header = frame.first_chunk().ok_or(short(HEADER_BYTES))?;
    let header = Header::parse(header)?;
    let expected = header.bytes as usize;
    if found != expected {
        return Err(short(expected));
    }
    let mut at = HEADER_BYTES + header.rest_bytes();
    let rest = frame.get(HEADER_BYTES..at).ok_or(short(expected))?;
    let rest = Rest::parse(header, rest)?;
    let payloads = rest.payload_lengths().map(|bytes| {
        at += bytes;
        place(frame.slice(at - bytes..at))
    });
    let payloads = payloads.collect();
    rest.finish(payloads)
}

impl Rest {
    /// Reads what stands behind the header; `bytes` are [`Header::rest_bytes`].
    ///
    /// # Errors
    /// When they are damaged, or entries are not in order.
    pub fn parse(header: Header, bytes: &[u8]) -> Result<Self, BadFrame> {
        if bytes.len() != header.rest_bytes() || checksum(bytes) != header.checksum_rest {
            return Err(BadFrame::Rest);
        }
        let mut reader = Reader(bytes);
        let descriptors = descriptors(&header, &mut reader)?;
        let context = reader.take(usize::from(header.context_bytes));
        let context = Bytes::copy_from_slice(context.ok_or(BadFrame::Rest)?);
        let description = if header.description_bytes > 0 {
            let bytes = Bytes::copy_from_slice(reader.0);
            let checkpoint = decode_description(&bytes).ok_or(BadFrame::Field("description"))?;
            Some((bytes, checkpoint))
        } else {
            None
        };
        Ok(Self {
            header,
            descriptors,
            context,
            description,
        })
    }

    /// Bytes of each entry's payload, in order.
    pub fn payload_lengths(&self) -> impl Iterator<Item = usize> + use<'_> {
        let bytes = |(descriptor, _): &(Descriptor, EntryKind)| descriptor.bytes as usize;
        self.descriptors.iter().map(bytes)
    }

    /// The message, with these payloads.
    ///
    /// # Errors
    /// When a payload is damaged.
    pub fn finish(self, payloads: Vec<Bytes>) -> Result<Incoming, BadFrame> {
        let header = self.header;
        let mut message = message(&header)?;
        let mut entries = Vec::with_capacity(payloads.len());
        for ((descriptor, kind), bytes) in self.descriptors.iter().zip(payloads) {
            let index = descriptor.index;
            let payload = Payload::new(bytes);
            if payload.checksum() != descriptor.checksum {
                return Err(BadFrame::Payload { index });
            }
            if *kind == EntryKind::Change && Change::decode(&payload.bytes).is_none() {
                return Err(BadFrame::Field("change of membership"));
            }
            let (term, kind) = (descriptor.term, *kind);
            let entry = Entry {
                index,
                term,
                kind,
                payload,
            };
            entries.push(entry.to_raft());
        }
        message.set_entries(entries.into());
        if header.kind() == Some(Kind::Vote) && !self.context.is_empty() {
            if self.context[..] != HANDED_OVER {
                return Err(BadFrame::Field("context"));
            }
            message.context = Bytes::from_static(raft::CAMPAIGN_TRANSFER);
        } else {
            message.context = self.context;
        }
        if let Some((bytes, checkpoint)) = self.description {
            message.set_snapshot(snapshot(bytes, &checkpoint));
        }
        Ok(Incoming { header, message })
    }
}

fn descriptors(
    header: &Header,
    reader: &mut Reader<'_>,
) -> Result<Vec<(Descriptor, EntryKind)>, BadFrame> {
    let (mut index, mut term) = (header.index, header.log_term);
    // Only before the first entry is there no term. The library would take it for that of an entry
    // that this node does not have.
    if header.kind() == Some(Kind::Append) && index > 0 && term == 0 {
        return Err(BadFrame::Field("term before the entries"));
    }
    let mut bytes = 0;
    let mut found = Vec::with_capacity(header.entry_count as usize);
    for _ in 0..header.entry_count {
        let descriptor = reader.take(DESCRIPTOR_BYTES).ok_or(BadFrame::Rest)?;
        let descriptor = Descriptor::read_from_bytes(descriptor).map_err(|_| BadFrame::Rest)?;
        let kind = EntryKind::from_number(descriptor.kind);
        let kind = kind.ok_or(BadFrame::Field("entry's kind"))?;
        index += 1;
        if descriptor.index != index {
            return Err(BadFrame::Field("entry's index"));
        }
        // Terms rise along a log, and none is later than its leader's.
        if descriptor.term == 0 || descriptor.term < term || descriptor.term > header.term {
            return Err(BadFrame::Field("entry's term"));
        }
        term = descriptor.term;
        if descriptor.reserved != [0; 11] {
            return Err(BadFrame::Field("reserved part of an entry"));
        }
        if kind == EntryKind::Empty && descriptor.bytes > 0 {
            return Err(BadFrame::Field("entry's length"));
        }
        // Each is bounded, so the sum of so few cannot overflow.
        bytes += (descriptor.bytes as usize).min(ENTRY_BYTES_MAX + 1);
        found.push((descriptor, kind));
    }
    if bytes != header.payload_bytes() {
        return Err(BadFrame::Field("entries' lengths"));
    }
    Ok(found)
}

fn message(header: &Header) -> Result<Message, BadFrame> {
    let kind = header.kind().ok_or(BadFrame::Field("kind"))?;
    // A roll call is none of the library's messages, and never given to it.
    let known = KINDS.iter().find(|(found, _)| *found == kind);
    let mut message = Message::default();
    message.set_msg_type(known.map_or(MessageType::MsgHup, |(_, kind)| *kind));
    (message.from, message.to) = (header.from, header.to);
    (message.term, message.log_term) = (header.term, header.log_term);
    (message.index, message.commit) = (header.index, header.commit);
    (message.commit_term, message.reject_hint) = (header.commit_term, header.reject_hint);
    message.priority = header.priority.cast_signed();
    message.reject = header.is_reject();
    Ok(message)
}

pub(crate) fn snapshot(description: Bytes, checkpoint: &Checkpoint) -> Snapshot {
    let mut snapshot = Snapshot {
        data: description,
        ..Snapshot::default()
    };
    let metadata = snapshot.mut_metadata();
    (metadata.index, metadata.term) = (checkpoint.index, checkpoint.term);
    metadata.set_conf_state(checkpoint.members.conf_state());
    snapshot
}

/// The checkpoint that these bytes describe, if they do.
pub(crate) fn decode_description(bytes: &[u8]) -> Option<Checkpoint> {
    let mut reader = Reader(bytes);
    let (index, term) = (reader.u64()?, reader.u64()?);
    let (members, manifest) = (reader.u32()? as usize, reader.u32()? as usize);
    let members = Members::decode(reader.take(members)?)?;
    let manifest = reader.take(manifest)?;
    let numbers = (1..=NUMBER_MAX).contains(&index) && (1..=NUMBER_MAX).contains(&term);
    if !reader.is_empty() || !numbers || manifest.len() > MANIFEST_BYTES_MAX {
        return None;
    }
    Some(Checkpoint {
        index,
        term,
        members,
        manifest: Bytes::copy_from_slice(manifest),
    })
}
