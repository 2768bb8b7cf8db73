//! Requests with any content against the ledger: nothing panics, every event has a result, and
//! debits equal credits after each. An input is requests, one behind the other: operation, time
//! that passes, number of events and of batches, then the events.
#![no_main]

use giro::{Engine, Operation, Options};
use giro_base::limits::BATCHES_MAX;
use giro_base::multi_batch::{Body, trailer_bytes, write_trailer};
use giro_base::operation::Kind;
use giro_core::conservation::Totals;
use giro_fuzz::{run, write};
use giro_log::MemoryDisk;
use libfuzzer_sys::fuzz_target;

/// Events of a request: few, so that many requests fit an input.
const EVENTS_MAX: usize = 8;

fuzz_target!(|input: &[u8]| {
    let options = Options {
        buffers: 8,
        sessions_max: 2,
        pin: false,
        accounts_max: 1 << 14,
        transfers_max: 1 << 14,
        ..Options::default()
    };
    let mut engine = Engine::in_memory(&options).expect("memory for a small ledger");
    let mut disk = MemoryDisk::default();
    let mut out = vec![0; 1 << 20];
    let mut now = 1_u64;
    let mut rest = input;
    while let [operation, time, events, more @ ..] = rest {
        now += u64::from(*time) << (time % 32);
        let Ok(operation) = Operation::try_from(*operation) else {
            rest = more;
            continue;
        };
        let size = operation.event_bytes();
        let bytes = (usize::from(*events) % EVENTS_MAX * size).min(more.len());
        let bytes = if size == 0 { 0 } else { bytes - bytes % size };
        let (records, more) = more.split_at(bytes);
        rest = more;
        // At most as many as fit with all events of an input, most of them empty.
        let batches = 1 << (usize::from(*events) / EVENTS_MAX % 17);
        let body = encode(operation, records, batches.min(BATCHES_MAX));
        let Ok(parsed) = Body::parse(operation, &body) else {
            continue;
        };
        match operation.kind() {
            Kind::CreateAccounts | Kind::CreateTransfers => {
                write(&mut engine, &mut disk, now, operation, &body);
            }
            Kind::Register | Kind::Pulse => {}
            _ if engine.supports(operation) => {
                let read = engine.read(0, operation, &parsed, &mut out);
                let length = read.expect("all is in memory");
                assert!(length <= out.len());
            }
            _ => {}
        }
        engine.tick(now);
        run(&mut engine, &mut disk);
        Totals::of(&engine.machine().tables().accounts).assert_balanced();
    }
});

/// The records as one batch with empty ones behind it, in the operation's form.
fn encode(operation: Operation, records: &[u8], batches: usize) -> Vec<u8> {
    let size = operation.event_bytes();
    let mut body = records.to_vec();
    if operation.is_multi_batch() && size > 0 {
        body.resize(records.len() + trailer_bytes(batches, size), 0);
        let mut counts = vec![0; batches];
        counts[0] = records.len() / size;
        write_trailer(&mut body, records.len(), size, counts.into_iter());
    }
    body
}
