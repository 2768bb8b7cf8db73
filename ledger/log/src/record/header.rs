//! The header of a record.

use giro_base::checksum;
use giro_base::limits::{BUFFER_BYTES, OP_HEADER_BYTES, RECORD_HEADER_BYTES, SECTOR_BYTES};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Defect;

/// Version of the record layout of a ledger alone; Raft's mark is zeros.
pub(crate) const RECORD_VERSION: u16 = 1;
/// Version of the record layout with Raft's mark.
pub(crate) const RECORD_VERSION_MARKED: u16 = 2;

/// What makes a record one of this ledger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogId {
    /// The ledger's cluster id.
    pub cluster: u128,
    /// Made from the ledger's secret: bytes a client chose can't pass for a record.
    pub tag: u128,
}

impl LogId {
    /// The id of the log of a ledger with this secret.
    #[must_use]
    pub fn new(cluster: u128, hash_key: [u64; 2]) -> Self {
        let mut input = *b"giro log record\0................";
        input[16..].copy_from_slice(hash_key.as_bytes());
        Self {
            cluster,
            tag: checksum(&input),
        }
    }
}

/// What stands in front of a record's ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RecordHeader {
    /// Of bytes 16.. of this header.
    pub checksum: u128,
    /// Of the checksums of the record's op headers.
    pub content_checksum: u128,
    /// The header checksum of the record before; 0 for the first.
    pub previous_checksum: u128,
    /// The ledger's.
    pub cluster: u128,
    /// The ledger's, secret.
    pub tag: u128,
    /// Number of the record, from 1 without a gap.
    pub index: u64,
    /// Raft's term.
    pub term: u64,
    /// Number of the first op.
    pub first_op: u64,
    /// Nanoseconds since 1970.
    pub timestamp: u64,
    /// Highest index known durable when the record was sealed.
    pub durable_index: u64,
    /// Sequence number of the segment it was written to.
    pub segment: u64,
    /// Ops in the record.
    pub op_count: u32,
    /// Bytes of the record with this header, without the zeros at its end.
    pub bytes: u32,
    /// Raft group; 0.
    pub group: u16,
    /// Layout version.
    pub version: u16,
    /// What the record is to Raft.
    pub mark: Mark,
    /// Zeros.
    pub reserved: [u8; 80],
}

/// What a record is to Raft. The log keeps it, and knows nothing of it but its bounds;
/// `docs/internals/replication.md` says what it means.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C, packed(4))]
pub struct Mark {
    /// What the record is for, at most [`KIND_MAX`](Self::KIND_MAX).
    pub kind: u8,
    /// Zeros.
    pub reserved: [u8; 3],
    /// Index of the entry or checkpoint; 0 is none.
    pub entry: u64,
    /// Its term, at most the record's.
    pub entry_term: u64,
    /// Whom the node voted for in the record's term; 0 is nobody.
    pub vote: u64,
    /// Highest index known committed.
    pub commit: u64,
}

impl Mark {
    /// The largest kind there is.
    pub const KIND_MAX: u8 = 5;
}

const _: () = assert!(size_of::<RecordHeader>() == RECORD_HEADER_BYTES);
const _: () = assert!(std::mem::offset_of!(RecordHeader, mark) == 140);
const _: () = assert!(std::mem::offset_of!(RecordHeader, reserved) == 176);
const _: () = assert!(std::mem::offset_of!(Mark, entry) == 4);

impl RecordHeader {
    /// The bytes as a header, not validated. None when they are too few or not aligned to 16.
    #[must_use]
    pub fn view(bytes: &[u8]) -> Option<&Self> {
        Self::ref_from_bytes(bytes.get(..RECORD_HEADER_BYTES)?).ok()
    }

    /// The header at the start of `bytes` if it is whole, of this ledger, and was written to this
    /// segment. Anything else (zeros, old records of a recycled file, bodies) is no header.
    pub(crate) fn find<'a>(bytes: &'a [u8], id: &LogId, segment: u64) -> Option<&'a Self> {
        let header = Self::view(bytes)?;
        let ours = header.tag == id.tag && header.cluster == id.cluster;
        let here = ours && header.segment == segment;
        (here && header.checksum == header.checksum_now()).then_some(header)
    }

    /// Bytes the record takes in its segment: whole sectors.
    #[must_use]
    pub fn padded_bytes(&self) -> usize {
        (self.bytes as usize).next_multiple_of(SECTOR_BYTES)
    }

    /// The checksum this header should carry.
    #[must_use]
    pub fn checksum_now(&self) -> u128 {
        checksum(&self.as_bytes()[16..])
    }

    /// Bounds that every header keeps that this program wrote.
    pub(crate) fn check(&self) -> Result<(), Defect> {
        let known = [RECORD_VERSION, RECORD_VERSION_MARKED].contains(&self.version);
        if !known || self.group != 0 {
            let (version, group) = (self.version, self.group);
            return Err(Defect::Version { version, group });
        }
        let bytes = self.bytes as usize;
        if !(RECORD_HEADER_BYTES..=BUFFER_BYTES).contains(&bytes) {
            return Err(Defect::Header("length"));
        }
        if self.op_count as usize > (bytes - RECORD_HEADER_BYTES) / OP_HEADER_BYTES {
            return Err(Defect::Header("op count"));
        }
        if self.index == 0 {
            return Err(Defect::Header("index"));
        }
        if self.durable_index >= self.index {
            return Err(Defect::Header("durable index"));
        }
        let mark = self.mark;
        let marked = self.version == RECORD_VERSION_MARKED;
        let is_legal = mark.kind <= Mark::KIND_MAX && mark.entry_term <= self.term;
        if mark.reserved != [0; 3] || !is_legal || (!marked && mark != Mark::default()) {
            return Err(Defect::Header("Raft mark"));
        }
        if self.reserved != [0; 80] {
            return Err(Defect::Header("reserved part"));
        }
        Ok(())
    }
}
