//! The first half of every header, which all messages share, and how a header is sealed.

use giro_base::checksum;
use giro_base::limits::MESSAGE_HEADER_BYTES;
use num_enum::{IntoPrimitive, TryFromPrimitive};
use zerocopy::little_endian::{U16, U32, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::release::Release;

/// The commands seen between a client and a server; all others are between replicas. Those from
/// 128 on are ours, and only sent to who asked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TryFromPrimitive, IntoPrimitive)]
#[repr(u8)]
pub enum Command {
    /// A client asks whether the server lives.
    PingClient = 3,
    /// The server's answer to it.
    PongClient = 4,
    /// A client's request.
    Request = 5,
    /// The server's answer to it.
    Reply = 8,
    /// The server ends a client's session.
    Eviction = 18,
    /// The server did not take a request. Ours.
    Refusal = 128,
}

/// Largest command number that means anything to anybody in the field's protocol. A receiver
/// closes the connection for a larger one that is not ours, and ignores those between replicas.
pub const COMMAND_MAX: u8 = 24;

/// Bytes 0 to 128 of every header.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Frame {
    /// Checksum of header bytes 16 to 256.
    pub checksum: U128,
    /// Zero.
    pub checksum_padding: U128,
    /// Checksum of the body.
    pub checksum_body: U128,
    /// Zero.
    pub checksum_body_padding: U128,
    /// Zero.
    pub nonce_reserved: U128,
    /// The cluster the message belongs to.
    pub cluster: U128,
    /// Bytes of the whole message, header included.
    pub size: U32,
    /// Zero.
    pub epoch: U32,
    /// The sender's view.
    pub view: U32,
    /// The sender's release; in a reply, the request's.
    pub release: U32,
    /// Zero.
    pub protocol: U16,
    /// A [`Command`], or one between replicas.
    pub command: u8,
    /// The sending replica's index; 0 from a client.
    pub replica: u8,
    /// Zeros.
    pub reserved: [u8; 12],
}

const _: () = assert!(size_of::<Frame>() == 128);

impl Frame {
    /// A frame without its checksums, which [`seal`] adds.
    pub(crate) fn new(command: Command, cluster: u128, view: u32, release: Release) -> Self {
        Self {
            checksum: U128::ZERO,
            checksum_padding: U128::ZERO,
            checksum_body: U128::ZERO,
            checksum_body_padding: U128::ZERO,
            nonce_reserved: U128::ZERO,
            cluster: cluster.into(),
            size: U32::new(MESSAGE_HEADER_BYTES as u32),
            epoch: U32::ZERO,
            view: view.into(),
            release: release.0.into(),
            protocol: U16::ZERO,
            command: command.into(),
            replica: 0,
            reserved: [0; 12],
        }
    }

    /// Bytes of the message's body. Meaningful once the size was found in range.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        (self.size.get() as usize).saturating_sub(MESSAGE_HEADER_BYTES)
    }

    /// The sender's release.
    #[must_use]
    pub fn release(&self) -> Release {
        Release(self.release.get())
    }
}

/// A whole header whose first half is a [`Frame`].
pub(crate) trait Header:
    IntoBytes + FromBytes + Immutable + KnownLayout + Unaligned
{
    /// Its frame.
    fn frame_mut(&mut self) -> &mut Frame;

    /// Puts the body's checksum and size into the header.
    fn cover_body(&mut self, body: &[u8]) {
        let size = u32::try_from(MESSAGE_HEADER_BYTES + body.len());
        let frame = self.frame_mut();
        frame.size = size.expect("a body is bounded by BODY_BYTES_MAX").into();
        frame.checksum_body = checksum(body).into();
    }

    /// The checksum of all the header but its own first field.
    fn header_checksum(&self) -> u128 {
        checksum(&self.as_bytes()[size_of::<U128>()..])
    }

    /// Adds the header's checksum; nothing may change afterwards.
    fn seal(mut self) -> Self
    where
        Self: Sized,
    {
        self.frame_mut().checksum = self.header_checksum().into();
        self
    }
}

/// Implements [`Header`] for a struct with a field `frame`, and checks its size.
macro_rules! header {
    ($name:ty) => {
        const _: () = assert!(size_of::<$name>() == giro_base::limits::MESSAGE_HEADER_BYTES);

        impl crate::frame::Header for $name {
            fn frame_mut(&mut self) -> &mut crate::frame::Frame {
                &mut self.frame
            }
        }
    };
}
pub(crate) use header;
