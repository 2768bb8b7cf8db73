//! What can go wrong only between threads.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use giro_base::Operation;
use giro_wire::NewRequest;

use crate::common::Running;
use crate::common::client::{Answer, Client, batch, message, new_request};

const CREATE: Operation = Operation::CreateTransfers;
const LOOKUP: Operation = Operation::LookupTransfers;

fn write(client: u128, session: u64, request: u32, events: usize) -> Vec<u8> {
    message(
        &new_request(client, session, request),
        &batch(CREATE, events),
    )
}

fn read(client: u128, session: u64, request: u32, events: usize) -> Vec<u8> {
    let new = NewRequest {
        operation: LOOKUP,
        ..new_request(client, session, request)
    };
    message(&new, &batch(LOOKUP, events))
}

fn reply_of(answer: &Answer) -> (u128, u32) {
    match answer {
        Answer::Reply {
            client, request, ..
        } => (*client, *request),
        other => panic!("{other:?} is not a reply"),
    }
}

/// Threads of this process with the name of a port thread.
fn port_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with("giro-port-"))
        .count()
}

#[test]
fn many_connections_on_all_threads_write_and_read_at_once() {
    let server = Running::with_buffers(8, |options| {
        options.request_deadline = Duration::from_secs(60);
    });
    let address = server.address;
    let threads: Vec<_> = (1..=24_u128)
        .map(|id| {
            std::thread::spawn(move || {
                let mut client = Client::new(std::net::TcpStream::connect(address).unwrap());
                let session = client.register(id);
                for request in 1..=60 {
                    let events = [1, 40, 700, 3, 8000][(request as usize + id as usize) % 5];
                    if request % 3 == 0 {
                        client.send(&read(id, session, request, events));
                    } else {
                        client.send(&write(id, session, request, events));
                    }
                    assert_eq!(reply_of(&client.answer()), (id, request));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(port_threads() >= 2);
    server.until(|seen| seen.open == 0);
    assert_eq!(server.pool.free_count(), 8, "every buffer came back");
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 24 * 41);
    assert_eq!(server.handle.counters().replies, 24 * 61);
}

#[test]
fn a_client_that_moves_gets_its_reply_where_it_is() {
    let server = Running::start(|_| {});
    let mut here = server.connect();
    let session = here.register(7);
    for request in 1..=50 {
        server.gate.stuck.store(true, Ordering::SeqCst);
        let seen = server.handle.counters();
        let bytes = write(7, session, request, if request % 2 == 0 { 1 } else { 700 });
        here.send(&bytes);
        server.until(|now| now.requests > seen.requests);
        // Connections are dealt in turn, so the next one is on another thread.
        let mut there = server.connect();
        drop(here);
        there.send(&bytes);
        server.until(|now| now.dropped > seen.dropped);
        server.gate.stuck.store(false, Ordering::SeqCst);
        assert_eq!(reply_of(&there.answer()), (7, request));
        here = there;
    }
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 51);
}

#[test]
fn a_connection_that_closes_while_its_request_is_away_leaves_nothing() {
    let server = Running::start(|options| options.connections_max = 2);
    let mut keeper = server.connect();
    let session = keeper.register(7);
    for request in 1..=40 {
        server.gate.stuck.store(true, Ordering::SeqCst);
        let seen = server.handle.counters();
        let mut leaver = server.connect();
        leaver.send(&write(7, session, request, 2000));
        server.until(|now| now.requests > seen.requests);
        drop(leaver);
        server.until(|now| now.open == 1);
        // The next one has its slot, and must not get its reply.
        let mut next = server.connect();
        next.ping(9);
        server.gate.stuck.store(false, Ordering::SeqCst);
        server.until(|now| now.unroutable > seen.unroutable);
        assert!(request > 3 || next.is_silent());
        next.send(&write(7, session, request, 2000));
        assert_eq!(reply_of(&next.answer()), (7, request), "it is recorded");
        drop(next);
        server.until(|now| now.open == 1);
    }
    keeper.ping(9);
    assert_eq!(server.pool.free_count(), 4, "every buffer came back");
}

#[test]
fn requests_of_a_connection_are_executed_in_their_order() {
    let server = Running::with_buffers(8, |options| {
        options.request_deadline = Duration::from_secs(60);
    });
    let mut client = server.connect();
    let mut others = server.connect();
    let sessions: Vec<u64> = (1..=30).map(|id| client.register(id)).collect();
    let other = others.register(100);
    for round in 1..=20_u32 {
        // Room comes and goes, so that some wait in line.
        server.gate.full.store(true, Ordering::SeqCst);
        let mut stream = Vec::new();
        for (id, session) in (1..).zip(&sessions) {
            let events = if id % 7 == 0 { 3000 } else { 2 };
            stream.extend(write(id, *session, round, events));
        }
        let gate = Arc::clone(&server.gate);
        let opens = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            gate.full.store(false, Ordering::SeqCst);
        });
        client.send(&stream);
        others.send(&write(100, other, round, 1));
        // They leave in the order in which they were executed, small before large in a turn.
        let mut ops: Vec<(u128, u64)> = sessions
            .iter()
            .map(|_| match client.answer() {
                Answer::Reply { client, op, .. } => (client, op),
                other => panic!("{other:?}"),
            })
            .collect();
        ops.sort_unstable();
        assert!(ops.is_sorted_by_key(|(_, op)| *op), "{ops:?}");
        assert_eq!(reply_of(&others.answer()), (100, round));
        opens.join().unwrap();
    }
}

#[test]
fn a_flood_of_small_requests_on_few_connections_is_answered() {
    let server = Running::with_buffers(8, |options| {
        options.request_deadline = Duration::from_secs(60);
    });
    const SESSIONS: u128 = 700;
    let address = server.address;
    let threads: Vec<_> = (0..4_u128)
        .map(|number| {
            std::thread::spawn(move || {
                let mut client = Client::new(std::net::TcpStream::connect(address).unwrap());
                let first = number * 10_000 + 1;
                let sessions: Vec<u64> = (first..first + SESSIONS)
                    .map(|id| client.register(id))
                    .collect();
                for request in 1..=3 {
                    let mut stream = Vec::new();
                    for (id, session) in (first..).zip(&sessions) {
                        stream.extend(write(id, *session, request, 3));
                    }
                    client.send(&stream);
                    let seen: HashSet<u128> = sessions
                        .iter()
                        .map(|_| reply_of(&client.answer()).0)
                        .collect();
                    assert_eq!(seen.len(), sessions.len());
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(server.gate.executed.load(Ordering::SeqCst), 4 * 700 * 4);
}

#[test]
fn a_stop_under_load_answers_what_was_taken_and_ends_all_threads() {
    for _ in 0..5 {
        let server = Running::with_buffers(8, |options| {
            options.shutdown_deadline = Duration::from_secs(30);
        });
        let address = server.address;
        let answered = Arc::new(Mutex::new(0));
        let threads: Vec<_> = (1..=12_u128)
            .map(|id| {
                let answered = Arc::clone(&answered);
                std::thread::spawn(move || {
                    let mut client = Client::new(std::net::TcpStream::connect(address).unwrap());
                    let session = client.register(id);
                    for request in 1.. {
                        let events = if id % 3 == 0 { 8000 } else { 5 };
                        client.send(&write(id, session, request, events));
                        match client.answer() {
                            Answer::Reply { .. } => *answered.lock().unwrap() += 1,
                            Answer::Closed => return,
                            other => panic!("{other:?}"),
                        }
                    }
                })
            })
            .collect();
        server.until(|seen| seen.requests > 200);
        let (gate, handle) = (Arc::clone(&server.gate), server.handle.clone());
        server.stop();
        for thread in threads {
            thread.join().unwrap();
        }
        let executed = gate.executed.load(Ordering::SeqCst);
        let seen = handle.counters();
        assert_eq!(
            seen.replies + seen.unroutable,
            executed,
            "all were answered"
        );
        // A connection that is reset when the server closes it can lose what it had not read.
        let answered = *answered.lock().unwrap();
        assert!(answered + 12 + 12 >= executed, "{answered} of {executed}");
    }
}

#[test]
fn sleeping_threads_are_woken_for_a_request_and_for_its_reply() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    let session = client.register(7);
    let start = Instant::now();
    for request in 1..=100 {
        client.send(&write(7, session, request, 1));
        assert_eq!(reply_of(&client.answer()), (7, request));
    }
    // Without wake-ups each would wait for two turns of up to 100 ms.
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn the_limit_of_connections_is_one_for_all_threads() {
    let server = Running::start(|options| options.connections_max = 5);
    for round in 0..20_u64 {
        let mut kept: Vec<_> = (0..5).map(|_| server.connect()).collect();
        server.until(|seen| seen.open == 5);
        assert_eq!(server.connect().answer(), Answer::Closed);
        for client in &mut kept {
            client.ping(7);
        }
        // Those of one thread go, others come and may lie on the other one.
        kept.swap_remove(0);
        kept.swap_remove(1);
        server.until(|seen| seen.open == 3);
        kept.extend([server.connect(), server.connect()]);
        for client in &mut kept {
            client.ping(7);
        }
        assert_eq!(server.connect().answer(), Answer::Closed);
        drop(kept);
        let seen = server.until(|seen| seen.open == 0);
        assert_eq!(seen.refused, 2 * (round + 1));
    }
}

#[test]
fn many_reads_on_a_connection_are_answered_though_they_go_two_at_a_time() {
    let server = Running::start(|_| {});
    let mut client = server.connect();
    let sessions: Vec<u64> = (1..=40).map(|id| client.register(id)).collect();
    let mut stream = Vec::new();
    for (id, session) in (1..).zip(&sessions) {
        stream.extend(read(id, *session, 1, if id % 5 == 0 { 300 } else { 1 }));
    }
    client.send(&stream);
    let seen: HashSet<u128> = sessions
        .iter()
        .map(|_| reply_of(&client.answer()).0)
        .collect();
    assert_eq!(seen.len(), 40);
}
