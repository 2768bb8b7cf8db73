//! Frames between nodes: any bytes are judged, none panics, not even when the checksums are right
//! and a group takes them.
#![no_main]

use bytes::Bytes;
use giro_base::checksum;
use giro_replication::codec::{HEADER_BYTES, Header, Kind, decode};
use giro_replication::{Group, Member, Members, Options, Output, ReceiveError, Start};
use libfuzzer_sys::fuzz_target;
use zerocopy::{FromBytes, IntoBytes};

fuzz_target!(|input: &[u8]| {
    let _ = decode(&Bytes::copy_from_slice(input));
    receive(group(INCARNATION), input);
    receive(group(0), input);
});

/// Every node's.
const INCARNATION: u64 = 7;

fn receive(mut group: Group, input: &[u8]) {
    // A few frames one behind the other, each with the right checksums.
    let mut rest = input;
    for _ in 0..8 {
        let Some((frame, behind)) = resealed(rest) else {
            break;
        };
        rest = behind;
        match group.receive(&frame) {
            Err(ReceiveError::Stop(_)) => return,
            Ok(()) | Err(ReceiveError::Refused(_)) => {}
        }
        let mut out = Output::default();
        if group.poll(&mut out).is_err() {
            return;
        }
        for write in out.writes {
            group.persisted(write.number);
        }
    }
}

/// A follower of a group of three that know each other, or of one that has not begun.
fn group(incarnation: u64) -> Group {
    let member = |id| Member {
        id,
        incarnation,
        name: String::new(),
    };
    let members = Members::of_voters(vec![member(1), member(2), member(3)]);
    let options = Options {
        node: 2,
        incarnation: INCARNATION,
        ..Options::default()
    };
    Group::new(options, Start::new_group(members)).expect("a new group starts")
}

/// A word of a roll call has nothing beside it.
fn make_plain(header: &mut Header) {
    (header.term, header.index) = (1, header.index % 3);
    (header.log_term, header.commit, header.commit_term) = (0, 0, 0);
    (header.reject_hint, header.digest_index, header.priority) = (0, 0, 0);
    (
        header.entry_count,
        header.description_bytes,
        header.context_bytes,
    ) = (0, 0, 0);
    header.flags = 0;
    if header.index != 1 {
        header.digest = 0;
    }
    header.known = if header.index == 2 {
        header.known % 16
    } else {
        0
    };
}

/// The first frame of these bytes with everything fixed that would only say "damaged", and what
/// lies behind it.
fn resealed(bytes: &[u8]) -> Option<(Bytes, &[u8])> {
    let (head, behind) = bytes.split_at_checked(HEADER_BYTES)?;
    let mut header = Header::read_from_bytes(head).ok()?;
    header.magic = u32::from_le_bytes(*b"GIRP");
    (header.version, header.group, header.cluster) = (1, 0, 0);
    (header.from, header.to, header.incarnation) = (header.from % 4 + 1, 2, INCARNATION);
    header.origin = 0;
    header.term &= 0xf;
    header.log_term &= 0xf;
    header.index &= 0xf;
    header.commit &= 0xf;
    header.entry_count &= 3;
    header.description_bytes &= 0x1ff;
    if header.kind() == Some(Kind::RollCall) {
        make_plain(&mut header);
    } else {
        header.known = 0;
    }
    let rest = header.rest_bytes();
    let (rest, behind) = behind.split_at_checked(rest)?;
    header.bytes = (HEADER_BYTES + rest.len()) as u32;
    header.checksum_rest = checksum(rest);
    header.checksum = checksum(&header.as_bytes()[16..]);
    let frame = [header.as_bytes(), rest].concat();
    Some((frame.into(), behind))
}
