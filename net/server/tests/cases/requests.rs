//! What well-behaved clients get.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::common::Running;
use crate::common::client::{Answer, Client, batch, message, new_request};
use giro_base::Operation;
use giro_wire::{EvictionReason, NewRequest, PingHeader, Release};
use zerocopy::IntoBytes;

fn reply_bytes(answer: &Answer) -> usize {
    match answer {
        Answer::Reply { body, .. } => body.len(),
        other => panic!("{other:?} is not a reply"),
    }
}

fn of(operation: Operation, session: u64, request: u32) -> NewRequest {
    NewRequest {
        operation,
        ..new_request(7, session, request)
    }
}

#[test]
fn requests_of_every_size_are_answered() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    let session = client.register(7);
    let sizes = [0, 1, 20, 31, 64, 600, 8189];
    for (request, events) in (1..).zip(sizes) {
        let body = batch(Operation::CreateTransfers, events);
        client.send(&message(&new_request(7, session, request), &body));
        let answer = client.answer();
        assert_eq!(reply_bytes(&answer), 16 * events + 16, "{events} events");
    }
    // Only the two largest bodies are worth a record of their own.
    assert_eq!(server.gate.in_place.load(Ordering::SeqCst), 2);
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 8);
}

#[test]
fn reads_noops_and_old_operations_are_answered() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    let session = client.register(7);
    let lookup = Operation::LookupTransfers;
    for (request, events) in (1..).zip([0, 1, 31, 32, 8188]) {
        let new = of(lookup, session, request);
        client.send(&message(&new, &batch(lookup, events)));
        assert_eq!(reply_bytes(&client.answer()), 128 * events + 128);
    }
    client.send(&message(&of(Operation::Noop, session, 6), &[]));
    assert_eq!(reply_bytes(&client.answer()), 0);
    let sparse = Operation::CreateAccountsSparse;
    client.send(&message(&of(sparse, session, 7), &batch(sparse, 3)));
    assert_eq!(reply_bytes(&client.answer()), 8);
    let unbatched = Operation::CreateTransfersUnbatched;
    client.send(&message(&of(unbatched, session, 8), &[0; 256]));
    assert_eq!(reply_bytes(&client.answer()), 0);
}

#[test]
fn a_resent_request_gets_the_same_bytes_and_runs_once() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    let session = client.register(7);
    let request = message(
        &new_request(7, session, 1),
        &batch(Operation::CreateTransfers, 5),
    );
    client.send(&request);
    let first = client.answer();
    client.send(&request);
    assert_eq!(client.answer(), first);
    // Also on another connection, where replies go from then on.
    let mut second = server.connect();
    second.send(&request);
    assert_eq!(second.answer(), first);
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 2);
}

#[test]
fn a_reply_goes_to_the_connection_that_spoke_last() {
    let server = Running::start(|_| {});
    let mut first = server.connect();
    let session = first.register(7);
    server.gate.stuck.store(true, Ordering::SeqCst);
    let request = message(
        &new_request(7, session, 1),
        &batch(Operation::CreateTransfers, 1),
    );
    first.send(&request);
    server.until(|seen| seen.requests == 2);
    let mut second = server.connect();
    second.send(&request);
    server.until(|seen| seen.dropped == 1);
    server.gate.open();
    assert_eq!(reply_bytes(&second.answer()), 32);
    assert!(first.is_silent());
}

#[test]
fn many_sessions_share_a_connection_back_to_back() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    let sessions: Vec<u64> = (1..=100).map(|id| client.register(id)).collect();
    let mut stream = Vec::new();
    for (id, session) in (1..).zip(&sessions) {
        let events = if id % 10 == 0 { 700 } else { 3 };
        let body = batch(Operation::CreateTransfers, events);
        stream.extend(message(&new_request(id, *session, 1), &body));
    }
    client.send(&stream);
    let mut seen: Vec<u128> = (0..100)
        .map(|_| match client.answer() {
            Answer::Reply { client, .. } => client,
            other => panic!("{other:?}"),
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=100).collect::<Vec<_>>());
}

#[test]
fn a_thousand_connections_are_served() {
    let server = Running::start(|_| {});
    let mut clients: Vec<_> = (0..1000).map(|_| server.connect()).collect();
    let sessions: Vec<u64> = (1..)
        .zip(&mut clients)
        .map(|(id, client)| client.register(id))
        .collect();
    for ((id, client), session) in (1..).zip(&mut clients).zip(&sessions) {
        let body = batch(Operation::CreateTransfers, 1);
        client.send(&message(&new_request(id, *session, 1), &body));
    }
    for client in &mut clients {
        assert_eq!(reply_bytes(&client.answer()), 32);
    }
}

#[test]
fn many_large_requests_at_once_take_turns_for_buffers() {
    let server = Running::with_buffers(2, |options| {
        options.request_deadline = Duration::from_secs(60);
    });
    let address = server.address;
    let threads: Vec<_> = (1..=8_u128)
        .map(|id| {
            std::thread::spawn(move || {
                let stream = std::net::TcpStream::connect(address).unwrap();
                let mut client = Client::new(stream);
                let session = client.register(id);
                let create = Operation::CreateTransfers;
                for request in 1..=5 {
                    client.send(&message(
                        &new_request(id, session, request),
                        &batch(create, 8189),
                    ));
                    assert_eq!(reply_bytes(&client.answer()), 131_040);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(server.pool.free_count(), 2, "every buffer came back");
}

#[test]
fn a_request_that_there_is_room_for_is_taken_however_late_it_is() {
    let server = Running::start(|options| {
        options.request_deadline = Duration::from_millis(100);
    });
    let mut client = server.connect();
    let session = client.register(7);
    server.gate.full.store(true, Ordering::SeqCst);
    let create = Operation::CreateTransfers;
    client.send(&message(&of(create, session, 1), &batch(create, 1)));
    std::thread::sleep(Duration::from_millis(20));
    // The ledger is busy beyond the deadline, and has room then.
    server.gate.slow_room.store(200, Ordering::SeqCst);
    assert!(matches!(client.answer(), Answer::Reply { request: 1, .. }));
    assert_eq!(server.handle.counters().dropped_busy, 0);
}

#[test]
fn a_full_ledger_holds_a_request_and_drops_it_at_its_deadline() {
    let server = Running::start(|options| {
        options.request_deadline = Duration::from_millis(300);
    });
    let mut client = server.connect();
    let session = client.register(7);
    server.gate.full.store(true, Ordering::SeqCst);
    let body = batch(Operation::CreateTransfers, 1);
    client.send(&message(&new_request(7, session, 1), &body));
    std::thread::sleep(Duration::from_millis(50));
    server.gate.full.store(false, Ordering::SeqCst);
    assert_eq!(reply_bytes(&client.answer()), 32, "room came in time");

    server.gate.full.store(true, Ordering::SeqCst);
    let second = message(&new_request(7, session, 2), &body);
    client.send(&second);
    server.until(|seen| seen.dropped_busy == 1);
    server.gate.full.store(false, Ordering::SeqCst);
    client.send(&second);
    assert_eq!(reply_bytes(&client.answer()), 32, "it was sent again");
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 3);
}

#[test]
fn a_stop_answers_what_was_taken() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    let session = client.register(7);
    server.gate.stuck.store(true, Ordering::SeqCst);
    let body = batch(Operation::CreateTransfers, 8189);
    client.send(&message(&new_request(7, session, 1), &body));
    server.until(|seen| seen.requests == 2);
    server.handle.stop();
    std::thread::sleep(Duration::from_millis(50));
    let gate = std::sync::Arc::clone(&server.gate);
    gate.stuck.store(false, Ordering::SeqCst);
    assert_eq!(reply_bytes(&client.answer()), 131_040);
    assert_eq!(client.answer(), Answer::Closed);
    let address = server.address;
    server.stop();
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let server = Running::start(|options| {
        options.shutdown_deadline = Duration::from_millis(100);
    });
    let mut client = server.connect();
    let session = client.register(7);
    server.gate.stuck.store(true, Ordering::SeqCst);
    let body = batch(Operation::CreateTransfers, 1);
    client.send(&message(&new_request(7, session, 1), &body));
    server.until(|seen| seen.requests == 2);
    server.stop();
    assert_eq!(client.answer(), Answer::Closed);
}

#[test]
fn pings_are_answered_by_the_rules() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    let new = Release::new(0, 17, 9);
    let session = client.register(7);
    for (release, id, session, expected) in [
        (new, 9, 0, Answer::Pong),
        (new, 9, 1_000_000, Answer::Pong),
        (new, 7, session, Answer::Pong),
        (new, 9, session, Answer::Eviction(EvictionReason::NoSession)),
        (
            Release::new(0, 16, 3),
            7,
            session,
            Answer::Eviction(EvictionReason::ClientReleaseTooLow),
        ),
    ] {
        client.send(PingHeader::build(0, release, id, session, 77).as_bytes());
        assert_eq!(client.answer(), expected);
    }
}
