//! What several targets do with an engine.

use giro::{Engine, RequestMeta};
use giro_base::Operation;
use giro_log::MemoryDisk;

/// Submits a request that is valid, if there is room for it, and executes it.
///
/// # Panics
/// When it is not answered once.
pub fn write(
    engine: &mut Engine,
    disk: &mut MemoryDisk,
    now: u64,
    operation: Operation,
    body: &[u8],
) {
    let meta = RequestMeta {
        client: 0,
        session: 0,
        request: 0,
        request_checksum: 7,
        checksum_body: giro_base::checksum(body),
        operation,
        release: 0,
    };
    if engine.can_submit(body.len()) {
        engine.submit_copy(now, &meta, body);
        assert_eq!(run(engine, disk), 1, "a request has one reply");
    }
}

/// Executes what was submitted; the number of replies.
///
/// # Panics
/// When something fails.
pub fn run(engine: &mut Engine, disk: &mut MemoryDisk) -> usize {
    engine.flush(disk).expect("memory does not fail");
    while let Some(write) = disk.next_done() {
        engine
            .on_write(write.index, Ok(write.bytes))
            .expect("memory does not fail");
    }
    let mut replies = 0;
    while engine.is_ready() {
        let executed = engine.execute(&mut |_| replies += 1);
        executed.expect("all is in memory");
    }
    replies
}
