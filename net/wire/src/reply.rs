//! The server's answer to a request.

use giro_base::Operation;
use zerocopy::little_endian::{U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::frame::{Command, Frame, Header, header};
use crate::release::Release;

/// A reply; its body is what the operation answers.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ReplyHeader {
    /// What all messages share; `release` is the request's.
    pub frame: Frame,
    /// The header checksum of the request it answers.
    pub request_checksum: U128,
    /// Zero.
    pub request_checksum_padding: U128,
    /// What the client sends as the next request's `parent`: the checksum this header would
    /// have with 0 in this field.
    pub context: U128,
    /// Zero.
    pub context_padding: U128,
    /// The client it is for.
    pub client: U128,
    /// The op the request became; at least 1.
    pub op: U64,
    /// The same as `op`; of a register it is the session.
    pub commit: U64,
    /// When it happened (ns since 1970, as the ledger counts); not 0.
    pub timestamp: U64,
    /// The request's number.
    pub request: U32,
    /// The request's operation.
    pub operation: u8,
    /// Zeros.
    pub reserved: [u8; 19],
}
header!(ReplyHeader);

/// What goes into a reply's header.
#[derive(Clone, Copy, Debug)]
pub struct NewReply {
    /// The cluster's id.
    pub cluster: u128,
    /// The server's view.
    pub view: u32,
    /// The request's release.
    pub release: Release,
    /// The request's header checksum.
    pub request_checksum: u128,
    /// The request's client.
    pub client: u128,
    /// The op it became.
    pub op: u64,
    /// When it happened (ns).
    pub timestamp: u64,
    /// The request's number.
    pub request: u32,
    /// The request's operation.
    pub operation: Operation,
}

impl ReplyHeader {
    /// The header of a reply with this body. The same input gives the same bytes, so a reply
    /// sent again is the reply that was sent first.
    ///
    /// # Panics
    /// When the body is longer than a `u32` can say; callers keep to
    /// [`giro_base::limits::BODY_BYTES_MAX`].
    #[must_use]
    pub fn build(new: &NewReply, body: &[u8]) -> Self {
        let mut header = Self {
            frame: Frame::new(Command::Reply, new.cluster, new.view, new.release),
            request_checksum: new.request_checksum.into(),
            request_checksum_padding: U128::ZERO,
            context: U128::ZERO,
            context_padding: U128::ZERO,
            client: new.client.into(),
            op: new.op.into(),
            commit: new.op.into(),
            timestamp: new.timestamp.into(),
            request: new.request.into(),
            operation: new.operation.into(),
            reserved: [0; 19],
        };
        header.cover_body(body);
        header.context = header.header_checksum().into();
        header.seal()
    }
}
