//! What bad input gets. Each test is a row of the table "Bad input" in
//! `docs/reference/protocol.md`, and ends by checking that the server still serves.

use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::common::Running;
use crate::common::client::{Answer, batch, message, new_request, with};
use giro_base::Operation;
use giro_base::branch::{BranchKey, TryBranch, encode};
use giro_wire::{EvictionReason, NewRequest, PingHeader, Release};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use zerocopy::IntoBytes;

/// A good request of a session, to be spoiled.
fn good(session: u64, request: u32) -> Vec<u8> {
    let body = batch(Operation::CreateTransfers, 3);
    message(&new_request(7, session, request), &body)
}

fn is_reply(answer: &Answer) -> bool {
    matches!(answer, Answer::Reply { .. })
}

#[test]
fn what_makes_no_sense_closes_the_connection() {
    let server = Running::start(|_| {});
    let session = server.connect().register(7);
    let flipped = |at: usize| {
        let mut bytes = good(session, 1);
        bytes[at] ^= 1;
        bytes
    };
    let resealed = |at, bytes: &[u8]| with(good(session, 1), at, bytes);
    let cases = [
        ("header checksum", flipped(0)),
        ("header byte", flipped(200)),
        ("body checksum", flipped(300)),
        ("cluster", resealed(80, &[1])),
        ("unknown command", resealed(114, &[25])),
        ("size of 0", resealed(96, &0_u32.to_le_bytes())),
        ("size below a header", resealed(96, &255_u32.to_le_bytes())),
        ("oversized", resealed(96, &1_048_577_u32.to_le_bytes())),
        ("largest number", resealed(96, &u32::MAX.to_le_bytes())),
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n".repeat(20)),
    ];
    for (count, (name, bytes)) in (1..).zip(cases) {
        let mut client = server.connect();
        client.send(&bytes);
        assert_eq!(client.answer(), Answer::Closed, "{name}");
        server.until(|seen| seen.closed_fault == count);
    }
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 1);
    server.assert_serves();
}

#[test]
fn a_large_message_with_a_damaged_body_closes_the_connection() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    let session = client.register(7);
    let body = batch(Operation::CreateTransfers, 8189);
    let mut bytes = message(&new_request(7, session, 1), &body);
    bytes[1_000_000] ^= 1;
    client.send(&bytes);
    assert_eq!(client.answer(), Answer::Closed);
    server.until(|seen| seen.open == 0);
    let free = server.pool.free_count();
    assert_eq!(free, 4, "its buffer came back");
    server.assert_serves();
}

#[test]
fn what_breaks_a_rule_is_skipped_and_the_connection_lives() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    let session = client.register(7);
    let cases: [(&str, usize, &[u8]); 9] = [
        ("protocol version", 112, &[1]),
        ("reserved bits of the frame", 127, &[1]),
        ("reserved bits of the request", 255, &[1]),
        ("release 0", 108, &[0; 4]),
        ("replica", 115, &[1]),
        ("client 0", 160, &[0; 16]),
        ("session 0", 176, &[0; 8]),
        ("timestamp", 184, &[1]),
        ("operation below 128", 196, &[99]),
    ];
    for (count, (name, at, bytes)) in (1..).zip(cases) {
        client.send(&with(good(session, 1), at, bytes));
        server.until(|seen| seen.ignored == count);
        assert!(client.is_silent(), "{name}");
    }
    // What only servers or replicas send, with a body larger than a receive.
    let large = message(&new_request(7, session, 1), &[0; 32_000]);
    for command in [4, 7, 8, 18, 24] {
        client.send(&with(large.clone(), 114, &[command]));
    }
    client.send(&good(session, 1));
    assert!(is_reply(&client.answer()), "and the stream goes on behind");
    server.assert_serves();
}

#[test]
fn what_cannot_be_done_ends_the_session() {
    let server = Running::start(|_| {});
    server.connect().register(1);
    let mut client = server.connect();
    let session = client.register(7);
    let request = |operation: Operation, body: &[u8]| {
        let new = NewRequest {
            operation,
            ..new_request(7, session, 1)
        };
        message(&new, body)
    };
    let register = |release, body: &[u8]| {
        let new = NewRequest {
            operation: Operation::Register,
            release,
            ..new_request(8, 0, 0)
        };
        message(&new, body)
    };
    let (new, old) = (Release::new(0, 17, 9), Release::new(0, 16, 3));
    let other_release = NewRequest {
        release: Release::DEVELOPMENT,
        ..new_request(7, session, 1)
    };
    let ids = batch(Operation::LookupAccounts, 2);
    let no_archive = [0xA5; 100];
    // An archive, of a branch without legs.
    let tries = encode(&vec![TryBranch {
        key: BranchKey::new("gid", "01"),
        timeout: 0,
        legs: [].into_iter().collect(),
    }]);
    use EvictionReason as Reason;
    let cases = [
        (register(old, &[0; 256]), Reason::ClientReleaseTooLow),
        (register(old, &[]), Reason::ClientReleaseTooLow),
        (register(new, &[]), Reason::InvalidRequestBodySize),
        (register(new, &[1; 256]), Reason::InvalidRequestBody),
        (
            with(good(session, 1), 196, &[200]),
            Reason::InvalidRequestOperation,
        ),
        (
            request(Operation::Pulse, &[]),
            Reason::InvalidRequestOperation,
        ),
        (
            request(Operation::QueryAccounts, &ids),
            Reason::InvalidRequestOperation,
        ),
        (
            request(Operation::CreateTransfers, &[]),
            Reason::InvalidRequestBody,
        ),
        (
            request(Operation::CreateTransfers, &[0; 128]),
            Reason::InvalidRequestBody,
        ),
        (
            request(Operation::CreateTransfers, &[0; 127]),
            Reason::InvalidRequestBody,
        ),
        (
            request(Operation::LookupAccounts, &ids[1..]),
            Reason::InvalidRequestBody,
        ),
        (
            message(&new_request(99, session, 1), &ids[..0]),
            Reason::InvalidRequestBody,
        ),
        (
            request(Operation::TryBranches, &no_archive),
            Reason::InvalidRequestBody,
        ),
        (
            request(Operation::ConfirmBranches, &tries),
            Reason::InvalidRequestBody,
        ),
        (
            request(Operation::TryBranches, &tries),
            Reason::InvalidRequestBody,
        ),
        (
            request(Operation::ListBranches, &[0; 63]),
            Reason::InvalidRequestBody,
        ),
        (with(good(session, 1), 160, &[9]), Reason::NoSession),
        (
            message(&other_release, &batch(Operation::CreateTransfers, 0)),
            Reason::SessionReleaseMismatch,
        ),
    ];
    for (bytes, reason) in cases {
        client.send(&bytes);
        assert_eq!(client.answer(), Answer::Eviction(reason));
    }
    // The session itself is as it was.
    client.send(&good(session, 1));
    assert!(is_reply(&client.answer()));
    client.send(&good(session - 1, 2));
    assert_eq!(client.answer(), Answer::Eviction(Reason::SessionTooLow));
    client.send(&good(session + 1, 2));
    assert!(
        client.is_silent(),
        "a session of the future is not answered"
    );
    server.assert_serves();
}

#[test]
fn an_eviction_is_of_a_view_the_client_believes() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    let new = NewRequest {
        view: 500,
        ..new_request(7, 3, 1)
    };
    client.send(&message(&new, &batch(Operation::CreateTransfers, 0)));
    let mut header = [0_u8; 256];
    std::io::Read::read_exact(&mut client.stream, &mut header).unwrap();
    assert_eq!(header[104..108], 500_u32.to_le_bytes());
}

#[test]
fn a_truncated_message_is_never_obeyed() {
    let server = Running::start(|_| {});
    let session = server.connect().register(7);
    let create = Operation::CreateTransfers;
    let large = message(&new_request(7, session, 1), &batch(create, 8189));
    for bytes in [
        &good(session, 1)[..100],
        &good(session, 1)[..400],
        &large[..500_000],
    ] {
        let mut client = server.connect();
        client.send(bytes);
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.answer(), Answer::Closed);
    }
    server.until(|seen| seen.open == 0);
    assert_eq!(server.pool.free_count(), 4, "its buffer came back");
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 1);
    server.assert_serves();
}

#[test]
fn a_half_open_sender_is_closed_at_its_deadline() {
    let server = Running::start(|options| {
        options.receive_deadline = Duration::from_millis(200);
    });
    let session = server.connect().register(7);
    let create = Operation::CreateTransfers;
    let large = message(&new_request(7, session, 1), &batch(create, 8189));
    for bytes in [
        &good(session, 1)[..1],
        &good(session, 1)[..300],
        &large[..500_000],
    ] {
        let mut client = server.connect();
        client.send(bytes);
        let start = Instant::now();
        assert_eq!(client.answer(), Answer::Closed);
        assert!(start.elapsed() > Duration::from_millis(150));
    }
    server.until(|seen| seen.closed_receive_deadline == 3 && seen.open == 0);
    assert_eq!(server.pool.free_count(), 4, "its buffer came back");
    server.assert_serves();
}

#[test]
fn a_slow_but_steady_sender_is_served() {
    let server = Running::start(|options| {
        options.receive_deadline = Duration::from_secs(5);
    });
    let mut client = server.connect();
    let session = client.register(7);
    for part in good(session, 1).chunks(100) {
        client.stream.write_all(part).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(is_reply(&client.answer()));
}

#[test]
fn a_silent_connection_is_closed_only_when_it_never_spoke() {
    let server = Running::start(|options| {
        options.greeting_deadline = Duration::from_millis(200);
    });
    let mut known = server.connect();
    known.register(7);
    let mut silent = server.connect();
    assert_eq!(silent.answer(), Answer::Closed);
    server.until(|seen| seen.closed_greeting_deadline == 1);
    std::thread::sleep(Duration::from_millis(300));
    known.ping(7);
}

#[test]
fn a_client_that_never_reads_is_closed_and_costs_bounded_memory() {
    let server = Running::start(|options| {
        options.send_deadline = Duration::from_millis(300);
    });
    let mut client = server.connect();
    let lookup = Operation::LookupTransfers;
    let session = client.register(7);
    let mut others = server.connect();
    let other_session = others.register(8);
    // Each asks for 1 MiB; nobody reads it.
    for request in 1..200 {
        let new = NewRequest {
            operation: lookup,
            ..new_request(7, session, request)
        };
        client.send(&message(&new, &batch(lookup, 8000)));
    }
    server.until(|seen| seen.closed_send_deadline == 1 && seen.open == 1);
    let new = NewRequest {
        operation: lookup,
        ..new_request(8, other_session, 1)
    };
    others.send(&message(&new, &batch(lookup, 8000)));
    assert!(is_reply(&others.answer()), "its buffers came back");
    server.assert_serves();
}

#[test]
fn large_replies_beyond_the_buffers_are_sent_when_one_is_free() {
    let server = Running::start(|options| options.large_replies_max = 1);
    let mut client = server.connect();
    let create = Operation::CreateTransfers;
    let sessions: Vec<u64> = (1..=6).map(|id| client.register(id)).collect();
    server.gate.stuck.store(true, Ordering::SeqCst);
    for (id, session) in (1..).zip(&sessions) {
        client.send(&message(
            &new_request(id, *session, 1),
            &batch(create, 2000),
        ));
    }
    server.until(|seen| seen.requests == 12);
    server.gate.stuck.store(false, Ordering::SeqCst);
    let mut seen: Vec<u128> = (0..6)
        .map(|_| match client.answer() {
            Answer::Reply { client, .. } => client,
            other => panic!("{other:?}"),
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn writes_do_not_wait_behind_a_client_that_never_reads() {
    let server = Running::start(|options| options.large_replies_max = 1);
    let lookup = |client, session| {
        let new = NewRequest {
            operation: Operation::LookupTransfers,
            ..new_request(client, session, 1)
        };
        message(&new, &batch(Operation::LookupTransfers, 8000))
    };
    // The lazy ones take the only buffer for a large reply, and wait for it.
    let mut lazy: Vec<_> = (1..=8).map(|id| (id, server.connect())).collect();
    for (id, client) in &mut lazy {
        let session = client.register(*id);
        for _ in 0..8 {
            client.send(&lookup(*id, session));
        }
    }
    let mut client = server.connect();
    let session = client.register(100);
    for request in 1..=20 {
        let body = batch(Operation::CreateTransfers, 3);
        client.send(&message(&new_request(100, session, request), &body));
        assert!(is_reply(&client.answer()));
    }
    server.until(|seen| seen.dropped_busy > 0);
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 29);
}

#[test]
fn a_flood_of_connections_is_refused_one_by_one() {
    let server = Running::start(|options| options.connections_max = 8);
    let mut kept: Vec<_> = (0..8).map(|_| server.connect()).collect();
    server.until(|seen| seen.open == 8);
    for _ in 0..100 {
        assert_eq!(server.connect().answer(), Answer::Closed);
    }
    let seen = server.until(|seen| seen.refused == 100);
    assert_eq!(seen.open, 8);
    for client in &mut kept {
        client.ping(7);
    }
    // Room that is made is used.
    drop(kept.pop());
    server.until(|seen| seen.open == 7);
    server.assert_serves();
}

#[test]
fn no_buffer_in_time_drops_the_request_and_keeps_the_connection() {
    let server = Running::with_buffers(1, |options| {
        options.request_deadline = Duration::from_millis(100);
    });
    let taken = server.pool.take().unwrap();
    let mut client = server.connect();
    let session = client.register(7);
    let create = Operation::CreateTransfers;
    let large = message(&new_request(7, session, 1), &batch(create, 8189));
    client.send(&large);
    server.until(|seen| seen.dropped_busy == 1);
    drop(taken);
    client.send(&large);
    assert!(is_reply(&client.answer()));
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 2);
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let server = Running::start(|_| {});
    let session = server.connect().register(7);
    for round in 0..300_usize {
        let mut client = server.connect();
        let bytes = good(session, 1);
        client.send(&bytes[..round * 2 % bytes.len()]);
    }
    server.until(|seen| seen.accepted == 301 && seen.open == 0);
    server.assert_serves();
}

/// Streams of good and spoiled messages, and of noise, never stop the server.
#[test]
fn no_bytes_stop_the_server() {
    let server = Running::start(|_| {});
    let session = server.connect().register(7);
    let piece = (any::<u8>(), 0_usize..256, any::<[u8; 8]>(), 0_usize..40);
    let stream = prop::collection::vec(piece, 1..6);
    let mut runner = TestRunner::deterministic();
    let config = runner.config().cases.min(200);
    for number in 0..config {
        let pieces = stream.new_tree(&mut runner).unwrap().current();
        let mut client = server.connect();
        for (kind, at, bytes, events) in pieces {
            let operation = Operation::try_from(128 + kind % 20).unwrap();
            let new = NewRequest {
                operation,
                ..new_request(7 + u128::from(kind / 128), session, number)
            };
            let message = message(&new, &batch(Operation::CreateTransfers, events));
            let end = (at + 8).min(256);
            client.send(&match kind % 4 {
                0 => bytes.repeat(64),
                1 => PingHeader::build(0, new.release, new.client, session, 1)
                    .as_bytes()
                    .to_vec(),
                2 => with(
                    message,
                    at.max(16),
                    &bytes[..end.saturating_sub(at.max(16))],
                ),
                _ => message,
            });
        }
    }
    server.until(|seen| seen.open == 0);
    server.assert_serves();
}
