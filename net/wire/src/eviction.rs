//! How a server tells a client that its session is over, and why.

use num_enum::{IntoPrimitive, TryFromPrimitive};
use strum::{Display, EnumIter};
use zerocopy::little_endian::U128;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::frame::{Command, Frame, Header, header};
use crate::release::Release;

/// Why a session ends. The field's clients shut down for good on any of them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive, Display, EnumIter,
)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum EvictionReason {
    /// The server does not know the session, or forgot it to make room.
    NoSession = 1,
    /// The client's release is older than the server understands.
    ClientReleaseTooLow = 2,
    /// The client's release is newer than the server understands.
    ClientReleaseTooHigh = 3,
    /// The server does not know the operation.
    InvalidRequestOperation = 4,
    /// The body is not valid for the operation.
    InvalidRequestBody = 5,
    /// The body is larger than the operation takes.
    InvalidRequestBodySize = 6,
    /// The client has opened a newer session since.
    SessionTooLow = 7,
    /// The session was opened with another release.
    SessionReleaseMismatch = 8,
}

/// The end of a session; no body.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct EvictionHeader {
    /// What all messages share. The view must not be below one the client has seen, or the
    /// client ignores the message.
    pub frame: Frame,
    /// The client it is for; not 0.
    pub client: U128,
    /// Zeros.
    pub reserved: [u8; 111],
    /// An [`EvictionReason`].
    pub reason: u8,
}
header!(EvictionHeader);

impl EvictionHeader {
    /// Tells `client` that its session is over.
    #[must_use]
    pub fn build(cluster: u128, view: u32, client: u128, reason: EvictionReason) -> Self {
        let mut header = Self {
            frame: Frame::new(Command::Eviction, cluster, view, Release::DEVELOPMENT),
            client: client.into(),
            reserved: [0; 111],
            reason: reason.into(),
        };
        header.cover_body(&[]);
        header.seal()
    }
}
