//! What comes in and goes out: checksums, messages, records of the log, branches.

use std::hint::black_box;

use giro_base::branch::{BranchKey, Branches, Leg, TryBranch, encode};
use giro_base::operation::Kind;
use giro_base::{Operation, checksum};
use giro_log::{OpHeader, RecordHeader, op_bytes, ops_of_payload};
use giro_wire::{
    HeaderBytes, Message, NewReply, NewRequest, Release, ReplyHeader, RequestHeader, parse_header,
    verify_body,
};
use zerocopy::{FromZeros, IntoBytes};

use crate::{Case, Entry};

const MIB: usize = 1 << 20;
/// Bytes of a body of one transfer, and of the reply to it.
const ONE_TRANSFER: usize = 144;
const ONE_RESULT: usize = 32;
/// Messages of a pass.
const MESSAGES: usize = 1000;
/// Branches of a pass.
const BRANCHES: usize = 1000;

pub(crate) fn entries() -> Vec<Entry> {
    let entry = |name, unit, units, make: fn() -> Box<dyn Case>| Entry {
        name,
        unit,
        units,
        make,
    };
    vec![
        entry("checksum", "KiB", MIB >> 10, || Box::new(Checksum::new())),
        entry("request_parse", "message", MESSAGES, || {
            Box::new(Parse::new())
        }),
        entry("reply_build", "message", MESSAGES, || Box::new(Build)),
        entry("record_seal", "record", MESSAGES, || Box::new(Seal::new())),
        entry(
            "record_check",
            "record",
            MESSAGES,
            || Box::new(Check::new()),
        ),
        entry("branches_parse", "branch", BRANCHES, || {
            Box::new(ParseBranches::new())
        }),
    ]
}

/// Of a large body.
struct Checksum(Vec<u8>);

impl Checksum {
    fn new() -> Self {
        Self((0..MIB).map(|number| number as u8).collect())
    }
}

impl Case for Checksum {
    fn prepare(&mut self) {}

    fn pass(&mut self) {
        black_box(checksum(&self.0));
    }
}

/// A request of one transfer.
fn request(body: &[u8]) -> RequestHeader {
    let new = NewRequest {
        cluster: 0,
        view: 0,
        release: Release::CLIENT_MIN,
        client: 7,
        session: 1,
        parent: 0,
        request: 1,
        operation: Operation::CreateTransfers,
        previous_request_latency: 0,
    };
    RequestHeader::build(&new, body)
}

/// Requests of one transfer each, as they come.
struct Parse {
    header: HeaderBytes,
    body: Vec<u8>,
}

impl Parse {
    fn new() -> Self {
        let body = vec![3; ONE_TRANSFER];
        let header = zerocopy::transmute!(request(&body));
        Self { header, body }
    }
}

impl Case for Parse {
    fn prepare(&mut self) {}

    fn pass(&mut self) {
        for _ in 0..MESSAGES {
            let Ok(Message::Request(header)) = parse_header(black_box(&self.header), 0) else {
                unreachable!("it was made here");
            };
            let verified = verify_body(&header.frame, black_box(&self.body));
            assert!(verified.is_ok());
        }
    }
}

/// Replies about one transfer each.
struct Build;

impl Case for Build {
    fn prepare(&mut self) {}

    fn pass(&mut self) {
        let body = [5; ONE_RESULT];
        for op in 1..=MESSAGES as u64 {
            let new = NewReply {
                cluster: 0,
                view: 0,
                release: Release::CLIENT_MIN,
                request_checksum: 9,
                client: 7,
                op,
                timestamp: op,
                request: 1,
                operation: Operation::CreateTransfers,
            };
            black_box(ReplyHeader::build(&new, black_box(&body)));
        }
    }
}

/// An op of one transfer, as a log record has it.
fn op(number: u64, body: &[u8]) -> OpHeader {
    OpHeader {
        checksum_body: checksum(body),
        op: number,
        timestamp: number,
        body_bytes: body.len() as u32,
        ..OpHeader::default()
    }
    .sealed()
}

/// Records of one transfer each: the op's header and the record's.
struct Seal(Vec<u8>);

impl Seal {
    fn new() -> Self {
        Self(vec![3; ONE_TRANSFER])
    }
}

impl Case for Seal {
    fn prepare(&mut self) {}

    fn pass(&mut self) {
        let mut record = RecordHeader::new_zeroed();
        for number in 0..MESSAGES as u64 {
            let op = op(number, black_box(&self.0));
            record.index = number;
            record.previous_checksum = record.checksum;
            record.content_checksum = checksum(&op.checksum.to_le_bytes());
            record.checksum = record.checksum_now();
        }
        black_box(record);
    }
}

/// An entry of many small ops, as a follower gets it.
struct Check {
    /// Aligned as a frame's memory is.
    payload: Vec<u128>,
}

impl Check {
    fn new() -> Self {
        let body = [3; ONE_TRANSFER];
        let bytes = op_bytes(body.len());
        let mut payload = vec![0_u128; MESSAGES * bytes / size_of::<u128>()];
        let rooms = payload.as_mut_bytes().chunks_exact_mut(bytes);
        for (number, room) in (1..).zip(rooms) {
            let header = op(number, &body);
            let (head, rest) = room.split_at_mut(size_of::<OpHeader>());
            head.copy_from_slice(header.as_bytes());
            rest[..body.len()].copy_from_slice(&body);
        }
        Self { payload }
    }
}

impl Case for Check {
    fn prepare(&mut self) {}

    fn pass(&mut self) {
        let ops = ops_of_payload(black_box(self.payload.as_bytes()));
        assert_eq!(ops.map(|ops| ops.len()), Ok(MESSAGES));
    }
}

/// A request of many tries of one leg each.
struct ParseBranches(Vec<u8>);

impl ParseBranches {
    fn new() -> Self {
        let leg = Leg {
            debit_account_id: 1,
            credit_account_id: 2,
            amount: 3,
            ledger: 1,
            code: 1,
            ..Leg::default()
        };
        let branch = |number| TryBranch {
            key: BranchKey::new(format!("order-{number}"), "pay"),
            timeout: 0,
            legs: std::iter::once(leg).collect(),
        };
        let branches: Vec<TryBranch> = (0..BRANCHES).map(branch).collect();
        Self(encode(&branches))
    }
}

impl Case for ParseBranches {
    fn prepare(&mut self) {}

    fn pass(&mut self) {
        let parsed = Branches::parse(Kind::TryBranches, black_box(&self.0));
        let parsed = parsed.expect("it was made here");
        assert_eq!(parsed.len(), BRANCHES);
        for number in 0..BRANCHES {
            black_box(parsed.key(number));
        }
    }
}
