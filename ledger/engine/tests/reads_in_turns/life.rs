//! An engine driven by hand, and queries to it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use giro::{Engine, Operation, Options, RequestMeta};
use giro_base::checksum;
use giro_base::limits::BODY_BYTES_MAX;
use giro_base::multi_batch::{Body, trailer_bytes, write_trailer};
use giro_log::storage::{RealStorage, Storage};
use giro_log::{Identity, MemoryDisk, SEGMENT_BYTES_MIN};
use zerocopy::{Immutable, IntoBytes};

/// Bytes of the largest request here.
const REQUEST_BYTES_MAX: usize = 1 << 16;
/// The longest a request waits for the history's writer.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(10);
/// Long enough for fewer turns in that time than a query may go without being asked for.
const ROOM_PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Life {
    pub(crate) engine: Engine,
    pub(crate) disk: MemoryDisk,
}

impl Life {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine,
            disk: MemoryDisk::default(),
        }
    }

    pub(crate) fn execute(&mut self, now: u64, operation: Operation, body: &[u8]) {
        let meta = RequestMeta {
            client: 0,
            session: 0,
            request: 0,
            request_checksum: 1,
            checksum_body: checksum(body),
            operation,
            release: 1,
        };
        self.engine.submit_copy(now, &meta, body);
        self.engine.flush(&mut self.disk).unwrap();
        while let Some(write) = self.disk.next_done() {
            self.engine.on_write(write.index, Ok(write.bytes)).unwrap();
        }
        while self.engine.execute(&mut |_| {}).unwrap() {}
        self.engine.settle();
    }

    pub(crate) fn has_room(&self) -> bool {
        self.engine.can_submit(REQUEST_BYTES_MAX)
    }

    /// Waits until a request is taken. No query has a turn meanwhile, so none can be what it
    /// waits for.
    pub(crate) fn wait_for_room(&mut self) {
        let start = Instant::now();
        while !self.has_room() {
            assert!(start.elapsed() < ROOM_WAIT_MAX, "payments are held up");
            std::thread::sleep(ROOM_PAUSE);
            self.engine.flush(&mut self.disk).unwrap();
        }
    }

    /// Gives a query a turn. True when it is done.
    pub(crate) fn prepare(&mut self, key: u128, query: &Query) -> bool {
        let body = Body::parse(query.operation, query.bytes()).unwrap();
        let engine = &mut self.engine;
        engine.prepare_read(key, query.operation, &body).unwrap()
    }

    pub(crate) fn read(&mut self, key: u128, query: &Query) -> Vec<u8> {
        let mut out = vec![0; BODY_BYTES_MAX];
        let body = Body::parse(query.operation, query.bytes()).unwrap();
        let bytes = self
            .engine
            .read(key, query.operation, &body, &mut out)
            .unwrap();
        out.truncate(bytes);
        out
    }
}

pub(crate) struct Query {
    pub(crate) operation: Operation,
    aligned: Vec<u128>,
    bytes: usize,
}

impl Query {
    /// Each filter is a batch of its own.
    pub(crate) fn new<F: IntoBytes + Immutable>(operation: Operation, filters: &[F]) -> Self {
        Self::batches(operation, filters, &vec![1; filters.len()])
    }

    /// Events of a write, in one batch.
    pub(crate) fn events<E: IntoBytes + Immutable>(operation: Operation, events: &[E]) -> Self {
        Self::batches(operation, events, &[events.len()])
    }

    fn batches<E: IntoBytes + Immutable>(
        operation: Operation,
        events: &[E],
        counts: &[usize],
    ) -> Self {
        let payload = events.as_bytes();
        let mut body = payload.to_vec();
        body.resize(
            payload.len() + trailer_bytes(counts.len(), size_of::<E>()),
            0,
        );
        let counts = counts.iter().copied();
        write_trailer(&mut body, payload.len(), size_of::<E>(), counts);
        Self::of_body(operation, &body)
    }

    /// With a body as it is sent.
    pub(crate) fn of_body(operation: Operation, body: &[u8]) -> Self {
        let mut aligned = vec![0_u128; body.len().div_ceil(16)];
        aligned.as_mut_bytes()[..body.len()].copy_from_slice(body);
        Self {
            operation,
            aligned,
            bytes: body.len(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.aligned.as_bytes()[..self.bytes]
    }
}

pub(crate) fn options(archive: bool, rows: usize) -> Options {
    Options {
        accounts_max: 1 << 16,
        transfers_max: 1 << 20,
        archive,
        generation_rows: rows,
        buffers: 16,
        sessions_max: 4,
        ..Options::default()
    }
}

/// An engine whose transfers leave memory in generations of so many rows.
pub(crate) fn archived(dir: &Path, rows: usize) -> Engine {
    let identity = Identity {
        cluster: 3,
        replica: 0,
        replica_count: 1,
        incarnation: 0,
        hash_key: [8, 9],
        segment_bytes: SEGMENT_BYTES_MIN,
    };
    giro_log::format(dir, &identity).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    Engine::open_on(&storage, dir, &options(true, rows), &mut |_| {}).unwrap()
}
