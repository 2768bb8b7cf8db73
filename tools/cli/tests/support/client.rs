//! A client that sends when told and reads when told: what the tests need and no more.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use giro_base::multi_batch::{trailer_bytes, write_trailer};
use giro_base::result::CreateResult;
use giro_base::{Account, CreateTransferStatus, Operation, Transfer};
use giro_wire::{HeaderBytes, Message, NewRequest, Release, RequestHeader, parse_header, register};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// How long an answer may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);
/// Accounts 1 to this are opened by [`Client::open_accounts`].
pub(crate) const ACCOUNTS: u128 = 10;

/// A connection with one session at a time, or several by hand.
pub(crate) struct Client {
    stream: TcpStream,
    pub(crate) id: u128,
    pub(crate) session: u64,
    request: u32,
}

/// A reply: whose, and its body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) client: u128,
    pub(crate) op: u64,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            id: 0,
            session: 0,
            request: 0,
        }
    }

    /// Opens a session for the client `id`.
    pub(crate) fn register(&mut self, id: u128) -> &mut Self {
        let body = [0; register::REGISTER_REQUEST_BYTES];
        self.send(&message(id, 0, 0, Operation::Register, &body));
        let reply = self.answer().expect("a register is answered");
        (self.id, self.session, self.request) = (id, reply.op, 0);
        self
    }

    /// Goes on with a session of an earlier connection.
    pub(crate) fn resume(&mut self, other: &Self) {
        (self.id, self.session, self.request) = (other.id, other.session, other.request);
    }

    /// The next request of the session, not sent yet.
    pub(crate) fn next(&mut self, operation: Operation, records: &[u8]) -> Vec<u8> {
        self.request += 1;
        let body = body(operation, records);
        message(self.id, self.session, self.request, operation, &body)
    }

    pub(crate) fn ask(&mut self, operation: Operation, records: &[u8]) -> Vec<u8> {
        let request = self.next(operation, records);
        self.send(&request);
        self.answer().expect("an answer").body
    }

    /// Opens the accounts every test uses.
    pub(crate) fn open_accounts(&mut self) {
        let account = |id| Account {
            id,
            ledger: 1,
            code: 1,
            ..Account::new_zeroed()
        };
        let records: Vec<u8> = (1..=ACCOUNTS)
            .flat_map(|id| account(id).as_bytes().to_vec())
            .collect();
        self.ask(Operation::CreateAccounts, &records);
    }

    /// Makes these transfers; all must be created.
    pub(crate) fn pay(&mut self, ids: std::ops::Range<u128>) {
        let count = (ids.end - ids.start) as usize;
        let reply = self.ask(Operation::CreateTransfers, &transfers(ids));
        assert_eq!(created(&reply, count), count);
    }

    /// Writes; a connection that was closed meanwhile is for `answer` to find out.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Whether nothing comes for so long.
    pub(crate) fn is_silent(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let seen = self.stream.peek(&mut [0]);
        seen.is_err_and(|e| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// The next reply; none when the server closed the connection.
    pub(crate) fn answer(&mut self) -> Option<Reply> {
        assert!(!self.is_silent(PATIENCE), "an answer in time");
        let mut header: HeaderBytes = [0; 256];
        let reply = loop {
            self.stream.read_exact(&mut header).ok()?;
            match parse_header(&header, 0) {
                Ok(Message::Reply(reply)) => break reply,
                // A replica that does not lead says who does.
                Ok(Message::Pong(_)) => assert!(!self.is_silent(PATIENCE), "an answer in time"),
                other => panic!("not a reply: {other:?}"),
            }
        };
        let mut body = vec![0; reply.frame.body_bytes()];
        // A server that stops closes the connection, also in the middle of a reply.
        self.stream.read_exact(&mut body).ok()?;
        Some(Reply {
            client: reply.client.get(),
            op: reply.op.get(),
            body,
        })
    }
}

/// The bytes of a request.
pub(crate) fn message(
    client: u128,
    session: u64,
    request: u32,
    operation: Operation,
    body: &[u8],
) -> Vec<u8> {
    let new = NewRequest {
        cluster: 0,
        view: 0,
        release: Release::new(0, 17, 9),
        client,
        session,
        parent: 0,
        request,
        operation,
        previous_request_latency: 0,
    };
    let mut bytes = RequestHeader::build(&new, body).as_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// The records as one batch.
pub(crate) fn body(operation: Operation, records: &[u8]) -> Vec<u8> {
    let size = operation.event_bytes();
    let events = records.len() / size;
    let mut body = records.to_vec();
    body.resize(records.len() + trailer_bytes(1, size), 0);
    write_trailer(&mut body, records.len(), size, [events].into_iter());
    body
}

/// Transfers of 1 between the accounts.
pub(crate) fn transfers(ids: std::ops::Range<u128>) -> Vec<u8> {
    let transfer = |id| Transfer {
        id,
        debit_account_id: 1 + id % ACCOUNTS,
        credit_account_id: 1 + (id + 1) % ACCOUNTS,
        amount: 1,
        ledger: 1,
        code: 1,
        ..Transfer::new_zeroed()
    };
    ids.flat_map(|id| transfer(id).as_bytes().to_vec())
        .collect()
}

/// How many of the first `events` results say created.
pub(crate) fn created(reply: &[u8], events: usize) -> usize {
    let results = reply.chunks_exact(size_of::<CreateResult>()).take(events);
    results
        .filter(|result| {
            let result = CreateResult::read_from_bytes(result).unwrap();
            result.status == u32::from(CreateTransferStatus::Created)
        })
        .count()
}
