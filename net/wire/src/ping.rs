//! The client's question whether the server lives, and the answer.

use zerocopy::little_endian::{U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::frame::{Command, Frame, Header, header};
use crate::release::Release;

/// A client's ping; no body.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PingHeader {
    /// What all messages share.
    pub frame: Frame,
    /// The client; not 0.
    pub client: U128,
    /// The client's monotonic clock (ns), to be echoed.
    pub ping_timestamp_monotonic: U64,
    /// The client's session; 0 while it has none, and always before release 0.17.6.
    pub session: U64,
    /// 1 asks the server to tell on this connection which requests it does not take
    /// ([`crate::refusal`]); otherwise 0, as from the field's clients, whose servers ignore a ping
    /// with anything else here.
    pub refusals: u8,
    /// Zeros.
    pub reserved: [u8; 95],
}
header!(PingHeader);

/// The server's answer; no body.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PongHeader {
    /// What all messages share; `replica` must be below 6, for clients index with it.
    pub frame: Frame,
    /// The ping's, echoed (ns of the client's clock).
    pub ping_timestamp_monotonic: U64,
    /// Zeros.
    pub reserved: [u8; 120],
}
header!(PongHeader);

impl PingHeader {
    /// A client's ping.
    #[must_use]
    pub fn build(
        cluster: u128,
        release: Release,
        client: u128,
        session: u64,
        timestamp_ns: u64,
    ) -> Self {
        let mut header = Self {
            frame: Frame::new(Command::PingClient, cluster, 0, release),
            client: client.into(),
            ping_timestamp_monotonic: timestamp_ns.into(),
            session: session.into(),
            refusals: 0,
            reserved: [0; 95],
        };
        header.cover_body(&[]);
        header.seal()
    }

    /// The same ping, asking for refusals.
    #[must_use]
    pub fn asking_for_refusals(mut self) -> Self {
        self.refusals = 1;
        self.seal()
    }
}

impl PongHeader {
    /// The answer to `ping` of a server in `view`, alone in its cluster.
    #[must_use]
    pub fn build(ping: &PingHeader, view: u32) -> Self {
        let cluster = ping.frame.cluster.get();
        Self::with(cluster, view, ping.ping_timestamp_monotonic)
    }

    /// What tells a client the view without having been asked. All releases of the official clients
    /// believe it, and take no round trip from a timestamp that lies ahead of them.
    #[must_use]
    pub fn unasked(cluster: u128, view: u32) -> Self {
        Self::with(cluster, view, u64::MAX.into())
    }

    fn with(cluster: u128, view: u32, ping_timestamp_monotonic: U64) -> Self {
        let mut header = Self {
            frame: Frame::new(Command::PongClient, cluster, view, Release::DEVELOPMENT),
            ping_timestamp_monotonic,
            reserved: [0; 120],
        };
        header.cover_body(&[]);
        header.seal()
    }
}
