//! How a server tells a client that a request was not taken, and why. An addition of ours: only
//! a connection that asked for it in a ping ([`crate::PingHeader::refusals`]) gets one; on others
//! the request is dropped without a word, as the protocol has it.

use num_enum::{IntoPrimitive, TryFromPrimitive};
use strum::{Display, EnumIter};
use zerocopy::little_endian::{U32, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::frame::{Command, Frame, Header, header};
use crate::release::Release;
use crate::request::RequestHeader;

/// Why a request was not taken. Nothing of it was executed, and nothing of it will be.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive, Display, EnumIter,
)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum RefusalReason {
    /// There was no room for it within the server's deadline.
    Busy = 1,
    /// A register found every session in use, and none of them quiet.
    SessionsFull = 2,
    /// Another node leads. The message's view says which, if it is known; else it is 0.
    NotLeader = 3,
}

/// A request that was not taken; no body.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RefusalHeader {
    /// What all messages share.
    pub frame: Frame,
    /// The header checksum of the request.
    pub request_checksum: U128,
    /// Zero.
    pub request_checksum_padding: U128,
    /// The client it is for; not 0.
    pub client: U128,
    /// The request's number.
    pub request: U32,
    /// Zeros.
    pub reserved: [u8; 75],
    /// A [`RefusalReason`].
    pub reason: u8,
}
header!(RefusalHeader);

impl RefusalHeader {
    /// Tells a request's client that this copy of it was not taken.
    #[must_use]
    pub fn build(request: &RequestHeader, view: u32, reason: RefusalReason) -> Self {
        let cluster = request.frame.cluster.get();
        let mut header = Self {
            frame: Frame::new(Command::Refusal, cluster, view, Release::DEVELOPMENT),
            request_checksum: request.frame.checksum,
            request_checksum_padding: U128::ZERO,
            client: request.client,
            request: request.request,
            reserved: [0; 75],
            reason: reason.into(),
        };
        header.cover_body(&[]);
        header.seal()
    }
}
