//! What a client that asks for refusals is told, and that nobody else is.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::common::Running;
use crate::common::client::{Answer, batch, message, new_request};
use giro_base::Operation;
use giro_wire::RefusalReason;

const CREATE: Operation = Operation::CreateTransfers;

fn busy(client: u128, request: u32) -> Answer {
    Answer::Refusal {
        client,
        request,
        reason: RefusalReason::Busy,
    }
}

#[test]
fn who_asks_is_told_that_the_ledger_has_no_room() {
    let server = Running::start(|options| {
        options.request_deadline = Duration::from_millis(50);
    });
    let mut asks = server.connect();
    asks.ask_for_refusals(99);
    let session = asks.register(7);
    let mut silent = server.connect();
    let other = silent.register(8);
    server.gate.full.store(true, Ordering::SeqCst);
    let request = message(&new_request(7, session, 1), &batch(CREATE, 1));
    asks.send(&request);
    silent.send(&message(&new_request(8, other, 1), &batch(CREATE, 1)));
    assert_eq!(asks.answer(), busy(7, 1));
    server.until(|seen| seen.dropped_busy == 2);
    assert!(silent.is_silent(), "official clients would not understand");
    server.gate.open();
    asks.send(&request);
    assert!(matches!(asks.answer(), Answer::Reply { request: 1, .. }));
    assert_eq!(server.handle.counters().told, 1);
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 3);
}

#[test]
fn who_asks_is_told_that_there_is_no_buffer() {
    let server = Running::with_buffers(1, |options| {
        options.request_deadline = Duration::from_millis(50);
    });
    let mut asks = server.connect();
    asks.ask_for_refusals(99);
    let session = asks.register(7);
    let mut holder = server.connect();
    let other = holder.register(8);
    // A message that has begun keeps the only buffer.
    let begun = message(&new_request(8, other, 1), &batch(CREATE, 8189));
    holder.send(&begun[..8192]);
    std::thread::sleep(Duration::from_millis(20));
    let large = message(&new_request(7, session, 1), &batch(CREATE, 1000));
    asks.send(&large);
    assert_eq!(asks.answer(), busy(7, 1));
    // The rest of the refused message is skipped, and the connection goes on.
    asks.send(&message(&new_request(7, session, 2), &batch(CREATE, 2)));
    assert!(matches!(asks.answer(), Answer::Reply { request: 2, .. }));
    holder.send(&begun[8192..]);
    assert!(matches!(holder.answer(), Answer::Reply { .. }));
}

#[test]
fn a_register_that_finds_every_session_in_use_is_refused() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    client.ask_for_refusals(99);
    server.gate.crowded.store(true, Ordering::SeqCst);
    let register = giro_wire::NewRequest {
        operation: Operation::Register,
        ..new_request(7, 0, 0)
    };
    client.send(&message(&register, &[0; 256]));
    let reason = RefusalReason::SessionsFull;
    let expected = Answer::Refusal {
        client: 7,
        request: 0,
        reason,
    };
    assert_eq!(client.answer(), expected);
}

#[test]
fn whoever_asks_a_node_that_does_not_lead_is_told_of_a_newer_view() {
    let server = Running::start(|_| {});
    let mut official = server.connect();
    let session = official.register(7);
    let mut asks = server.connect();
    asks.ask_for_refusals(8);
    server.gate.elsewhere.store(130, Ordering::SeqCst);
    // From the next turn on it is known.
    official.ping(7);
    let request = message(&new_request(7, session, 1), &batch(CREATE, 1));
    for _ in 0..2 {
        official.send(&request);
        assert_eq!(official.answer(), Answer::View(130));
    }
    asks.send(&message(&new_request(8, session, 1), &batch(CREATE, 1)));
    assert_eq!(asks.answer(), Answer::View(130));
    let reason = RefusalReason::NotLeader;
    let refusal = Answer::Refusal {
        client: 8,
        request: 1,
        reason,
    };
    assert_eq!(asks.answer(), refusal);
    // Who knows it is not told.
    let knows = giro_wire::NewRequest {
        view: 130,
        ..new_request(7, session, 2)
    };
    official.send(&message(&knows, &batch(CREATE, 1)));
    assert!(official.is_silent());
    assert_eq!(server.handle.counters().sent_away, 4);
}
