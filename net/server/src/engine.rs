//! The real ledger behind the port: the engine, with its log on the port's ring or in memory.

use std::io;
use std::time::Instant;

use giro::{Engine, Error, Reply, RequestMeta, Verdict};
use giro_base::multi_batch::Body;
use giro_base::{Buffer, Operation, Timestamp};
use giro_log::disk::SLOT_COUNT;
use giro_log::uring::Ring;
use giro_log::{MemoryDisk, UringDisk};

use crate::ledger::{Ledger, Told};

/// An engine that is driven by the port.
pub struct ServedEngine {
    engine: Engine,
    /// Where the log is when it is not on disk.
    memory: Option<MemoryDisk>,
}

impl ServedEngine {
    /// Serves a ledger whose log is on disk.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            memory: None,
        }
    }

    /// Serves a ledger of [`Engine::in_memory`], which is gone with the process.
    #[must_use]
    pub fn in_memory(engine: Engine) -> Self {
        Self {
            engine,
            memory: Some(MemoryDisk::default()),
        }
    }
}

impl Ledger for ServedEngine {
    type Error = Error;

    fn prepare(&mut self, ring: &mut Ring) -> io::Result<()> {
        if self.memory.is_some() {
            return Ok(());
        }
        ring.register_files_sparse(SLOT_COUNT)
    }

    fn may_tell(&mut self, _key: u128) -> Told {
        if self.engine.is_ahead() {
            Told::Later
        } else {
            Told::Now
        }
    }

    fn supports(&self, operation: Operation) -> bool {
        self.engine.supports(operation)
    }

    fn check(&self, meta: &RequestMeta) -> Verdict {
        self.engine.check(meta)
    }

    fn last_reply(&self, client: u128) -> Option<Reply<'_>> {
        self.engine.last_reply(client)
    }

    fn can_submit(&self, body_bytes: usize) -> bool {
        self.engine.can_submit(body_bytes)
    }

    fn can_submit_in_place(&self) -> bool {
        self.engine.can_submit_in_place()
    }

    fn submit_in_place(
        &mut self,
        now: Timestamp,
        meta: &RequestMeta,
        body_bytes: usize,
        buffer: Buffer,
    ) {
        self.engine.submit_in_place(now, meta, body_bytes, buffer);
    }

    fn submit_copy(&mut self, now: Timestamp, meta: &RequestMeta, body: &[u8]) {
        self.engine.submit_copy(now, meta, body);
    }

    fn prepare_read(
        &mut self,
        key: u128,
        operation: Operation,
        body: &Body<'_>,
    ) -> Result<bool, Error> {
        self.engine.prepare_read(key, operation, body)
    }

    fn read(
        &mut self,
        key: u128,
        operation: Operation,
        body: &Body<'_>,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        self.engine.read(key, operation, body, out)
    }

    fn touch(&mut self, client: u128) {
        self.engine.touch(client);
    }

    fn commit_op(&self) -> u64 {
        self.engine.commit_op()
    }

    fn read_timestamp(&self) -> Timestamp {
        self.engine.read_timestamp()
    }

    fn flush(&mut self, ring: &mut Ring) -> Result<(), Error> {
        let Some(memory) = &mut self.memory else {
            // SAFETY: the engine keeps a group's buffer, unchanged, until its write was reported
            // to `on_write`; the reactor drops its ring before its ledger.
            let mut disk = unsafe { UringDisk::new(ring, 0) };
            return self.engine.flush(&mut disk);
        };
        self.engine.flush(memory)?;
        while let Some(write) = memory.next_done() {
            self.engine.on_write(write.index, Ok(write.bytes))?;
        }
        Ok(())
    }

    fn can_decide_ahead(&self) -> bool {
        self.engine.can_decide_ahead()
    }

    fn decide_ahead(&mut self) -> Result<(), Error> {
        self.engine.decide_ahead()
    }

    fn on_write(&mut self, value: u64, result: io::Result<usize>) -> Result<(), Error> {
        Ok(self.engine.on_write(value, result)?)
    }

    fn is_stalled(&self) -> bool {
        self.engine.is_stalled()
    }

    fn is_ready(&self) -> bool {
        self.engine.is_ready()
    }

    fn execute(&mut self, reply: &mut dyn FnMut(Reply<'_>)) -> Result<bool, Error> {
        self.engine.execute(reply)
    }

    fn is_settled(&self) -> bool {
        self.engine.is_settled()
    }

    fn settle(&mut self) {
        self.engine.settle();
    }

    fn tick(&mut self, now: Timestamp) {
        self.engine.tick(now);
        self.engine.watch_log(Instant::now());
    }

    fn is_idle(&self) -> bool {
        self.engine.is_idle()
    }
}
