//! The engine as the port's ledger.

use std::io;

use giro::{Engine, Reply, RequestMeta, Verdict};
use giro_base::multi_batch::Body;
use giro_base::{Buffer, Operation, Timestamp};
use giro_log::disk::SLOT_COUNT;
use giro_log::uring::Ring;
use giro_log::{LogError, UringDisk};

use crate::ledger::Ledger;

impl Ledger for Engine {
    type Error = LogError;

    fn attach(&mut self, ring: &mut Ring) -> io::Result<()> {
        ring.register_files_sparse(SLOT_COUNT)
    }

    fn supports(&self, operation: Operation) -> bool {
        self.supports(operation)
    }

    fn check(&self, meta: &RequestMeta) -> Verdict {
        self.check(meta)
    }

    fn last_reply(&self, client: u128) -> Option<Reply<'_>> {
        self.last_reply(client)
    }

    fn can_submit(&self, body_bytes: usize) -> bool {
        self.can_submit(body_bytes)
    }

    fn can_submit_in_place(&self) -> bool {
        self.can_submit_in_place()
    }

    fn submit_in_place(
        &mut self,
        now: Timestamp,
        meta: &RequestMeta,
        body_bytes: usize,
        buffer: Buffer,
    ) {
        self.submit_in_place(now, meta, body_bytes, buffer);
    }

    fn submit_copy(&mut self, now: Timestamp, meta: &RequestMeta, body: &[u8]) {
        self.submit_copy(now, meta, body);
    }

    fn read(&mut self, operation: Operation, body: &Body<'_>, out: &mut [u8]) -> usize {
        self.read(operation, body, out)
    }

    fn touch(&mut self, client: u128) {
        self.touch(client);
    }

    fn commit_op(&self) -> u64 {
        self.commit_op()
    }

    fn read_timestamp(&self) -> Timestamp {
        self.read_timestamp()
    }

    fn flush(&mut self, ring: &mut Ring) -> Result<(), LogError> {
        // SAFETY: the engine keeps the buffer of a write until `on_write` reported it, and the
        // reactor drops its ring before the engine.
        let mut disk = unsafe { UringDisk::new(ring, 0) };
        self.flush(&mut disk)
    }

    fn resolve_ahead(&mut self) {
        self.resolve_ahead();
    }

    fn on_write(&mut self, value: u64, result: io::Result<usize>) -> Result<(), LogError> {
        self.on_write(value, result)
    }

    fn is_ready(&self) -> bool {
        self.is_ready()
    }

    fn execute(&mut self, reply: &mut dyn FnMut(Reply<'_>)) -> bool {
        self.execute(reply)
    }

    fn tick(&mut self, now: Timestamp) {
        self.tick(now);
    }

    fn is_idle(&self) -> bool {
        self.is_idle()
    }
}
