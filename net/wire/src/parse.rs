//! What a receiver does with the first 256 bytes of a message.
//!
//! The order is the protocol's: first what decides whether the stream still makes sense, then
//! whose message it is, then the rules of its command. Faults of the first kinds end the
//! connection; a message that only breaks a rule is skipped, body and all.

use giro_base::limits::{MESSAGE_BYTES_MAX, MESSAGE_HEADER_BYTES};
use giro_base::{Operation, checksum};
use thiserror::Error;
use zerocopy::transmute_ref;

use crate::HeaderBytes;
use crate::eviction::{EvictionHeader, EvictionReason};
use crate::frame::{COMMAND_MAX, Command, Frame};
use crate::ping::{PingHeader, PongHeader};
use crate::refusal::{RefusalHeader, RefusalReason};
use crate::register::{REGISTER_REPLY_BYTES, REGISTER_REQUEST_BYTES};
use crate::reply::ReplyHeader;
use crate::request::{OPERATION_LEDGER_MIN, OPERATION_RECONFIGURE, RequestHeader};

/// The bytes of a header that all messages share, and those of its command.
type Half = [u8; size_of::<Frame>()];

/// A header that keeps every rule.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// From a client.
    Ping(&'a PingHeader),
    /// From a server.
    Pong(&'a PongHeader),
    /// From a client. The operation may be one we do not know: that has an answer.
    Request(&'a RequestHeader),
    /// From a server.
    Reply(&'a ReplyHeader),
    /// From a server.
    Eviction(&'a EvictionHeader),
    /// From a server, to a client that asked for it.
    Refusal(&'a RefusalHeader),
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The header's checksum does not match.
    #[error("header checksum does not match")]
    HeaderChecksum,
    /// A command that does not exist.
    #[error("unknown command {0}")]
    Command(u8),
    /// Shorter than a header or longer than a message may be.
    #[error("message of {0} bytes; allowed are 256 to 1048576")]
    Size(u32),
    /// The body's checksum does not match.
    #[error("body checksum does not match")]
    BodyChecksum,
    /// A message for another cluster.
    #[error("message for cluster {received}; this is cluster {own}")]
    Cluster {
        /// The message's.
        received: u128,
        /// Ours.
        own: u128,
    },
    /// A version of the protocol that does not exist yet.
    #[error("protocol version {0}; known is 0")]
    Protocol(u16),
    /// Bytes that must be zero are not.
    #[error("reserved bytes of the header are not zero")]
    Reserved,
    /// A command between replicas.
    #[error("command {0} is for replicas only")]
    ReplicaCommand(u8),
    /// A field of the header has a value its command or operation does not allow.
    #[error("header field `{0}` has a value its command does not allow")]
    Field(&'static str),
}

/// A header that breaks a rule, and what that means for its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// Nothing behind it can be trusted: close the connection.
    #[error("connection closed: {0}")]
    Close(Fault),
    /// Skip the message; the stream goes on behind it. The body's checksum still has to be
    /// checked by who wants to be strict.
    #[error("message ignored: {fault}")]
    Ignore {
        /// What is wrong.
        fault: Fault,
        /// Bytes of the whole message, header included.
        message_bytes: usize,
    },
}

/// Checks a header in the protocol's order and gives it its type.
///
/// # Errors
/// [`Rejection`] says what is wrong and whether the connection can live on.
pub fn parse_header(bytes: &HeaderBytes, cluster: u128) -> Result<Message<'_>, Rejection> {
    let halves: &[Half; 2] = transmute_ref!(bytes);
    let frame: &Frame = transmute_ref!(&halves[0]);
    check_stream(frame, bytes, cluster).map_err(Rejection::Close)?;
    check_command(frame, bytes).map_err(|fault| Rejection::Ignore {
        fault,
        message_bytes: frame.size.get() as usize,
    })
}

/// Checks a body against its header.
///
/// # Errors
/// [`Fault::BodyChecksum`]; the connection has to be closed.
pub fn verify_body(frame: &Frame, body: &[u8]) -> Result<(), Fault> {
    if body.len() == frame.body_bytes() && checksum(body) == frame.checksum_body.get() {
        Ok(())
    } else {
        Err(Fault::BodyChecksum)
    }
}

/// What must hold for the stream to make sense at all.
fn check_stream(frame: &Frame, bytes: &HeaderBytes, cluster: u128) -> Result<(), Fault> {
    if frame.checksum.get() != checksum(&bytes[16..]) {
        return Err(Fault::HeaderChecksum);
    }
    if frame.command > COMMAND_MAX && frame.command != u8::from(Command::Refusal) {
        return Err(Fault::Command(frame.command));
    }
    let size = frame.size.get();
    if !(MESSAGE_HEADER_BYTES..=MESSAGE_BYTES_MAX).contains(&(size as usize)) {
        return Err(Fault::Size(size));
    }
    // The body would be checked before the cluster; both close the connection, so that the
    // body of a stranger's message need not be waited for.
    if frame.cluster.get() != cluster {
        return Err(Fault::Cluster {
            received: frame.cluster.get(),
            own: cluster,
        });
    }
    Ok(())
}

fn check_command<'a>(frame: &Frame, bytes: &'a HeaderBytes) -> Result<Message<'a>, Fault> {
    check_frame(frame)?;
    let Ok(command) = Command::try_from(frame.command) else {
        return Err(Fault::ReplicaCommand(frame.command));
    };
    match command {
        Command::PingClient => {
            let header: &PingHeader = transmute_ref!(bytes);
            check_ping(header)?;
            Ok(Message::Ping(header))
        }
        Command::PongClient => {
            let header: &PongHeader = transmute_ref!(bytes);
            check_bodiless(frame)?;
            zeros(&header.reserved)?;
            Ok(Message::Pong(header))
        }
        Command::Request => {
            let header: &RequestHeader = transmute_ref!(bytes);
            check_request(header)?;
            Ok(Message::Request(header))
        }
        Command::Reply => {
            let header: &ReplyHeader = transmute_ref!(bytes);
            check_reply(header)?;
            Ok(Message::Reply(header))
        }
        Command::Eviction => {
            let header: &EvictionHeader = transmute_ref!(bytes);
            check_eviction(header)?;
            Ok(Message::Eviction(header))
        }
        Command::Refusal => {
            let header: &RefusalHeader = transmute_ref!(bytes);
            check_refusal(header)?;
            Ok(Message::Refusal(header))
        }
    }
}

/// Rules for every command.
fn check_frame(frame: &Frame) -> Result<(), Fault> {
    if frame.protocol.get() != 0 {
        return Err(Fault::Protocol(frame.protocol.get()));
    }
    let reserved = frame.checksum_padding.get()
        | frame.checksum_body_padding.get()
        | frame.nonce_reserved.get()
        | u128::from(frame.epoch.get());
    if reserved != 0 {
        return Err(Fault::Reserved);
    }
    zeros(&frame.reserved)?;
    require(frame.release.get() != 0, "release")
}

fn check_ping(header: &PingHeader) -> Result<(), Fault> {
    check_bodiless(&header.frame)?;
    require(header.frame.replica == 0, "replica")?;
    require(header.frame.view.get() == 0, "view")?;
    require(header.client.get() != 0, "client")?;
    require(header.refusals <= 1, "refusals")?;
    zeros(&header.reserved)
}

fn check_refusal(header: &RefusalHeader) -> Result<(), Fault> {
    check_bodiless(&header.frame)?;
    if header.request_checksum_padding.get() != 0 {
        return Err(Fault::Reserved);
    }
    require(header.client.get() != 0, "client")?;
    require(RefusalReason::try_from(header.reason).is_ok(), "reason")?;
    zeros(&header.reserved)
}

fn check_eviction(header: &EvictionHeader) -> Result<(), Fault> {
    check_bodiless(&header.frame)?;
    require(header.client.get() != 0, "client")?;
    require(EvictionReason::try_from(header.reason).is_ok(), "reason")?;
    zeros(&header.reserved)
}

fn check_reply(header: &ReplyHeader) -> Result<(), Fault> {
    let paddings = header.request_checksum_padding.get() | header.context_padding.get();
    if paddings != 0 {
        return Err(Fault::Reserved);
    }
    zeros(&header.reserved)?;
    require(header.client.get() != 0, "client")?;
    require(header.op.get() == header.commit.get(), "op")?;
    require(header.commit.get() != 0, "commit")?;
    require(header.timestamp.get() != 0, "timestamp")?;
    if header.operation == u8::from(Operation::Register) {
        let bytes = header.frame.body_bytes();
        require(bytes == REGISTER_REPLY_BYTES, "size")?;
        require(header.request.get() == 0, "request")
    } else {
        require(header.request.get() != 0, "request")
    }
}

fn check_request(header: &RequestHeader) -> Result<(), Fault> {
    if header.parent_padding.get() != 0 {
        return Err(Fault::Reserved);
    }
    zeros(&header.padding)?;
    zeros(&header.reserved)?;
    require(header.frame.replica == 0, "replica")?;
    require(header.client.get() != 0, "client")?;
    require(header.timestamp.get() == 0, "timestamp")?;
    if header.operation == u8::from(Operation::Register) {
        return check_register(header);
    }
    let body_bytes = header.frame.body_bytes();
    match header.operation {
        OPERATION_LEDGER_MIN.. => {}
        OPERATION_RECONFIGURE => require(body_bytes == 256, "size")?,
        other if other == u8::from(Operation::Noop) => require(body_bytes == 0, "size")?,
        _ => return Err(Fault::Field("operation")),
    }
    require(header.session.get() != 0, "session")?;
    require(header.request.get() != 0, "request")
}

/// The oldest clients sent a register without a body: that one is valid, and has an answer.
fn check_register(header: &RequestHeader) -> Result<(), Fault> {
    let body_bytes = header.frame.body_bytes();
    require(
        body_bytes == 0 || body_bytes == REGISTER_REQUEST_BYTES,
        "size",
    )?;
    require(header.parent.get() == 0, "parent")?;
    require(header.session.get() == 0, "session")?;
    require(header.request.get() == 0, "request")
}

fn check_bodiless(frame: &Frame) -> Result<(), Fault> {
    require(frame.body_bytes() == 0, "size")?;
    let empty = giro_base::checksum::CHECKSUM_EMPTY;
    require(frame.checksum_body.get() == empty, "checksum_body")
}

fn require(holds: bool, field: &'static str) -> Result<(), Fault> {
    if holds {
        Ok(())
    } else {
        Err(Fault::Field(field))
    }
}

fn zeros(bytes: &[u8]) -> Result<(), Fault> {
    if bytes.iter().all(|byte| *byte == 0) {
        Ok(())
    } else {
        Err(Fault::Reserved)
    }
}
