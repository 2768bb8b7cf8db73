//! A client's request.

use giro_base::Operation;
use zerocopy::little_endian::{U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::frame::{Command, Frame, Header, header};
use crate::release::Release;

/// Changes the cluster's membership; only its header has a rule here, nobody may send it.
pub(crate) const OPERATION_RECONFIGURE: u8 = 3;
/// Smallest number of an operation on the ledger; those below manage sessions and replicas.
pub(crate) const OPERATION_LEDGER_MIN: u8 = 128;

/// A request; its body is what the operation takes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RequestHeader {
    /// What all messages share; `release` is the client's.
    pub frame: Frame,
    /// The `context` of the session's previous reply; 0 in a register.
    pub parent: U128,
    /// Zero.
    pub parent_padding: U128,
    /// The client; not 0.
    pub client: U128,
    /// The session; 0 in a register.
    pub session: U64,
    /// Zero.
    pub timestamp: U64,
    /// The request's number in its session: 0 for the register, then rising.
    pub request: U32,
    /// An [`Operation`], or a number nobody knows.
    pub operation: u8,
    /// Zeros.
    pub padding: [u8; 3],
    /// How long the previous request took: microseconds since release 0.17.0, nanoseconds
    /// before. For information.
    pub previous_request_latency: U32,
    /// Zeros.
    pub reserved: [u8; 52],
}
header!(RequestHeader);

/// What a client chooses in a request.
#[derive(Clone, Copy, Debug)]
pub struct NewRequest {
    /// The cluster's id.
    pub cluster: u128,
    /// The highest view the client has seen.
    pub view: u32,
    /// The client's release.
    pub release: Release,
    /// The client's id; not 0.
    pub client: u128,
    /// The session; 0 in a register.
    pub session: u64,
    /// The `context` of the session's previous reply; 0 in a register.
    pub parent: u128,
    /// The request's number; 0 in a register.
    pub request: u32,
    /// What is asked for.
    pub operation: Operation,
    /// How long the previous request took (microseconds).
    pub previous_request_latency: u32,
}

impl RequestHeader {
    /// The header of a request with this body.
    ///
    /// # Panics
    /// When the body is longer than a `u32` can say; callers keep to
    /// [`giro_base::limits::BODY_BYTES_MAX`].
    #[must_use]
    pub fn build(new: &NewRequest, body: &[u8]) -> Self {
        let mut header = Self {
            frame: Frame::new(Command::Request, new.cluster, new.view, new.release),
            parent: new.parent.into(),
            parent_padding: U128::ZERO,
            client: new.client.into(),
            session: new.session.into(),
            timestamp: U64::ZERO,
            request: new.request.into(),
            operation: new.operation.into(),
            padding: [0; 3],
            previous_request_latency: new.previous_request_latency.into(),
            reserved: [0; 52],
        };
        header.cover_body(body);
        header.seal()
    }

    /// The operation, when it is one we know.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        Operation::try_from(self.operation).ok()
    }
}
