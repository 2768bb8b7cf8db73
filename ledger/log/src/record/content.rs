//! What follows a record's header: walking, sealing and validating ops.

use std::ops::Range;

use giro_base::checksum;
use giro_base::limits::{BUFFER_BYTES, OP_HEADER_BYTES, RECORD_HEADER_BYTES};

use super::op::{OpHeader, op_bytes};
use super::{Defect, RecordHeader};

/// Room for the op checksums of the largest record, made once.
pub(crate) struct Scratch(Vec<u8>);

impl Scratch {
    pub(crate) fn new() -> Self {
        let op_count_max = (BUFFER_BYTES - RECORD_HEADER_BYTES) / OP_HEADER_BYTES;
        Self(Vec::with_capacity(16 * op_count_max))
    }
}

/// The ops of a record; see [`ops`].
pub struct Ops<'a> {
    record: &'a [u8],
    at: usize,
    left: u32,
}

/// The ops of `record` (header first): each op's header, and where in `record` its body lies.
///
/// # Panics
/// When `record` was neither sealed by [`Log::append`](crate::Log::append) nor validated by
/// [`Recovery::next`](crate::Recovery::next): past those, its structure is known good.
#[must_use]
pub fn ops(record: &[u8]) -> Ops<'_> {
    let header = RecordHeader::view(record).expect("a record starts with an aligned header");
    Ops {
        record: &record[..header.bytes as usize],
        at: RECORD_HEADER_BYTES,
        left: header.op_count,
    }
}

/// The ops in an entry's payload, which is what a record has behind its header: each op's header
/// and body.
///
/// # Errors
/// When the payload is not whole ops, each valid and padded with zeros. It must be aligned to 16.
pub fn ops_of_payload(payload: &[u8]) -> Result<Vec<(&OpHeader, &[u8])>, Defect> {
    let (mut at, mut found) = (0, Vec::new());
    while at < payload.len() {
        let op = found.len() as u32;
        let Some((header, body)) = op_at(payload, at) else {
            return Err(Defect::OpHeader { op, at });
        };
        if header.checksum != header.checksum_now() || header.reserved != [0; 139] {
            return Err(Defect::OpHeader { op, at });
        }
        if header.checksum_body != checksum(&payload[body.clone()]) {
            return Err(Defect::OpBody { op, at });
        }
        at += op_bytes(body.len());
        check_zeros(payload, body.end..at)?;
        found.push((header, &payload[body]));
    }
    Ok(found)
}

/// The ops in a payload that was validated by [`ops_of_payload`], or gathered here.
///
/// # Panics
/// When it is reached that the payload is not whole ops, aligned to 16.
pub fn ops_of_valid_payload(payload: &[u8]) -> impl Iterator<Item = (&OpHeader, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == payload.len() {
            return None;
        }
        let (header, body) = op_at(payload, at).expect("the payload is valid");
        at += op_bytes(body.len());
        Some((header, &payload[body]))
    })
}

impl<'a> Iterator for Ops<'a> {
    type Item = (&'a OpHeader, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (header, body) = op_at(self.record, self.at).expect("the record is valid");
        self.at += op_bytes(body.len());
        Some((header, body))
    }
}

/// The op at `at`, if it lies in `record` with its padding.
fn op_at(record: &[u8], at: usize) -> Option<(&OpHeader, Range<usize>)> {
    let header = OpHeader::view(record.get(at..)?)?;
    let body_bytes = header.body_bytes as usize;
    let fits = body_bytes <= record.len() && op_bytes(body_bytes) <= record.len() - at;
    let start = at + OP_HEADER_BYTES;
    fits.then(|| (header, start..start + body_bytes))
}

/// Completes a record that lies in `record`: sets everything that must be zero to zero and
/// returns the content checksum. `record` has the padded length, `bytes` of it are used.
///
/// # Panics
/// When the ops in it are not `op_count` that fill `bytes` exactly: a bug of the caller.
pub(crate) fn seal(record: &mut [u8], bytes: usize, op_count: u32, scratch: &mut Scratch) -> u128 {
    scratch.0.clear();
    let mut at = RECORD_HEADER_BYTES;
    for _ in 0..op_count {
        let (header, body) = op_at(&record[..bytes], at).expect("the ops fit the record");
        scratch.0.extend_from_slice(&header.checksum.to_le_bytes());
        at += op_bytes(body.len());
        record[body.end..at].fill(0);
    }
    assert_eq!(at, bytes, "the ops fill the record");
    record[bytes..].fill(0);
    checksum(&scratch.0)
}

/// Checks everything behind the header of a record of padded length.
pub(crate) fn validate(
    header: &RecordHeader,
    record: &[u8],
    scratch: &mut Scratch,
) -> Result<(), Defect> {
    let used = &record[..header.bytes as usize];
    scratch.0.clear();
    let mut at = RECORD_HEADER_BYTES;
    for op in 0..header.op_count {
        let Some((op_header, body)) = op_at(used, at) else {
            return Err(Defect::OpHeader { op, at });
        };
        if op_header.checksum != op_header.checksum_now() || op_header.reserved != [0; 139] {
            return Err(Defect::OpHeader { op, at });
        }
        if op_header.checksum_body != checksum(&used[body.clone()]) {
            return Err(Defect::OpBody { op, at });
        }
        scratch
            .0
            .extend_from_slice(&op_header.checksum.to_le_bytes());
        at += op_bytes(body.len());
        check_zeros(used, body.end..at)?;
    }
    if at != used.len() {
        return Err(Defect::Header("length"));
    }
    if header.content_checksum != checksum(&scratch.0) {
        return Err(Defect::Content);
    }
    check_zeros(record, at..record.len())
}

fn check_zeros(record: &[u8], range: Range<usize>) -> Result<(), Defect> {
    let start = range.start;
    match record[range].iter().position(|&byte| byte != 0) {
        Some(offset) => Err(Defect::Padding { at: start + offset }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
