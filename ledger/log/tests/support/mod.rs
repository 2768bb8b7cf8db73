//! What the tests of the log share: a ledger on a modelled disk, and making records for it.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub(crate) mod model;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use giro_base::limits::{OP_HEADER_BYTES, RECORD_HEADER_BYTES};
use giro_base::{Buffer, BufferPool, checksum};
use giro_log::directory::format_on;
use giro_log::storage::Storage;
use giro_log::{
    Disk, Identity, Log, LogError, LogOptions, NewRecord, OpHeader, Recovery, SEGMENT_BYTES_MIN,
    op_bytes,
};
use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;
use zerocopy::IntoBytes;

use model::Model;

pub(crate) const DIR: &str = "/ledger";

pub(crate) const IDENTITY: Identity = Identity {
    cluster: 5,
    replica: 0,
    replica_count: 1,
    incarnation: 0,
    hash_key: [11, 12],
    segment_bytes: SEGMENT_BYTES_MIN,
};

/// The bodies of a record's ops.
pub(crate) type Bodies = Vec<Vec<u8>>;

/// Sectors a record with one op and a body of `body_bytes(n)` takes is `n`.
pub(crate) fn body_bytes(sectors: usize) -> usize {
    sectors * model::SECTOR - RECORD_HEADER_BYTES - OP_HEADER_BYTES
}

pub(crate) fn segment(sequence: u64) -> PathBuf {
    Path::new(DIR).join(format!("log/{sequence:016x}.log"))
}

/// Puts ops into a buffer; what the log is to be told of them.
pub(crate) fn fill(buffer: &mut Buffer, bodies: &Bodies) -> NewRecord {
    // Whatever was in the buffer before must not matter.
    buffer.fill(0xa5);
    let mut at = RECORD_HEADER_BYTES;
    for (number, body) in bodies.iter().enumerate() {
        let op = OpHeader {
            checksum_body: checksum(body),
            client: 77,
            op: number as u64 + 1,
            body_bytes: body.len() as u32,
            operation: 146,
            ..OpHeader::default()
        };
        buffer[at..][..OP_HEADER_BYTES].copy_from_slice(op.sealed().as_bytes());
        buffer[at + OP_HEADER_BYTES..][..body.len()].copy_from_slice(body);
        at += op_bytes(body.len());
    }
    NewRecord {
        term: 1,
        first_op: 1,
        op_count: bodies.len() as u32,
        ops_bytes: at - RECORD_HEADER_BYTES,
        timestamp: 1_000,
    }
}

/// Appends a record; its write is started.
pub(crate) fn append(
    log: &mut Log,
    disk: &mut impl Disk,
    bodies: &Bodies,
) -> Result<u64, LogError> {
    let mut buffer = buffer();
    let record = fill(&mut buffer, bodies);
    log.append(&mut buffer, record, disk)
}

pub(crate) fn buffer() -> Buffer {
    BufferPool::new(1).unwrap().take().unwrap()
}

/// Bodies of a random record: mostly small, sometimes as large as a record can be.
pub(crate) fn random_bodies(rng: &mut ChaCha8Rng) -> Bodies {
    let body = |rng: &mut ChaCha8Rng, bytes: usize| {
        let mut body = vec![0; bytes];
        // Some sectors stay zero: torn or not, they look the same.
        for part in body.chunks_mut(model::SECTOR) {
            if rng.random_bool(0.8) {
                rng.fill_bytes(part);
            }
        }
        body
    };
    match rng.random_range(0..20) {
        0 => Vec::new(),
        1..=9 => {
            let count = rng.random_range(1..6);
            (0..count).map(|_| body(&mut *rng, count * 131)).collect()
        }
        10..=17 => {
            let bytes = rng.random_range(0..24 * model::SECTOR);
            vec![body(rng, bytes)]
        }
        _ => {
            let bytes = rng.random_range(0..body_bytes(257));
            vec![body(rng, bytes)]
        }
    }
}

/// A formatted ledger on a modelled disk.
pub(crate) fn formatted() -> Model {
    let model = Model::default();
    format_on(&shared(&model), Path::new(DIR), &IDENTITY).unwrap();
    model
}

pub(crate) fn shared(model: &Model) -> Arc<dyn Storage> {
    Arc::new(model.clone())
}

pub(crate) fn recovery(model: &Model, first_index: u64) -> Result<Recovery, LogError> {
    let options = LogOptions {
        first_index,
        ..LogOptions::default()
    };
    Recovery::open_on(shared(model), Path::new(DIR), &IDENTITY, &options)
}

/// Reads all records from `first_index` on and opens the log behind them.
pub(crate) fn recover_from(
    model: &Model,
    first_index: u64,
) -> Result<(Vec<Bodies>, Log), LogError> {
    let mut recovery = recovery(model, first_index)?;
    let mut buffer = buffer();
    let mut records = Vec::new();
    while let Some(header) = recovery.next(&mut buffer)? {
        assert_eq!(header.index, first_index + records.len() as u64);
        records.push(
            giro_log::ops(&buffer)
                .map(|(_, body)| buffer[body].to_vec())
                .collect(),
        );
    }
    Ok((records, recovery.finish_inline()?))
}

pub(crate) fn recover(model: &Model) -> Result<(Vec<Bodies>, Log), LogError> {
    recover_from(model, 1)
}

/// The place a log is damaged at: path, offset, index, reason.
pub(crate) fn damage(model: &Model) -> (PathBuf, u64, u64, String) {
    match recover(model).map(|(records, _)| records.len()) {
        Err(LogError::Corrupt {
            path,
            offset,
            index,
            reason,
        }) => (path, offset, index, reason),
        other => panic!("no damage found: {other:?}"),
    }
}
