//! A disk that fills up under a running server.

mod support;

use std::time::Duration;

use giro_base::Operation;
use support::client::{created, transfers};
use support::server::Server;
use support::{folder, format, namespace, refused, run, verified_transfers};

/// Longer than a request waits for room before it is dropped.
const DROPPED_AFTER: Duration = Duration::from_millis(1200);
/// Transfers that fill a segment nearly.
const FULL: u128 = 8000;

#[test]
fn a_full_disk_is_answered_by_waiting_and_passes() {
    if !namespace::enter("a_full_disk_is_answered_by_waiting_and_passes") {
        return;
    }
    let dir = folder();
    namespace::mount(&["-t", "tmpfs", "-o", "size=16m", "none"], dir.path());
    let filler = dir.path().join("filler");
    std::fs::write(&filler, vec![1; 8 << 20]).unwrap();
    let ledger = dir.path().join("ledger");
    format(&ledger);
    let server = Server::start(&ledger);
    let mut client = server.connect();
    client.register(1).open_accounts();
    let mut reader = server.connect();
    reader.register(2);
    // Until one is not answered: what does not fit any more.
    let mut next = 1;
    let dropped = loop {
        let records = transfers(next..next + FULL);
        let request = client.next(Operation::CreateTransfers, &records);
        client.send(&request);
        if client.is_silent(DROPPED_AFTER) {
            break request;
        }
        next += FULL;
        assert!(next < 16 * FULL, "the disk must fill up");
        assert_eq!(client.answer().map(|reply| reply.client), Some(1));
    };
    // Reads are still answered.
    let first = reader.ask(Operation::LookupTransfers, &1_u128.to_le_bytes());
    assert!(first.len() > 128);
    std::fs::remove_file(&filler).unwrap();
    // The client sends again, as the official ones do.
    let reply = loop {
        client.send(&dropped);
        if !client.is_silent(DROPPED_AFTER) {
            break client.answer().unwrap();
        }
    };
    assert_eq!(created(&reply.body, FULL as usize), FULL as usize);
    let log = server.stop();
    assert!(
        log.contains("no room in") && log.contains("free some"),
        "{log}"
    );
    assert_eq!(verified_transfers(&ledger), next - 1 + FULL);
}

#[test]
fn formatting_without_room_says_how_much_is_missing() {
    if !namespace::enter("formatting_without_room_says_how_much_is_missing") {
        return;
    }
    let dir = folder();
    namespace::mount(&["-t", "tmpfs", "-o", "size=4m", "none"], dir.path());
    let ledger = dir.path().join("ledger");
    let parts = ["no room in", "67108864 bytes", "free some"];
    refused(&["format"], &ledger, &parts);
    // What was begun may be begun again.
    namespace::mount(&["-o", "remount,size=200m"], dir.path());
    let said = run(&["format"], &ledger);
    assert!(
        said.succeeded && said.error.contains("room for 2 of 16"),
        "{said:?}"
    );
}
