use giro_base::limits::OP_HEADER_BYTES;
use giro_base::{Operation, Transfer, checksum};
use giro_log::op_bytes;
use zerocopy::IntoBytes;

use super::*;
use crate::workload::{BANK, create_accounts};

/// A log of one group for each request; its ops are numbered from 1.
fn log(requests: &[(u128, Request)]) -> Vec<Bytes> {
    let requests = requests.iter().cloned();
    log_of(
        &requests
            .map(|(sum, request)| (sum, request, (0, 0)))
            .collect::<Vec<_>>(),
    )
}

/// As [`log`], with the client of each request, and the one that it displaces.
fn log_of(requests: &[(u128, Request, (u128, u128))]) -> Vec<Bytes> {
    let group = |(place, one): (usize, &(u128, Request, (u128, u128)))| {
        let (request_checksum, request, (client, evicted_client)) = one;
        let body = &request.body;
        let header = OpHeader {
            checksum_body: checksum(body),
            request_checksum: *request_checksum,
            client: *client,
            evicted_client: *evicted_client,
            op: place as u64 + 1,
            timestamp: 1_000 * (place as u64 + 1),
            body_bytes: body.len() as u32,
            operation: request.operation.into(),
            ..OpHeader::default()
        };
        let mut bytes = header.sealed().as_bytes().to_vec();
        assert_eq!(bytes.len(), OP_HEADER_BYTES);
        bytes.extend_from_slice(body);
        bytes.resize(op_bytes(body.len()), 0);
        Bytes::from(bytes)
    };
    requests.iter().enumerate().map(group).collect()
}

fn pay(id: u128, debit: u128, amount: u128) -> Request {
    let transfer = Transfer {
        id,
        debit_account_id: debit,
        credit_account_id: 2,
        amount,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    };
    Request {
        operation: Operation::CreateTransfersUnbatched,
        body: transfer.as_bytes().to_vec(),
    }
}

fn event(request_checksum: u128, request: Request, invoked_us: u64, outcome: Outcome) -> Event {
    Event {
        client: 0,
        request_checksum,
        request,
        invoked_us,
        outcome,
    }
}

fn done(op: u64, body: Vec<u8>, returned_us: u64) -> Outcome {
    Outcome::Done {
        op,
        body,
        returned_us,
    }
}

/// Accounts, a payment of the bank (10), and one that account 3 cannot make (20).
fn story() -> (Vec<Bytes>, Vec<Event>) {
    let requests = [
        (10, create_accounts()),
        (20, pay(1, BANK, 5)),
        (30, pay(2, 3, 5)),
    ];
    let exceeds = [0u32.to_le_bytes(), 54u32.to_le_bytes()].concat();
    let events = vec![
        event(10, requests[0].1.clone(), 0, done(1, vec![], 100)),
        event(20, requests[1].1.clone(), 200, done(2, vec![], 300)),
        event(30, requests[2].1.clone(), 250, done(3, exceeds, 400)),
    ];
    (log(&requests), events)
}

fn checked(log: &[Bytes], events: &[Event]) -> Result<(), String> {
    check(events, log, &BufferPool::new(1).unwrap())
}

fn balances(log: &[Bytes], op: u64) -> Vec<u8> {
    let ops = walk(log, &BufferPool::new(1).unwrap()).unwrap();
    ops[&op].balances.clone()
}

fn read(log: &[Bytes], op: u64, invoked_us: u64, returned_us: u64) -> Event {
    let outcome = done(op, balances(log, op), returned_us);
    event(99, crate::workload::look(), invoked_us, outcome)
}

#[test]
fn a_history_in_order_is_explained() {
    let (log, mut events) = story();
    events.push(read(&log, 2, 310, 320));
    events.push(event(40, pay(9, BANK, 1), 500, Outcome::Unknown));
    checked(&log, &events).unwrap();
}

#[test]
fn an_answered_request_that_is_not_in_the_log_is_found() {
    let (log, events) = story();
    let lost = checked(&log[..2], &events).unwrap_err();
    assert!(lost.contains("op 3 is not in the log"), "{lost}");
}

#[test]
fn a_request_executed_twice_is_found() {
    let (_, events) = story();
    let twice = log(&[
        (10, create_accounts()),
        (20, pay(1, BANK, 5)),
        (20, pay(1, BANK, 5)),
    ]);
    let found = checked(&twice, &events).unwrap_err();
    assert!(
        found.contains("one request is both op 2 and op 3"),
        "{found}"
    );
}

#[test]
fn a_client_may_register_again_only_when_it_was_displaced() {
    let register = || Request {
        operation: Operation::Register,
        body: vec![],
    };
    let again = |evicted| {
        let other = (20, register(), (2, evicted));
        log_of(&[(10, register(), (1, 0)), other, (10, register(), (1, 0))])
    };
    checked(&again(1), &[]).unwrap();
    let found = checked(&again(0), &[]).unwrap_err();
    assert!(found.contains("one request is both"), "{found}");
}

#[test]
fn another_answer_than_the_models_is_found() {
    let (log, mut events) = story();
    events[2].outcome = done(3, vec![], 400);
    let found = checked(&log, &events).unwrap_err();
    assert!(found.contains("another answer to op 3"), "{found}");
}

#[test]
fn an_order_against_time_is_found() {
    let (log, mut events) = story();
    // The second request is answered before the first one is asked.
    events[0].invoked_us = 350;
    let found = checked(&log, &events).unwrap_err();
    assert!(found.contains("was served at op 1"), "{found}");
}

#[test]
fn a_read_of_the_past_is_found() {
    let (log, mut events) = story();
    events.push(read(&log, 1, 310, 320));
    let found = checked(&log, &events).unwrap_err();
    assert!(found.contains("op 2 had been answered"), "{found}");
}

#[test]
fn a_read_of_what_never_was_is_found() {
    let (log, mut events) = story();
    let mut wrong = read(&log, 2, 310, 320);
    wrong.outcome = done(2, balances(&log, 1), 320);
    events.push(wrong);
    let found = checked(&log, &events).unwrap_err();
    assert!(found.contains("other balances"), "{found}");
}
