#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use bytes::Bytes;
use giro_base::checksum;
use proptest::prelude::*;
use raft::eraftpb::{Message, MessageType};
use zerocopy::IntoBytes;

use super::header::{DESCRIPTOR_BYTES, KINDS};
use super::*;
use crate::change::Change;
use crate::entry::{Entry, EntryKind, Payload};
use crate::group::Checkpoint;
use crate::limits::{APPEND_ENTRIES_MAX, ENTRY_BYTES_MAX, NUMBER_MAX};
use crate::members::{Member, Members};
use crate::roll::Word;

const SENDER: Sender = Sender {
    cluster: 77,
    origin: 0xb00c,
    incarnation: 0xfeed,
    digest: (32, 99),
    holds_back: false,
};

#[test]
fn a_sender_without_room_says_so_whatever_else_it_says() {
    for (holds_back, reject) in [(false, false), (false, true), (true, false), (true, true)] {
        let sender = Sender {
            holds_back,
            ..SENDER
        };
        let mut message = message(MessageType::MsgAppendResponse);
        message.reject = reject;
        let header = decode(&encode(&sender, &message).unwrap().to_bytes());
        let header = header.unwrap().header;
        assert_eq!(
            (header.holds_back(), header.is_reject()),
            (holds_back, reject)
        );
    }
}

fn member(id: u64) -> Member {
    let (incarnation, name) = (id * 7, format!("node{id}.example:300{id}"));
    Member {
        id,
        incarnation,
        name,
    }
}

fn members() -> Members {
    Members::of_voters(vec![member(1), member(2), member(5)])
}

fn entry(index: u64, term: u64, content: &[u8]) -> Entry {
    Entry {
        index,
        term,
        kind: EntryKind::Ops,
        payload: Payload::new(Bytes::copy_from_slice(content)),
    }
}

fn message(kind: MessageType) -> Message {
    let mut message = Message::default();
    message.set_msg_type(kind);
    (message.from, message.to, message.term) = (1, 2, 9);
    message
}

fn append(entries: &[Entry]) -> Message {
    let mut message = message(MessageType::MsgAppend);
    message.index = entries.first().map_or(4, |entry| entry.index - 1);
    message.log_term = entries.first().map_or(3, |entry| entry.term);
    message.set_entries(
        entries
            .iter()
            .map(Entry::to_raft)
            .collect::<Vec<_>>()
            .into(),
    );
    message
}

fn offer(manifest: &'static [u8]) -> Message {
    let checkpoint = Checkpoint {
        index: 40,
        term: 3,
        members: members(),
        manifest: Bytes::from_static(manifest),
    };
    let mut message = message(MessageType::MsgSnapshot);
    let description = encode_description(&checkpoint);
    message.set_snapshot(snapshot(description.into(), &checkpoint));
    message
}

fn there_and_back(message: &Message) -> Incoming {
    let frame = encode(&SENDER, message).expect("a message between nodes");
    decode(&frame.to_bytes()).unwrap()
}

/// Puts the right checksums over changed bytes.
fn resealed(mut frame: Vec<u8>) -> Bytes {
    let mut header = zerocopy::FromBytes::read_from_bytes(&frame[..HEADER_BYTES]).unwrap();
    let Header { .. } = header;
    let rest = (HEADER_BYTES + header.rest_bytes()).min(frame.len());
    header.checksum_rest = checksum(&frame[HEADER_BYTES..rest]);
    header.checksum = checksum(&header.as_bytes()[16..]);
    frame[..HEADER_BYTES].copy_from_slice(header.as_bytes());
    frame.into()
}

fn sample(kind: MessageType) -> Message {
    match kind {
        MessageType::MsgAppend => append(&[entry(5, 3, b"first"), entry(6, 9, b"")]),
        MessageType::MsgSnapshot => offer(b"manifest"),
        kind => message(kind),
    }
}

proptest! {
    #[test]
    fn every_kind_of_message_comes_back_as_it_was(
        numbers in prop::array::uniform7(0..=NUMBER_MAX),
        (from, to, priority) in (1..u64::MAX, 1..u64::MAX, any::<i64>()),
        reject in any::<bool>(),
        name in prop::option::of(any::<u64>()),
        place in 0..KINDS.len(),
    ) {
        let kind = KINDS[place].1;
        let mut message = sample(kind);
        (message.from, message.to, message.priority) = (from, to, priority);
        message.term = numbers[0].max(9);
        (message.commit, message.commit_term) = (numbers[1], numbers[2]);
        (message.reject_hint, message.reject) = (numbers[3], reject);
        if kind != MessageType::MsgAppend {
            (message.index, message.log_term) = (numbers[4], numbers[5]);
        }
        let named = [MessageType::MsgHeartbeat, MessageType::MsgHeartbeatResponse];
        if let Some(name) = name.filter(|_| named.contains(&kind)) {
            message.context = name.to_le_bytes().to_vec().into();
        }
        let came = there_and_back(&message);
        prop_assert_eq!(&came.message, &message);
        prop_assert_eq!(came.header.cluster, SENDER.cluster);
        prop_assert_eq!((came.header.digest_index, came.header.digest), SENDER.digest);
        prop_assert_eq!(came.header.incarnation, SENDER.incarnation);
    }

    #[test]
    fn entries_come_back_as_they_were(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..40),
        first in 1..NUMBER_MAX / 2,
    ) {
        let entries: Vec<_> = contents.iter().zip(first..)
            .map(|(content, index)| entry(index, 9, content)).collect();
        let came = there_and_back(&append(&entries));
        prop_assert_eq!(came.entries(), entries);
    }

    #[test]
    fn one_changed_byte_anywhere_is_noticed(
        place in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let frame = encode(&SENDER, &sample(MessageType::MsgAppend)).unwrap().to_bytes();
        let mut bytes = frame.to_vec();
        bytes[place.index(frame.len())] ^= flip;
        prop_assert!(decode(&bytes.into()).is_err());
    }

    #[test]
    fn resealed_nonsense_is_refused_or_a_frame(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        place in 0..KINDS.len(),
    ) {
        let mut bytes = encode(&SENDER, &sample(KINDS[place].1)).unwrap().to_bytes().to_vec();
        for (place, value) in changes {
            let length = bytes.len();
            bytes[place.index(length)] = value;
        }
        if let Ok(came) = decode(&resealed(bytes)) {
            prop_assert!(came.header.term > 0 && came.header.from > 0);
        }
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(decode(&bytes.into()).is_err());
    }
}

#[test]
fn a_change_of_membership_travels_in_our_own_encoding() {
    for change in [
        Change::Leave,
        Change::AddLearner(member(6)),
        Change::Promote(6),
        Change::Replace {
            promote: 6,
            remove: 2,
        },
        Change::Remove(5),
        Change::Bind {
            id: 4,
            incarnation: 77,
            is_learner: true,
        },
    ] {
        let payload = Payload::new(change.encode().into());
        let (index, term, kind) = (5, 9, EntryKind::Change);
        let entry = Entry {
            index,
            term,
            kind,
            payload,
        };
        let came = there_and_back(&append(std::slice::from_ref(&entry)));
        assert_eq!(came.entries(), [entry]);
        assert_eq!(came.entries()[0].change(), change);
        // The library's parser must never see these bytes.
        assert!(came.message.get_entries()[0].data.is_empty());
    }
}

#[test]
fn a_new_leaders_empty_entry_stays_empty() {
    let payload = Payload::new(Bytes::new());
    let (index, term, kind) = (5, 9, EntryKind::Empty);
    let empty = Entry {
        index,
        term,
        kind,
        payload,
    };
    let no_ops = entry(6, 9, b"");
    let entries = [empty, no_ops];
    let came = there_and_back(&append(&entries)).entries();
    assert_eq!(came, entries);
    assert_eq!(came[1].kind, EntryKind::Ops);
}

#[test]
fn a_handed_over_candidacy_is_marked() {
    let mut message = message(MessageType::MsgRequestVote);
    message.context = Bytes::from_static(raft::CAMPAIGN_TRANSFER);
    assert_eq!(there_and_back(&message).message, message);
    let mut bytes = encode(&SENDER, &message).unwrap().head;
    bytes[HEADER_BYTES] ^= 1;
    assert_eq!(decode(&resealed(bytes)), Err(BadFrame::Field("context")));
}

#[test]
fn a_payload_is_sent_from_where_it_lies() {
    let entry = entry(5, 9, &[7; 5000]);
    let frame = encode(&SENDER, &append(std::slice::from_ref(&entry))).unwrap();
    assert_eq!(frame.payloads[0].as_ptr(), entry.payload.bytes.as_ptr());
    let whole = frame.to_bytes();
    let came = decode(&whole).unwrap().entries();
    let from = whole.len() - 5000;
    assert_eq!(came[0].payload.bytes.as_ptr(), whole[from..].as_ptr());
}

#[test]
fn messages_of_the_library_to_itself_have_no_frame() {
    for kind in [
        MessageType::MsgHup,
        MessageType::MsgBeat,
        MessageType::MsgPropose,
        MessageType::MsgUnreachable,
        MessageType::MsgSnapStatus,
        MessageType::MsgCheckQuorum,
        MessageType::MsgTransferLeader,
        MessageType::MsgReadIndex,
        MessageType::MsgReadIndexResp,
    ] {
        assert!(encode(&SENDER, &message(kind)).is_none(), "{kind:?}");
    }
}

#[test]
fn more_entries_than_a_frame_takes_stay_behind() {
    let entries: Vec<_> = (1..=APPEND_ENTRIES_MAX as u64 + 9)
        .map(|index| entry(index, 1, b"x"))
        .collect();
    let came = there_and_back(&append(&entries)).entries();
    assert_eq!(came, entries[..APPEND_ENTRIES_MAX]);
    let large = [
        entry(1, 1, &vec![1; ENTRY_BYTES_MAX]),
        entry(2, 1, b"too much"),
    ];
    assert_eq!(there_and_back(&append(&large)).entries(), large[..1]);
}

#[test]
fn bad_frames_are_refused_with_their_reason() {
    let good = encode(&SENDER, &sample(MessageType::MsgAppend)).unwrap();
    let good = good.to_bytes().to_vec();
    let changed = |place: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[place] = value;
        decode(&resealed(bytes))
    };
    let descriptor = HEADER_BYTES + DESCRIPTOR_BYTES;
    let field = |name| Err(BadFrame::Field(name));
    assert_eq!(changed(48, b'X'), Err(BadFrame::Magic));
    let (found, expected) = (2, 1);
    assert_eq!(changed(52, 2), Err(BadFrame::Version { found, expected }));
    assert_eq!(changed(172, 0), field("kind"));
    assert_eq!(changed(172, 12), field("kind"));
    assert_eq!(changed(173, 4), field("reserved part"));
    assert_eq!(changed(184, 1), field("reserved part"));
    assert_eq!(changed(56, 0), field("node"));
    assert_eq!(changed(87, 0xff), field("term or index"));
    assert_eq!(changed(80, 0), field("term or index"));
    assert_eq!(changed(172, Kind::Vote as u8), field("entry count"));
    assert_eq!(changed(165, 0xff), field("entry count"));
    assert_eq!(changed(168, 1), field("description"));
    assert_eq!(changed(174, 8), field("context"));
    assert_eq!(changed(162, 0xff), field("length"));
    assert_eq!(changed(descriptor + 24, 9), field("entry's index"));
    assert_eq!(changed(descriptor + 16, 2), field("entry's term"));
    assert_eq!(changed(descriptor + 16, 10), field("entry's term"));
    assert_eq!(changed(descriptor + 36, 3), field("entry's kind"));
    assert_eq!(
        changed(descriptor + 37, 1),
        field("reserved part of an entry")
    );
    assert_eq!(changed(descriptor + 32, 1), field("entries' lengths"));
    let (index, length) = (5, good.len());
    assert_eq!(changed(length - 1, 0), Err(BadFrame::Payload { index }));
    let short = Bytes::copy_from_slice(&good[..length - 1]);
    let (found, expected) = (length - 1, length);
    assert_eq!(decode(&short), Err(BadFrame::Length { found, expected }));
    let (found, expected) = (7, HEADER_BYTES);
    let tiny = Bytes::copy_from_slice(&good[..7]);
    assert_eq!(decode(&tiny), Err(BadFrame::Length { found, expected }));
}

#[test]
fn a_roll_call_comes_back_as_it_was() {
    for word in [
        Word::Calls,
        Word::Agreed(1 << 100),
        Word::Begun(7),
        Word::Begun(0),
    ] {
        let frame = encode_word(&SENDER, (3, 4), word).to_bytes();
        let came = decode(&frame).unwrap();
        assert_eq!((came.header.from, came.header.to), (3, 4));
        assert_eq!(came.header.incarnation, SENDER.incarnation);
        assert_eq!(came.word(), Some(word));
    }
    let frame = encode_word(&SENDER, (3, 4), Word::Begun(7)).to_bytes();
    // Another word; what stands beside it is 0 but for the term, which is 1.
    for (place, value) in [
        (96, 3),
        (96, 1),
        (80, 2),
        (88, 1),
        (104, 1),
        (120, 1),
        (128, 1),
    ] {
        let mut other = frame.to_vec();
        other[place] = value;
        let refused = decode(&resealed(other));
        assert_eq!(refused, Err(BadFrame::Field("word")), "byte {place}");
    }
    let append = encode(&SENDER, &sample(MessageType::MsgAppend)).unwrap();
    assert_eq!(decode(&append.to_bytes()).unwrap().word(), None);
}

#[test]
fn a_checkpoints_description_is_checked_as_a_whole() {
    let came = there_and_back(&offer(b"manifest")).message;
    let description = came.get_snapshot().data.to_vec();
    let checkpoint = decode_description(&description).unwrap();
    assert_eq!((checkpoint.index, checkpoint.term), (40, 3));
    assert_eq!(checkpoint.members, members());
    assert_eq!(&checkpoint.manifest[..], b"manifest");
    for cut in 0..description.len() {
        assert_eq!(decode_description(&description[..cut]), None, "{cut}");
    }
    let mut longer = description.clone();
    longer.push(0);
    assert_eq!(decode_description(&longer), None);
    let mut no_index = description;
    no_index[..8].fill(0);
    assert_eq!(decode_description(&no_index), None);
}

#[test]
fn members_that_make_no_sense_are_refused() {
    let mut bytes = Vec::new();
    members().encode(&mut bytes);
    assert_eq!(Members::decode(&bytes), Some(members()));
    let broken = |change: fn(&mut Members)| {
        let mut members = members();
        change(&mut members);
        let mut bytes = Vec::new();
        members.encode(&mut bytes);
        Members::decode(&bytes)
    };
    assert_eq!(broken(|m| m.voters.clear()), None);
    assert_eq!(broken(|m| m.voters = vec![2, 1, 5]), None);
    assert_eq!(broken(|m| m.voters = vec![1, 2, 2, 5]), None);
    assert_eq!(broken(|m| m.id_max = 4), None);
    assert_eq!(broken(|m| m.learners = vec![5]), None);
    assert_eq!(broken(|m| m.learners_next = vec![5]), None);
    assert_eq!(broken(|m| m.known.truncate(2)), None);
    assert_eq!(broken(|m| m.known[0].id = 0), None);
    assert_eq!(broken(|m| m.known[0].name = "x".repeat(256)), None);
}

#[test]
fn entries_behind_one_without_term_are_refused() {
    let mut message = append(&[entry(5, 3, b"first")]);
    message.log_term = 0;
    let frame = encode(&SENDER, &message).unwrap().to_bytes();
    let refused = decode(&frame).map(|_| ());
    assert_eq!(refused, Err(BadFrame::Field("term before the entries")));
    message = append(&[entry(1, 3, b"first")]);
    (message.index, message.log_term) = (0, 0);
    assert_eq!(there_and_back(&message).message, message);
}
