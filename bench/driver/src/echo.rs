//! A server of the binary protocol that has no ledger: it says `created` to everything. What the
//! driver reaches against it is the driver's own limit.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use giro_base::limits::{MESSAGE_BYTES_MAX, MESSAGE_HEADER_BYTES};
use giro_base::multi_batch::{Body, trailer_bytes, write_trailer};
use giro_base::{CreateTransferStatus, Operation};
use giro_wire::{
    HeaderBytes, Message, NewReply, PongHeader, ReplyHeader, RequestHeader, parse_header, register,
};
use zerocopy::IntoBytes;

/// All messages are of it.
const CLUSTER: u128 = 0;

/// Bytes of a result.
const RESULT_BYTES: usize = 16;

/// Listens on the loopback interface, on threads of its own that end with their connections.
/// `begin` is called on each of them first.
///
/// # Errors
/// When it cannot listen.
pub fn start(begin: fn()) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::Builder::new()
        .name("echo".into())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    begin();
                    // A connection that ends, ends its echo.
                    let _ = Echo::new(stream).and_then(|mut echo| echo.serve());
                });
            }
        })?;
    Ok(address)
}

/// One connection.
struct Echo {
    stream: TcpStream,
    /// What was received, from `taken` to `filled`.
    input: Vec<u8>,
    taken: usize,
    filled: usize,
    /// Answers that leave together.
    output: Vec<u8>,
    op: u64,
}

impl Echo {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: vec![0; 4 * MESSAGE_BYTES_MAX],
            taken: 0,
            filled: 0,
            output: Vec::with_capacity(MESSAGE_BYTES_MAX),
            op: 0,
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            if self.input.len() - self.filled < MESSAGE_BYTES_MAX {
                self.input.copy_within(self.taken..self.filled, 0);
                self.filled -= self.taken;
                self.taken = 0;
            }
            let count = self.stream.read(&mut self.input[self.filled..])?;
            if count == 0 {
                return Ok(());
            }
            self.filled += count;
            while let Some(bytes) = self.next_message() {
                let from = self.taken;
                self.taken += bytes;
                self.answer(from, bytes)?;
            }
            self.stream.write_all(&self.output)?;
            self.output.clear();
        }
    }

    /// Bytes of the next message, once all of it is here.
    fn next_message(&self) -> Option<usize> {
        let here = &self.input[self.taken..self.filled];
        let header = here.first_chunk::<MESSAGE_HEADER_BYTES>()?;
        let bytes = match parse_header(header, CLUSTER) {
            Ok(Message::Request(request)) => request.frame.size.get() as usize,
            _ => MESSAGE_HEADER_BYTES,
        };
        (here.len() >= bytes).then_some(bytes)
    }

    fn answer(&mut self, from: usize, bytes: usize) -> io::Result<()> {
        let message = &self.input[from..from + bytes];
        let (header, body) = message.split_at(MESSAGE_HEADER_BYTES);
        let header: &HeaderBytes = header.first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
        let message = parse_header(header, CLUSTER);
        match message.map_err(|error| io::Error::other(error.to_string()))? {
            Message::Ping(ping) => {
                let pong = PongHeader::build(ping, 1);
                self.output.extend_from_slice(pong.as_bytes());
            }
            Message::Request(request) => {
                let operation = request.operation().ok_or(io::ErrorKind::Unsupported)?;
                self.op += 1;
                let reply = if operation == Operation::Register {
                    register::reply_body().to_vec()
                } else {
                    created(operation, body)?
                };
                let reply_header = reply_to(request, operation, self.op, &reply);
                self.output.extend_from_slice(reply_header.as_bytes());
                self.output.extend_from_slice(&reply);
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        Ok(())
    }
}

/// `created` for each event.
fn created(operation: Operation, body: &[u8]) -> io::Result<Vec<u8>> {
    if !matches!(
        operation,
        Operation::CreateTransfers | Operation::CreateAccounts
    ) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let body = Body::parse(operation, body).map_err(|_| io::ErrorKind::InvalidData)?;
    let counts: Vec<usize> = body.batches().collect();
    let payload = body.event_count() * RESULT_BYTES;
    let mut out = vec![0; payload + trailer_bytes(counts.len(), RESULT_BYTES)];
    let status = u32::from(CreateTransferStatus::Created).to_le_bytes();
    for result in out[..payload].chunks_exact_mut(RESULT_BYTES) {
        result[0] = 1;
        result[8..12].copy_from_slice(&status);
    }
    write_trailer(&mut out, payload, RESULT_BYTES, counts.into_iter());
    Ok(out)
}

fn reply_to(request: &RequestHeader, operation: Operation, op: u64, body: &[u8]) -> ReplyHeader {
    let reply = NewReply {
        cluster: CLUSTER,
        view: 1,
        release: request.frame.release(),
        request_checksum: request.frame.checksum.get(),
        client: request.client.get(),
        op,
        timestamp: op,
        request: request.request.get(),
        operation,
    };
    ReplyHeader::build(&reply, body)
}
