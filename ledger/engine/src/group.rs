//! Groups: the ops that one log write makes durable together.

use giro_base::limits::{BUFFER_BYTES, OP_HEADER_BYTES, RECORD_HEADER_BYTES};
use giro_base::{Buffer, Timestamp};
use giro_log::{OpHeader, op_bytes};
use zerocopy::IntoBytes;

/// Ops in the order of their numbers, in the buffer they go to disk from.
pub(crate) struct Group {
    pub(crate) buffer: Buffer,
    /// Bytes used behind the record's header.
    pub(crate) ops_bytes: usize,
    pub(crate) first_op: u64,
    pub(crate) op_count: u32,
    /// The last op's (ns).
    pub(crate) timestamp: Timestamp,
    /// The log's number for it, once it was handed over.
    pub(crate) index: u64,
    pub(crate) durable: bool,
}

impl Group {
    pub(crate) fn new(buffer: Buffer, first_op: u64) -> Self {
        let (ops_bytes, op_count, timestamp) = (0, 0, 0);
        Self {
            buffer,
            ops_bytes,
            first_op,
            op_count,
            timestamp,
            index: 0,
            durable: false,
        }
    }

    /// The body that lies where the first op's body belongs.
    pub(crate) fn first_body(buffer: &Buffer, body_bytes: usize) -> &[u8] {
        &buffer[RECORD_HEADER_BYTES + OP_HEADER_BYTES..][..body_bytes]
    }

    /// Whether one more op with a body of this length fits.
    pub(crate) fn has_room(&self, body_bytes: usize) -> bool {
        RECORD_HEADER_BYTES + self.ops_bytes + op_bytes(body_bytes) <= BUFFER_BYTES
    }

    /// Adds an op whose body is copied in.
    pub(crate) fn push(&mut self, header: OpHeader, body: &[u8]) {
        let start = RECORD_HEADER_BYTES + self.ops_bytes + OP_HEADER_BYTES;
        self.buffer[start..start + body.len()].copy_from_slice(body);
        self.push_in_place(header);
    }

    /// Adds an op whose body lies where it belongs.
    pub(crate) fn push_in_place(&mut self, header: OpHeader) {
        let start = RECORD_HEADER_BYTES + self.ops_bytes;
        self.buffer[start..start + OP_HEADER_BYTES].copy_from_slice(header.as_bytes());
        self.ops_bytes += op_bytes(header.body_bytes as usize);
        self.op_count += 1;
        self.timestamp = header.timestamp;
    }
}
