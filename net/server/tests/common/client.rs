//! A client that writes bytes, good and bad, and reads what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use giro_base::multi_batch::{trailer_bytes, write_trailer};
use giro_base::{Operation, checksum};
use giro_wire::{
    EvictionReason, HeaderBytes, Message, NewRequest, PingHeader, RefusalReason, Release,
    RequestHeader, parse_header, register, verify_body,
};
use zerocopy::IntoBytes;

/// How long an answer may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to listen before believing that nothing comes.
const SILENCE: Duration = Duration::from_millis(150);

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

/// What a server can say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Pong,
    /// The view, without having been asked.
    View(u32),
    Reply {
        client: u128,
        request: u32,
        op: u64,
        header: Vec<u8>,
        body: Vec<u8>,
    },
    Eviction(EvictionReason),
    Refusal {
        client: u128,
        request: u32,
        reason: RefusalReason,
    },
    Closed,
    Nothing,
}

/// A request's header fields, to be changed at will.
pub(crate) fn new_request(client: u128, session: u64, request: u32) -> NewRequest {
    NewRequest {
        cluster: 0,
        view: 0,
        release: Release::new(0, 17, 9),
        client,
        session,
        parent: 0,
        request,
        operation: Operation::CreateTransfers,
        previous_request_latency: 0,
    }
}

/// The bytes of a request.
pub(crate) fn message(new: &NewRequest, body: &[u8]) -> Vec<u8> {
    let mut bytes = RequestHeader::build(new, body).as_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// A body of one batch.
pub(crate) fn batch(operation: Operation, events: usize) -> Vec<u8> {
    let bytes = operation.event_bytes();
    let mut body = vec![0; events * bytes + trailer_bytes(1, bytes)];
    write_trailer(&mut body, events * bytes, bytes, [events].into_iter());
    body
}

/// Changes bytes of a message's header and makes its checksum right again.
pub(crate) fn with(mut message: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    message[at..at + bytes.len()].copy_from_slice(bytes);
    let sum = checksum(&message[16..256]);
    message[..16].copy_from_slice(&sum.to_le_bytes());
    message
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Writes; a connection the server closed meanwhile is for `answer` to find out.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub(crate) fn answer(&mut self) -> Answer {
        self.read(PATIENCE)
    }

    /// Whether nothing comes for a while.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.read(SILENCE) == Answer::Nothing
    }

    pub(crate) fn register(&mut self, client: u128) -> u64 {
        let new = NewRequest {
            operation: Operation::Register,
            ..new_request(client, 0, 0)
        };
        self.send(&message(&new, &[0; register::REGISTER_REQUEST_BYTES]));
        let Answer::Reply { op, body, .. } = self.answer() else {
            panic!("not registered");
        };
        assert_eq!(register::batch_size_limit(&body), Some(1_048_320));
        op
    }

    pub(crate) fn ping(&mut self, client: u128) {
        let ping = PingHeader::build(0, Release::new(0, 17, 9), client, 0, 77);
        self.send(ping.as_bytes());
        assert_eq!(self.answer(), Answer::Pong);
    }

    /// Asks the server to tell which requests it does not take.
    pub(crate) fn ask_for_refusals(&mut self, client: u128) {
        let ping = PingHeader::build(0, Release::new(0, 17, 9), client, 0, 77);
        self.send(ping.asking_for_refusals().as_bytes());
        assert_eq!(self.answer(), Answer::Pong);
    }

    fn read(&mut self, patience: Duration) -> Answer {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let mut header: HeaderBytes = [0; 256];
        match self.stream.read_exact(&mut header) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Answer::Nothing;
            }
            Err(_) => return Answer::Closed,
        }
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match parse_header(&header, 0).unwrap() {
            Message::Pong(pong) => {
                if pong.ping_timestamp_monotonic.get() == u64::MAX {
                    return Answer::View(pong.frame.view.get());
                }
                assert_eq!(pong.ping_timestamp_monotonic.get(), 77);
                Answer::Pong
            }
            Message::Eviction(eviction) => {
                Answer::Eviction(EvictionReason::try_from(eviction.reason).unwrap())
            }
            Message::Refusal(refusal) => Answer::Refusal {
                client: refusal.client.get(),
                request: refusal.request.get(),
                reason: RefusalReason::try_from(refusal.reason).unwrap(),
            },
            Message::Reply(reply) => {
                let mut body = vec![0; reply.frame.body_bytes()];
                self.stream.read_exact(&mut body).unwrap();
                assert_eq!(verify_body(&reply.frame, &body), Ok(()));
                Answer::Reply {
                    client: reply.client.get(),
                    request: reply.request.get(),
                    op: reply.op.get(),
                    header: header.to_vec(),
                    body,
                }
            }
            other => panic!("a server does not say {other:?}"),
        }
    }
}
