//! Files of the ledger that were lost or changed behind its back.

mod support;

use std::os::unix::fs::FileExt;
use std::path::Path;

use support::server::Server;
use support::{folder, format, refused, run, segments};

/// Where a record lies, as `giro inspect log --json` prints it.
struct Record {
    segment: usize,
    offset: u64,
    bytes: u64,
}

/// A ledger of some records over several segments.
fn ledger() -> (tempfile::TempDir, Vec<Record>) {
    let dir = folder();
    format(dir.path());
    let server = Server::start(dir.path());
    let mut client = server.connect();
    client.register(1).open_accounts();
    for at in 0..4 {
        client.pay(1 + at * 6000..1 + (at + 1) * 6000);
    }
    client.pay(50_000..50_003);
    server.stop();
    let said = run(&["inspect", "log", "--json"], dir.path());
    let records = said.out.lines().filter(|line| line.contains("\"record\""));
    let records = records.map(|line| Record {
        segment: number(line, "segment") as usize,
        offset: number(line, "offset"),
        bytes: number(line, "bytes"),
    });
    let records: Vec<_> = records.collect();
    assert!(records.len() == 7 && records[5].segment > 1, "{}", said.out);
    (dir, records)
}

fn number(line: &str, name: &str) -> u64 {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    value[name].as_u64().unwrap()
}

/// Changes one bit of a byte; the same again restores it.
fn flip(path: &Path, offset: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path);
    let file = file.unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

#[test]
fn a_changed_byte_of_a_record_stops_with_its_place() {
    let (dir, records) = ledger();
    let paths = segments(dir.path());
    // Record 3: a header, one op header, a body of some 768 KB, zeros up to the sector.
    let record = &records[2];
    let path = &paths[record.segment - 1];
    let classes = [
        ("the record's checksum", 0),
        ("its content checksum", 16),
        ("the chain", 32),
        ("its index", 80),
        ("its length", 132),
        ("zeros of its header", 200),
        ("the op's checksum", 256),
        ("the op's client", 256 + 32),
        ("the body's first byte", 512),
        ("inside the body", 512 + 400_000),
        ("the zeros behind it", record.bytes + 20),
    ];
    for (class, at) in classes {
        flip(path, record.offset + at);
        let place = [
            path.file_name().unwrap().to_str().unwrap(),
            &format!("offset {}", record.offset),
            "record 3",
            "Nothing was changed",
            "restore",
        ];
        for command in [&["verify"][..], &["start", "--addresses=0"]] {
            let said = refused(command, dir.path(), &place);
            assert!(said.error.contains("damaged"), "{class}: {said:?}");
        }
        flip(path, record.offset + at);
    }
    assert!(
        run(&["verify"], dir.path()).succeeded,
        "nothing was changed"
    );
}

#[test]
fn a_missing_segment_stops_with_its_name() {
    let (dir, records) = ledger();
    let paths = segments(dir.path());
    for missing in [1, records[4].segment] {
        let path = &paths[missing - 1];
        let aside = dir.path().join("aside");
        std::fs::rename(path, &aside).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        for command in [&["verify"][..], &["start", "--addresses=0"]] {
            refused(command, dir.path(), &[name, "damaged", "restore"]);
        }
        std::fs::rename(&aside, path).unwrap();
    }
    assert!(run(&["verify"], dir.path()).succeeded);
}

#[test]
fn a_shortened_segment_stops_with_its_name() {
    let (dir, records) = ledger();
    let path = &segments(dir.path())[records[2].segment - 1];
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(records[2].offset + 8192).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    refused(&["verify"], dir.path(), &[name, "damaged"]);
    refused(&["start"], dir.path(), &[name, "damaged"]);
}

#[test]
fn one_copy_of_the_identity_is_enough_and_none_is_refused() {
    let (dir, _) = ledger();
    let path = dir.path().join("giro.format");
    flip(&path, 33);
    assert!(run(&["verify"], dir.path()).succeeded);
    flip(&path, 4096 + 50);
    refused(
        &["start"],
        dir.path(),
        &["giro.format", "damaged", "backup"],
    );
    std::fs::remove_file(&path).unwrap();
    refused(&["start"], dir.path(), &["not a ledger"]);
    // And what is left of it is not formatted over.
    refused(&["format"], dir.path(), &["log/", "without giro.format"]);
}

#[test]
fn a_last_record_that_was_never_finished_is_no_damage() {
    let (dir, records) = ledger();
    let last = records.last().unwrap();
    let path = &segments(dir.path())[last.segment - 1];
    flip(path, last.offset + 600);
    // One copy of the log cannot tell this from a write that a crash cut short.
    let server = Server::start(dir.path());
    let mut client = server.connect();
    client.register(2).pay(50_000..50_003);
    server.stop();
    assert!(run(&["verify"], dir.path()).succeeded);
}
