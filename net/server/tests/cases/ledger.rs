//! The port with the real ledger on disk, across restarts.

use std::path::Path;

use crate::common::Running;
use crate::common::client::{Answer, Client, batch, message, new_request};
use giro_base::limits::{BATCHES_MAX, CREATE_REPLY_BYTES_MAX};
use giro_base::multi_batch::{trailer_bytes, write_trailer};
use giro_base::result::CreateResult;
use giro_base::{Account, CreateTransferStatus, Operation, Transfer};
use giro_log::{Identity, SEGMENT_BYTES_MIN, format};
use giro_server::{Options, Server};
use giro_wire::{EvictionReason, NewRequest};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

const ACCOUNTS: u128 = 50;

/// A new ledger. Below the build's folder, because a file system in memory has no direct I/O.
fn ledger() -> tempfile::TempDir {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let identity = Identity {
        cluster: 0,
        replica: 0,
        replica_count: 1,
        incarnation: 0,
        hash_key: [1, 2],
        segment_bytes: SEGMENT_BYTES_MIN.max(8 << 20),
    };
    format(directory.path(), &identity).unwrap();
    directory
}

fn ask(client: &mut Client, new: NewRequest, records: &[u8]) -> Vec<u8> {
    let size = new.operation.event_bytes();
    let mut body = batch(new.operation, records.len() / size);
    body[..records.len()].copy_from_slice(records);
    client.send(&message(&new, &body));
    match client.answer() {
        Answer::Reply { body, .. } => body,
        other => panic!("{other:?}"),
    }
}

fn of(operation: Operation, session: u64, request: u32) -> NewRequest {
    NewRequest {
        operation,
        ..new_request(7, session, request)
    }
}

fn accounts() -> Vec<u8> {
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::new_zeroed()
    };
    (1..=ACCOUNTS)
        .flat_map(|id| account(id).as_bytes().to_vec())
        .collect()
}

fn transfers(ids: impl Iterator<Item = u128>) -> Vec<u8> {
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

fn all_created(reply: &[u8], events: usize) -> bool {
    let created = u32::from(CreateTransferStatus::Created);
    reply.chunks_exact(16).take(events).all(|result| {
        let result = CreateResult::read_from_bytes(result).unwrap();
        result.status == created && result.timestamp > 0
    })
}

/// Debits and credits posted, over all accounts.
fn totals(client: &mut Client, session: u64, request: u32) -> (u128, u128) {
    let ids: Vec<u8> = (1..=ACCOUNTS).flat_map(u128::to_le_bytes).collect();
    let reply = ask(
        client,
        of(Operation::LookupAccounts, session, request),
        &ids,
    );
    let rows: Vec<Account> = reply
        .chunks_exact(128)
        .take(ACCOUNTS as usize)
        .map(|row| Account::read_from_bytes(row).unwrap())
        .collect();
    let sum = |of: fn(&Account) -> u128| rows.iter().map(of).sum();
    (sum(|row| row.debits_posted), sum(|row| row.credits_posted))
}

fn start(directory: &Path) -> (Running, Client) {
    let server = Running::on_disk(directory);
    let client = server.connect();
    (server, client)
}

#[test]
fn money_sessions_and_last_replies_survive_restarts() {
    let directory = ledger();
    let (server, mut client) = start(directory.path());
    let session = client.register(7);
    let created = ask(
        &mut client,
        of(Operation::CreateAccounts, session, 1),
        &accounts(),
    );
    assert!(all_created(&created, ACCOUNTS as usize));
    // Small ones, gathered; a full one, written in place; and a middling one.
    let mut next = 1;
    for (request, count) in (2..).zip([1, 3, 8189, 100, 31, 2]) {
        let new = of(Operation::CreateTransfers, session, request);
        let reply = ask(&mut client, new, &transfers(next..next + count));
        assert!(all_created(&reply, count as usize), "request {request}");
        next += count;
    }
    let sum = next - 1;
    assert_eq!(totals(&mut client, session, 8), (sum, sum));
    server.stop();

    let (server, mut client) = start(directory.path());
    // The last write again: the recorded reply, with nothing done twice.
    let new = of(Operation::CreateTransfers, session, 7);
    let again = ask(&mut client, new, &transfers(next - 2..next));
    assert!(all_created(&again, 2));
    assert_eq!(totals(&mut client, session, 8), (sum, sum));
    // The session goes on.
    let new = of(Operation::CreateTransfers, session, 9);
    assert!(all_created(
        &ask(&mut client, new, &transfers(next..next + 1)),
        1
    ));
    assert_eq!(totals(&mut client, session, 10), (sum + 1, sum + 1));
    // The same ids in another request: known, not created.
    let new = of(Operation::CreateTransfers, session, 11);
    assert!(!all_created(&ask(&mut client, new, &transfers(1..2)), 1));
    client.send(&message(
        &new_request(99, session, 1),
        &batch(Operation::CreateTransfers, 0),
    ));
    assert_eq!(client.answer(), Answer::Eviction(EvictionReason::NoSession));
    server.stop();
}

#[test]
fn a_create_of_mostly_empty_batches_is_answered_and_survives_a_restart() {
    const EVENTS: usize = 7166;
    let directory = ledger();
    let (server, mut client) = start(directory.path());
    let session = client.register(7);
    let payload = EVENTS * size_of::<Transfer>();
    let mut body = vec![0; payload + trailer_bytes(BATCHES_MAX, size_of::<Transfer>())];
    let mut counts = vec![0; BATCHES_MAX];
    counts[1000] = EVENTS;
    write_trailer(
        &mut body,
        payload,
        size_of::<Transfer>(),
        counts.into_iter(),
    );
    let asked = message(&of(Operation::CreateTransfers, session, 1), &body);
    let answer = |client: &mut Client| {
        client.send(&asked);
        match client.answer() {
            Answer::Reply { body, .. } => body,
            other => panic!("{other:?}"),
        }
    };
    let first = answer(&mut client);
    assert_eq!(first.len(), CREATE_REPLY_BYTES_MAX);
    server.stop();
    let (server, mut client) = start(directory.path());
    assert!(answer(&mut client) == first, "the recorded reply");
    server.stop();
}

#[test]
fn sessions_in_parallel_on_many_connections_keep_the_books_balanced() {
    const CLIENTS: u128 = 12;
    let directory = ledger();
    let (server, mut client) = start(directory.path());
    let session = client.register(7);
    ask(
        &mut client,
        of(Operation::CreateAccounts, session, 1),
        &accounts(),
    );
    let address = server.address;
    let threads: Vec<_> = (0..CLIENTS)
        .map(|number| {
            std::thread::spawn(move || {
                let mut client = Client::new(std::net::TcpStream::connect(address).unwrap());
                let id = 100 + number;
                let session = client.register(id);
                let mut next = (number + 1) << 64;
                let mut total = 0;
                for request in 1..=40 {
                    let count = [1, 7, 64, 700, 2000][request as usize % 5];
                    let new = new_request(id, session, request);
                    let reply = ask(&mut client, new, &transfers(next..next + count));
                    assert!(all_created(&reply, count as usize));
                    next += count;
                    total += count;
                }
                total
            })
        })
        .collect();
    let sum: u128 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    assert_eq!(totals(&mut client, session, 2), (sum, sum));
    server.stop();
    let (server, mut client) = start(directory.path());
    assert_eq!(totals(&mut client, session, 3), (sum, sum));
    server.stop();
}

/// One bit of every page behind the header, as soon as whoever wrote the file is done with it: a
/// piece of the checkpoint follows then.
fn damage_first_segment(directory: &Path) -> bool {
    let mut pieces = std::fs::read_dir(directory.join("history/checkpoints")).unwrap();
    if pieces.next().is_none() {
        return false;
    }
    let path = directory.join("history/0000000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    for page in bytes.chunks_exact_mut(4096).skip(1) {
        page[40] ^= 0x10;
    }
    std::fs::write(&path, bytes).unwrap();
    true
}

#[test]
fn a_read_that_meets_a_damaged_page_is_not_answered_and_ends_the_server() {
    let directory = ledger();
    let server = Server::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.address();
    let thread = std::thread::spawn({
        let directory = directory.path().to_owned();
        move || {
            let options = giro::Options {
                archive: true,
                generation_rows: 100,
                buffers: 16,
                sessions_max: 16,
                accounts_max: 1 << 16,
                ..giro::Options::default()
            };
            let engine = giro::Engine::open(&directory, &options, &mut |_| {}).unwrap();
            let options = Options {
                reactors: crate::REACTORS,
                ..Options::default()
            };
            server.serve(engine, &options)
        }
    });
    let mut client = Client::new(std::net::TcpStream::connect(address).unwrap());
    let session = client.register(7);
    ask(
        &mut client,
        of(Operation::CreateAccounts, session, 1),
        &accounts(),
    );
    let mut is_damaged = false;
    let mut request = 1;
    // The first generation leaves memory a little after it is on disk.
    let ended = loop {
        request += 1;
        let ids = u128::from(request) * 50..u128::from(request + 1) * 50;
        ask(
            &mut client,
            of(Operation::CreateTransfers, session, request),
            &transfers(ids),
        );
        is_damaged = is_damaged || damage_first_segment(directory.path());
        request += 1;
        let mut body = batch(Operation::LookupTransfers, 1);
        body[..16].copy_from_slice(&100_u128.to_le_bytes());
        client.send(&message(
            &of(Operation::LookupTransfers, session, request),
            &body,
        ));
        match client.answer() {
            Answer::Reply { body, .. } => assert!(body.len() > 128 && request < 2000),
            other => break other,
        }
    };
    assert_eq!(ended, Answer::Closed);
    let error = thread.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("0000000000000000.seg offset"), "{error}");
}
