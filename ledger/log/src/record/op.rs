//! The header of an op.

use giro_base::checksum;
use giro_base::limits::OP_HEADER_BYTES;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Ops start at multiples of this within a record, so that a body's records are aligned.
pub(crate) const OP_ALIGN: usize = 64;

/// What stands in front of an op's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OpHeader {
    /// Of bytes 16.. of this header.
    pub checksum: u128,
    /// Of the body, as it came with the request.
    pub checksum_body: u128,
    /// The client; 0 for ops without a session.
    pub client: u128,
    /// Of the request's wire header.
    pub request_checksum: u128,
    /// Only in a register: the session it displaces, or 0.
    pub evicted_client: u128,
    /// Number of the op.
    pub op: u64,
    /// Nanoseconds since 1970.
    pub timestamp: u64,
    /// The client's session number.
    pub session: u64,
    /// Bytes of the body, without what pads it.
    pub body_bytes: u32,
    /// The client's request number.
    pub request: u32,
    /// The client's release.
    pub release: u32,
    /// The operation's code.
    pub operation: u8,
    /// Zeros.
    pub reserved: [u8; 139],
}

const _: () = assert!(size_of::<OpHeader>() == OP_HEADER_BYTES);
const _: () = assert!(std::mem::offset_of!(OpHeader, reserved) == 117);

impl Default for OpHeader {
    fn default() -> Self {
        Self::new_zeroed()
    }
}

impl OpHeader {
    /// This header with its checksum set.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.checksum = self.checksum_now();
        self
    }

    /// The checksum this header should carry.
    #[must_use]
    pub fn checksum_now(&self) -> u128 {
        checksum(&self.as_bytes()[16..])
    }

    /// The bytes as a header, not validated. None when they are too few or not aligned to 16.
    #[must_use]
    pub fn view(bytes: &[u8]) -> Option<&Self> {
        Self::ref_from_bytes(bytes.get(..OP_HEADER_BYTES)?).ok()
    }
}

/// Bytes an op with such a body takes in a record: its header, its body, and zeros up to 64.
#[must_use]
pub const fn op_bytes(body_bytes: usize) -> usize {
    OP_HEADER_BYTES + body_bytes.next_multiple_of(OP_ALIGN)
}
