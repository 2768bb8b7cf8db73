//! The engine turn by turn, with a disk that answers when it is told to.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use giro::{Account, Engine, Operation, Options, RequestMeta, Transfer, Verdict};
use giro_base::limits::{BATCHES_MAX, BODY_BYTES_MAX};
use giro_base::multi_batch::{Body, trailer_bytes, write_trailer};
use giro_base::result::CreateResult;
use giro_base::{Buffer, checksum};
use giro_log::{Disk, LogError, SegmentFile, Write};
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[derive(Default)]
struct SlowDisk {
    started: VecDeque<Write>,
}

impl Disk for SlowDisk {
    fn attach(&mut self, _: u32, _: &SegmentFile) -> io::Result<()> {
        Ok(())
    }

    fn start_write(&mut self, write: Write, _: &Buffer) {
        self.started.push_back(write);
    }
}

struct Bench {
    engine: Engine,
    disk: SlowDisk,
    next_request: u32,
}

const CLIENT: u128 = 77;

impl Bench {
    fn new() -> Self {
        let options = Options {
            accounts_max: 1 << 16,
            transfers_max: 1 << 16,
            buffers: 8,
            sessions_max: 4,
            ..Options::default()
        };
        let engine = Engine::in_memory(&options).unwrap();
        let mut bench = Self {
            engine,
            disk: SlowDisk::default(),
            next_request: 1,
        };
        bench.submit(10, Operation::Register, 0, &[0; 256]);
        bench.flush();
        bench.finish_writes();
        assert_eq!(bench.execute().len(), 1);
        bench
    }

    fn meta(&self, operation: Operation, request: u32, body: &[u8]) -> RequestMeta {
        RequestMeta {
            client: CLIENT,
            session: u64::from(request != 0),
            request,
            request_checksum: u128::from(request),
            checksum_body: checksum(body),
            operation,
            release: 1,
        }
    }

    fn submit(&mut self, now: u64, operation: Operation, request: u32, body: &[u8]) {
        let meta = self.meta(operation, request, body);
        assert_eq!(self.engine.check(&meta), Verdict::Accept);
        self.engine.submit_copy(now, &meta, body);
    }

    /// Creates these, starting at `now`, and gives the results.
    fn create<E: IntoBytes + Immutable>(
        &mut self,
        now: u64,
        operation: Operation,
        events: &[E],
    ) -> Vec<CreateResult> {
        let request = self.next_request;
        self.next_request += 1;
        self.submit(now, operation, request, &body_of(events));
        self.flush();
        assert!(self.execute().is_empty(), "nothing is durable yet");
        self.finish_writes();
        let [(_, results)] = self.execute().try_into().expect("one reply");
        results
    }

    fn flush(&mut self) {
        self.engine.flush(&mut self.disk).unwrap();
    }

    fn finish_writes(&mut self) {
        while let Some(write) = self.disk.started.pop_front() {
            self.engine.on_write(write.index, Ok(write.bytes)).unwrap();
        }
    }

    /// What account 1 has paid, if reads are answered now.
    fn debits_of_account_1(&mut self) -> Option<u128> {
        let body = body_of(&[1_u128]);
        let operation = Operation::LookupAccounts;
        let parsed = Body::parse(operation, &body).unwrap();
        let can_read = self.engine.prepare_read(1, operation, &parsed).unwrap();
        can_read.then(|| self.read_account_1().debits_posted)
    }

    fn read_account_1(&mut self) -> Account {
        let body = body_of(&[1_u128]);
        let operation = Operation::LookupAccounts;
        let parsed = Body::parse(operation, &body).unwrap();
        let mut out = vec![0; BODY_BYTES_MAX];
        self.engine.read(1, operation, &parsed, &mut out).unwrap();
        Account::read_from_bytes(&out[..size_of::<Account>()]).unwrap()
    }

    /// The requests answered and their results.
    fn execute(&mut self) -> Vec<(u32, Vec<CreateResult>)> {
        let mut replies = Vec::new();
        loop {
            let more = self.engine.execute(&mut |reply| {
                let results = if reply.operation == Operation::Register {
                    Vec::new()
                } else {
                    let (rows, _) = giro_base::multi_batch::split_trailer(reply.body, 16).unwrap();
                    let row = |bytes| CreateResult::read_from_bytes(bytes).unwrap();
                    rows.chunks_exact(16).map(row).collect()
                };
                replies.push((reply.request, results));
            });
            if !more.unwrap() {
                return replies;
            }
        }
    }
}

fn body_of<E: IntoBytes + Immutable>(events: &[E]) -> Vec<u8> {
    let bytes = events.as_bytes();
    let mut body = vec![0; bytes.len() + trailer_bytes(1, size_of::<E>())];
    body[..bytes.len()].copy_from_slice(bytes);
    write_trailer(
        &mut body,
        bytes.len(),
        size_of::<E>(),
        [events.len()].into_iter(),
    );
    body
}

fn accounts() -> [Account; 2] {
    [1, 2].map(|id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    })
}

fn transfer(id: u128) -> Transfer {
    Transfer {
        id,
        debit_account_id: 1,
        credit_account_id: 2,
        amount: 5,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    }
}

#[test]
fn nothing_is_answered_or_visible_before_it_is_durable() {
    let mut bench = Bench::new();
    bench.create(100, Operation::CreateAccounts, &accounts());
    let body = body_of(&[transfer(9)]);
    let request = bench.next_request;
    bench.submit(200, Operation::CreateTransfers, request, &body);
    bench.flush();
    bench.engine.decide_ahead().unwrap();
    assert!(bench.execute().is_empty());
    assert!(bench.engine.machine().transfer(9).is_none());
    let again = bench.meta(Operation::CreateTransfers, request, &body);
    assert!(
        matches!(bench.engine.check(&again), Verdict::Drop(_)),
        "it is being worked on"
    );
    bench.finish_writes();
    assert_eq!(bench.execute().len(), 1);
    assert!(bench.engine.machine().transfer(9).is_some());
    assert_eq!(bench.engine.check(&again), Verdict::Resend);
}

#[test]
fn what_is_decided_ahead_is_shown_to_nobody_before_it_is_durable() {
    let mut bench = Bench::new();
    bench.create(100, Operation::CreateAccounts, &accounts());
    let large: Vec<Transfer> = (1..=100).map(transfer).collect();
    let body = body_of(&large);
    let request = bench.next_request;
    bench.submit(200, Operation::CreateTransfers, request, &body);
    bench.flush();
    assert!(bench.engine.can_decide_ahead());
    bench.engine.decide_ahead().unwrap();
    bench.engine.decide_ahead().unwrap();
    assert!(bench.engine.is_ahead());
    assert!(bench.execute().is_empty(), "no reply yet");
    assert_eq!(bench.debits_of_account_1(), None, "reads wait");
    let op = bench.engine.commit_op();
    // The history is told of nothing either: its turn comes behind the write.
    bench.flush();
    bench.finish_writes();
    assert_eq!(bench.debits_of_account_1(), None, "not executed yet");
    let [(_, results)] = bench.execute().try_into().expect("one reply");
    assert_eq!(results.len(), 100);
    assert!(!bench.engine.is_ahead());
    assert_eq!(bench.engine.commit_op(), op + 1);
    assert_eq!(bench.debits_of_account_1(), Some(500), "once, not twice");
}

#[test]
#[should_panic(expected = "what is not durable is not shown")]
fn a_read_that_does_not_wait_for_what_is_ahead_is_a_bug() {
    let mut bench = Bench::new();
    bench.create(100, Operation::CreateAccounts, &accounts());
    let large: Vec<Transfer> = (1..=100).map(transfer).collect();
    bench.submit(200, Operation::CreateTransfers, 2, &body_of(&large));
    bench.flush();
    bench.engine.decide_ahead().unwrap();
    bench.read_account_1();
}

#[test]
fn a_clock_that_goes_back_does_not_take_time_with_it() {
    let mut bench = Bench::new();
    let first = bench.create(1_000_000, Operation::CreateAccounts, &accounts());
    assert_eq!(first[0].timestamp, 1_000_001);
    let second = bench.create(500, Operation::CreateTransfers, &[transfer(1)]);
    assert_eq!(
        second[0].timestamp,
        first[1].timestamp + 2,
        "one tick for each request and event"
    );
    let third = bench.create(2_000_000, Operation::CreateTransfers, &[transfer(2)]);
    assert_eq!(third[0].timestamp, 2_000_001);
}

#[test]
fn writes_that_end_out_of_order_are_executed_in_order() {
    let mut bench = Bench::new();
    bench.create(100, Operation::CreateAccounts, &accounts());
    let mut clients = Vec::new();
    for client in 1..=3_u128 {
        let meta = RequestMeta {
            client,
            ..bench.meta(Operation::Register, 0, &[0; 256])
        };
        bench.engine.submit_copy(200, &meta, &[0; 256]);
        // Each in a write of its own, as far as the engine starts them.
        bench.flush();
        clients.push(client);
    }
    let mut writes: Vec<Write> = bench.disk.started.drain(..).collect();
    assert!(writes.len() > 1, "several writes are in flight");
    writes.reverse();
    let last = writes.pop().unwrap();
    for write in writes {
        bench.engine.on_write(write.index, Ok(write.bytes)).unwrap();
        assert!(!bench.engine.is_ready(), "the first one is not durable yet");
    }
    bench.engine.on_write(last.index, Ok(last.bytes)).unwrap();
    let mut opened = Vec::new();
    while bench
        .engine
        .execute(&mut |reply| opened.push(reply.client))
        .unwrap()
    {}
    bench.flush();
    bench.finish_writes();
    while bench
        .engine
        .execute(&mut |reply| opened.push(reply.client))
        .unwrap()
    {}
    assert_eq!(opened, clients);
}

#[test]
fn a_failed_or_short_write_is_fatal() {
    for result in [Err(io::Error::from_raw_os_error(5)), Ok(512)] {
        let mut bench = Bench::new();
        bench.submit(100, Operation::CreateAccounts, 1, &body_of(&accounts()));
        bench.flush();
        let write = bench.disk.started.pop_front().unwrap();
        let failed = bench.engine.on_write(write.index, result).unwrap_err();
        assert!(matches!(failed, LogError::WriteFailed { .. }), "{failed}");
        assert!(
            bench.execute().is_empty(),
            "what is not durable is never answered"
        );
    }
}

#[test]
fn a_validated_body_of_no_events_is_executed_too() {
    let mut bench = Bench::new();
    let body = body_of::<Transfer>(&[]);
    assert_eq!(
        Body::parse(Operation::CreateTransfers, &body)
            .unwrap()
            .event_count(),
        0
    );
    let results = bench.create(100, Operation::CreateTransfers, &[] as &[Transfer]);
    assert!(results.is_empty());
}

/// One batch of `events` rejected transfers, and as many empty ones as a trailer can name.
fn mostly_empty(events: usize) -> Vec<u8> {
    let payload = events * size_of::<Transfer>();
    let mut body = vec![0; payload + trailer_bytes(BATCHES_MAX, size_of::<Transfer>())];
    let counts = std::iter::repeat_n(0, BATCHES_MAX - 1);
    let counts: Vec<usize> = std::iter::once(events).chain(counts).collect();
    write_trailer(
        &mut body,
        payload,
        size_of::<Transfer>(),
        counts.into_iter(),
    );
    body
}

#[test]
fn a_request_with_more_batches_than_events_has_its_reply() {
    // Where results and trailer were longer than the memory for replies, and the largest body.
    for events in [1025, 2049, 7166] {
        let body = mostly_empty(events);
        for (operation, result_bytes) in [
            (Operation::CreateTransfers, 16),
            (Operation::CreateTransfersSparse, 8),
        ] {
            let mut bench = Bench::new();
            let meta = bench.meta(operation, 1, &body);
            let without_session = RequestMeta {
                client: 0,
                session: 0,
                request: 0,
                ..meta
            };
            for meta in [meta, without_session] {
                bench.engine.submit_copy(100, &meta, &body);
                bench.flush();
                bench.finish_writes();
                let mut lengths = Vec::new();
                while bench
                    .engine
                    .execute(&mut |reply| lengths.push(reply.body.len()))
                    .unwrap()
                {}
                let trailer = trailer_bytes(BATCHES_MAX, result_bytes);
                assert_eq!(lengths, [events * result_bytes + trailer]);
            }
        }
    }
}

#[test]
fn what_a_large_batch_made_is_known_to_the_next_one() {
    let mut bench = Bench::new();
    bench.create(100, Operation::CreateAccounts, &accounts());
    let first: Vec<Transfer> = (1..=1000).map(transfer).collect();
    let again: Vec<Transfer> = (501..=1500).map(transfer).collect();
    let created = bench.create(200, Operation::CreateTransfers, &first);
    assert!(
        !bench.engine.is_settled(),
        "a large reply does not wait for the indexes"
    );
    let repeated = bench.create(300, Operation::CreateTransfers, &again);
    for i in 0..500 {
        assert_eq!(repeated[i].status, 46, "exists");
        assert_eq!(repeated[i].timestamp, created[500 + i].timestamp);
        assert_eq!(repeated[500 + i].status, 0xFFFF_FFFF, "created");
    }
    // A read settles by itself.
    let mut out = vec![0; giro_base::limits::BODY_BYTES_MAX];
    let ids = body_of(&[1500_u128]);
    let body = Body::parse(Operation::LookupTransfers, &ids).unwrap();
    assert_eq!(
        bench
            .engine
            .read(0, Operation::LookupTransfers, &body, &mut out)
            .unwrap(),
        128 + 128
    );
}

#[test]
fn a_log_that_finishes_no_write_is_told_after_two_seconds() {
    let mut bench = Bench::new();
    let start = Instant::now();
    let body = body_of(&[transfer(1)]);
    bench.submit(100, Operation::CreateTransfers, 1, &body);
    bench.flush();
    let told = |bench: &mut Bench, range: std::ops::Range<u64>| {
        let at = |ms| start + Duration::from_millis(ms);
        let told = range.filter_map(|step| bench.engine.late_log(at(step * 100)));
        told.collect::<Vec<_>>()
    };
    let [two, four] = [2, 4].map(Duration::from_secs);
    assert_eq!(told(&mut bench, 0..60), [two, four]);
    bench.finish_writes();
    bench.execute();
    assert!(told(&mut bench, 60..120).is_empty(), "nobody waits");
    let body = body_of(&[transfer(2)]);
    bench.submit(200, Operation::CreateTransfers, 2, &body);
    bench.flush();
    assert_eq!(told(&mut bench, 120..145), [two], "from the beginning");
}
