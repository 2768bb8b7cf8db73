//! A log written anew reads as any other.

use std::sync::Arc;

use giro_base::BufferPool;
use giro_base::limits::{OP_HEADER_BYTES, RECORD_HEADER_BYTES};
use giro_log::storage::{RealStorage, Storage};
use giro_log::{
    Identity, LogError, LogOptions, LogWriter, NewRecord, OpHeader, Recovery, SEGMENT_BYTES_MIN,
    op_bytes, ops,
};
use zerocopy::IntoBytes;

const IDENTITY: Identity = Identity {
    cluster: 3,
    replica: 0,
    replica_count: 1,
    incarnation: 0,
    hash_key: [7, 8],
    segment_bytes: SEGMENT_BYTES_MIN,
};
const BODY_BYTES: usize = 400_000;

/// A log of so many records, of one op each; three fill more than a segment.
fn write(dir: &std::path::Path, first_index: u64, count: u64) {
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let mut log = LogWriter::begin(&storage, dir, &IDENTITY, first_index).unwrap();
    let mut buffer = BufferPool::new(1).unwrap().take().unwrap();
    for op in 1..=count {
        let body = vec![op as u8; BODY_BYTES];
        let header = OpHeader {
            checksum_body: giro_base::checksum(&body),
            body_bytes: BODY_BYTES as u32,
            op,
            ..OpHeader::default()
        };
        let place = &mut buffer[RECORD_HEADER_BYTES..];
        place[..OP_HEADER_BYTES].copy_from_slice(header.sealed().as_bytes());
        place[OP_HEADER_BYTES..][..BODY_BYTES].copy_from_slice(&body);
        let record = NewRecord {
            term: 1,
            first_op: op,
            op_count: 1,
            ops_bytes: op_bytes(BODY_BYTES),
            timestamp: op,
        };
        assert_eq!(
            log.append(&mut buffer, record).unwrap(),
            first_index + op - 1
        );
    }
    log.finish().unwrap();
}

fn read(dir: &std::path::Path, first_index: u64) -> Result<Vec<(u64, u64)>, LogError> {
    let options = LogOptions {
        first_index,
        durable_index: first_index - 1,
        ..LogOptions::default()
    };
    let mut recovery = Recovery::open(dir, &IDENTITY, &options)?;
    let mut buffer = BufferPool::new(1).unwrap().take().unwrap();
    let mut found = Vec::new();
    while let Some(record) = recovery.next(&mut buffer)? {
        let op = ops(&buffer).next().unwrap().0.op;
        found.push((record.index, op));
    }
    Ok(found)
}

#[test]
fn a_log_that_is_written_anew_reads_back_from_its_first_record() {
    for first_index in [1, 2, 41] {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        write(dir.path(), first_index, 5);
        let expected: Vec<(u64, u64)> = (1..=5).map(|op| (first_index + op - 1, op)).collect();
        assert_eq!(read(dir.path(), first_index).unwrap(), expected);
        let segments = std::fs::read_dir(dir.path().join("log")).unwrap();
        assert_eq!(segments.count(), 3, "two records a segment");
    }
}

#[test]
fn a_log_that_begins_later_has_nothing_before_that() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    write(dir.path(), 41, 2);
    assert!(matches!(
        read(dir.path(), 40),
        Err(LogError::Corrupt { .. })
    ));
}
