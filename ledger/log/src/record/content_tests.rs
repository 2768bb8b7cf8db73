//! Property tests of the record codec.

use giro_base::limits::SECTOR_BYTES;
use giro_base::{Buffer, BufferPool};
use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::super::LogId;
use super::super::header::{Mark, RECORD_VERSION, RECORD_VERSION_MARKED};
use super::*;

const ID: LogId = LogId {
    cluster: 7,
    tag: 0x1234_5678_9abc_def0,
};
const SEGMENT: u64 = 3;

/// A sealed record with such bodies, in a buffer full of garbage elsewhere.
fn record(bodies: &[Vec<u8>]) -> Buffer {
    let mut buffer = BufferPool::new(1).unwrap().take().unwrap();
    buffer.fill(0xee);
    let mut at = RECORD_HEADER_BYTES;
    for (number, body) in bodies.iter().enumerate() {
        let op = OpHeader {
            checksum_body: checksum(body),
            client: number as u128,
            op: number as u64,
            body_bytes: u32::try_from(body.len()).unwrap(),
            ..OpHeader::default()
        };
        buffer[at..][..OP_HEADER_BYTES].copy_from_slice(op.sealed().as_bytes());
        buffer[at + OP_HEADER_BYTES..][..body.len()].copy_from_slice(body);
        at += op_bytes(body.len());
    }
    let mut scratch = Scratch::new();
    let padded = at.next_multiple_of(SECTOR_BYTES);
    let op_count = u32::try_from(bodies.len()).unwrap();
    let content_checksum = seal(&mut buffer[..padded], at, op_count, &mut scratch);
    let mut header = RecordHeader {
        checksum: 0,
        content_checksum,
        previous_checksum: 9,
        cluster: ID.cluster,
        tag: ID.tag,
        index: 12,
        term: 1,
        first_op: 0,
        timestamp: 5,
        durable_index: 11,
        segment: SEGMENT,
        op_count,
        bytes: u32::try_from(at).unwrap(),
        group: 0,
        version: RECORD_VERSION,
        mark: Mark::default(),
        reserved: [0; 80],
    };
    header.checksum = header.checksum_now();
    buffer[..RECORD_HEADER_BYTES].copy_from_slice(header.as_bytes());
    buffer
}

fn check(bytes: &[u8]) -> Result<(), Defect> {
    let header = RecordHeader::find(bytes, &ID, SEGMENT).ok_or(Defect::NoHeader)?;
    header.check()?;
    validate(header, &bytes[..header.padded_bytes()], &mut Scratch::new())
}

fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..700), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_sealed_record_is_valid_and_gives_its_ops_back(bodies in bodies()) {
        let buffer = record(&bodies);
        prop_assert_eq!(check(&buffer), Ok(()));
        let back: Vec<_> = ops(&buffer).map(|(_, body)| buffer[body].to_vec()).collect();
        prop_assert_eq!(back, bodies);
    }

    #[test]
    fn no_changed_bit_goes_unseen(
        bodies in bodies(), place in any::<proptest::sample::Index>(), bit in 0..8
    ) {
        let mut buffer = record(&bodies);
        let padded = RecordHeader::view(&buffer).unwrap().padded_bytes();
        buffer[place.index(padded)] ^= 1_u8 << bit;
        prop_assert!(check(&buffer).is_err());
    }

    #[test]
    fn garbage_behind_a_good_header_is_refused_without_panic(
        count in 0_u32..5000,
        bytes in any::<u32>(),
        seed in proptest::collection::vec(any::<u8>(), 64)
    ) {
        let mut buffer = record(&[]);
        for (place, byte) in buffer[RECORD_HEADER_BYTES..].iter_mut().enumerate() {
            *byte = seed[place % 64] & seed[place / 64 % 64];
        }
        let mut header = *RecordHeader::view(&buffer).unwrap();
        (header.op_count, header.bytes) = (count, bytes);
        header.checksum = header.checksum_now();
        buffer[..RECORD_HEADER_BYTES].copy_from_slice(header.as_bytes());
        prop_assert!(check(&buffer).is_err());
    }
}

#[test]
fn a_header_is_found_only_in_its_ledger_and_segment() {
    let buffer = record(&[vec![1; 100]]);
    assert!(RecordHeader::find(&buffer, &ID, SEGMENT).is_some());
    assert!(RecordHeader::find(&buffer, &ID, SEGMENT + 1).is_none());
    for other in [LogId { cluster: 8, ..ID }, LogId { tag: 1, ..ID }] {
        assert!(RecordHeader::find(&buffer, &other, SEGMENT).is_none());
    }
    assert!(RecordHeader::find(&buffer[..255], &ID, SEGMENT).is_none());
}

#[test]
fn headers_out_of_bounds_are_refused() {
    let good = *RecordHeader::view(&record(&[vec![1; 100]])).unwrap();
    assert_eq!(good.check(), Ok(()));
    let bad = [
        RecordHeader { version: 3, ..good },
        RecordHeader { group: 1, ..good },
        RecordHeader { bytes: 255, ..good },
        RecordHeader {
            bytes: u32::MAX,
            ..good
        },
        RecordHeader {
            op_count: 3,
            ..good
        },
        RecordHeader { index: 0, ..good },
        RecordHeader {
            durable_index: 12,
            ..good
        },
        RecordHeader {
            reserved: [1; 80],
            ..good
        },
        RecordHeader {
            mark: Mark {
                vote: 1,
                ..Mark::default()
            },
            ..good
        },
    ];
    for header in bad {
        assert!(header.check().is_err(), "{header:?}");
    }
}

#[test]
fn a_mark_is_kept_and_bounded() {
    let good = *RecordHeader::view(&record(&[vec![1; 100]])).unwrap();
    let mark = Mark {
        kind: Mark::KIND_MAX,
        reserved: [0; 3],
        entry: u64::MAX,
        entry_term: 1,
        vote: 3,
        commit: 7,
    };
    let marked = RecordHeader {
        version: RECORD_VERSION_MARKED,
        mark,
        ..good
    };
    assert_eq!(marked.check(), Ok(()));
    let refused = |mark: Mark| {
        let checked = RecordHeader { mark, ..marked }.check();
        assert_eq!(checked, Err(Defect::Header("Raft mark")));
    };
    let (kind, reserved, entry_term) = (Mark::KIND_MAX + 1, [0, 1, 0], 2);
    refused(Mark { kind, ..mark });
    refused(Mark { reserved, ..mark });
    refused(Mark { entry_term, ..mark });
}

#[test]
fn ops_of_a_payload_are_checked_one_by_one() {
    let bodies = vec![vec![1; 100], vec![], vec![3; 64]];
    let mut buffer = record(&bodies);
    let end = RecordHeader::view(&buffer).unwrap().bytes as usize;
    let found = ops_of_payload(&buffer[RECORD_HEADER_BYTES..end]).unwrap();
    let found: Vec<_> = found.iter().map(|(_, body)| body.to_vec()).collect();
    assert_eq!(found, bodies);
    let cut = ops_of_payload(&buffer[RECORD_HEADER_BYTES..end - 64]);
    assert!(matches!(cut, Err(Defect::OpHeader { op: 2, .. })));
    let first_body = RECORD_HEADER_BYTES + OP_HEADER_BYTES;
    buffer[first_body + 100] = 1;
    let padding = ops_of_payload(&buffer[RECORD_HEADER_BYTES..end]);
    assert!(matches!(padding, Err(Defect::Padding { .. })));
    buffer[first_body] = 9;
    let body = ops_of_payload(&buffer[RECORD_HEADER_BYTES..end]);
    assert!(matches!(body, Err(Defect::OpBody { op: 0, .. })));
}
