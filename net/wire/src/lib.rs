//! The client protocol's messages: their headers as views of bytes, the rules a receiver
//! checks, and what a server or a client puts on the wire.
//!
//! What it guarantees: a header becomes a typed view only after every rule of the protocol
//! holds for it, a rejected one says whether the connection can live on, and no input makes a
//! function here panic. What it builds passes its own checks, byte for byte as the field's own
//! programs would write it.
//!
//! What it relies on: `giro-base` for the checksum, the operations and the bodies. It does no
//! I/O and keeps no state.
//!
//! Where to start reading: [`parse_header`], then [`request::RequestHeader`] and
//! [`reply::ReplyHeader`]. `docs/reference/protocol.md` describes the same for people.
#![forbid(unsafe_code)]

pub mod address;
pub mod eviction;
pub mod frame;
pub mod parse;
pub mod ping;
pub mod refusal;
pub mod register;
pub mod release;
pub mod reply;
pub mod request;

pub use address::{Address, AddressError};
pub use eviction::{EvictionHeader, EvictionReason};
pub use frame::{Command, Frame};
pub use parse::{Fault, Message, Rejection, parse_header, verify_body};
pub use ping::{PingHeader, PongHeader};
pub use refusal::{RefusalHeader, RefusalReason};
pub use release::Release;
pub use reply::{NewReply, ReplyHeader};
pub use request::{NewRequest, RequestHeader};

/// Bytes of a header as they stand on the wire.
pub type HeaderBytes = [u8; giro_base::limits::MESSAGE_HEADER_BYTES];
