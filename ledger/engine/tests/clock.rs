//! A wall clock that goes back, stands still, or leaps: the ledger's time only rises.

use giro::{Account, Engine, Operation, Options, RequestMeta};
use giro_base::multi_batch::{trailer_bytes, write_trailer};
use giro_base::result::CreateResult;
use giro_base::{CreateAccountStatus, checksum};
use giro_log::MemoryDisk;
use zerocopy::{FromBytes, IntoBytes};

/// One account's creation at this time of the clock; the timestamp it got.
fn create_at(engine: &mut Engine, disk: &mut MemoryDisk, now: u64, id: u128) -> u64 {
    let account = Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    };
    let mut body = account.as_bytes().to_vec();
    body.resize(128 + trailer_bytes(1, 128), 0);
    write_trailer(&mut body, 128, 128, [1].into_iter());
    let meta = RequestMeta {
        client: 0,
        session: 0,
        request: 0,
        request_checksum: id,
        checksum_body: checksum(&body),
        operation: Operation::CreateAccounts,
        release: 0,
    };
    engine.submit_copy(now, &meta, &body);
    engine.flush(disk).unwrap();
    while let Some(write) = disk.next_done() {
        engine.on_write(write.index, Ok(write.bytes)).unwrap();
    }
    let mut timestamp = 0;
    let executed = engine.execute(&mut |reply| {
        let result = CreateResult::read_from_bytes(&reply.body[..16]).unwrap();
        assert_eq!(result.status, u32::from(CreateAccountStatus::Created));
        timestamp = result.timestamp;
    });
    executed.unwrap();
    timestamp
}

#[test]
fn a_clock_that_goes_back_never_takes_time_with_it() {
    let options = Options {
        buffers: 8,
        sessions_max: 8,
        pin: false,
        ..Options::default()
    };
    let mut engine = Engine::in_memory(&options).unwrap();
    let mut disk = MemoryDisk::default();
    let clock = [1_000_000, 500, 500, 0, 1_000_001, 2_000_000, 1];
    let mut times = Vec::new();
    for (at, now) in clock.into_iter().enumerate() {
        times.push(create_at(&mut engine, &mut disk, now, at as u128 + 1));
        // Nothing expires early or late because of it either.
        engine.tick(now);
    }
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    // Where the clock is ahead it is followed; where it is behind, time goes on by itself.
    assert!(times[0] >= 1_000_000 && times[3] < 1_000_100, "{times:?}");
    assert!(times[5] >= 2_000_000 && times[6] < 2_000_100, "{times:?}");
}
