use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use giro_base::BufferPool;

use super::*;

/// What happened to segments, in order.
type Events = Arc<Mutex<Vec<(&'static str, u64)>>>;

struct Watched(u64, Events);

impl Spares for Watched {
    fn ready(&self) -> bool {
        true
    }

    fn take(&mut self) -> Option<SegmentFile> {
        self.0 += 1;
        Some(segment(self.0))
    }

    fn recycle(&mut self, _: u64) {}

    fn close(&mut self, segment: SegmentFile) {
        self.1.lock().unwrap().push(("close", segment.sequence));
    }

    fn failure(&self) -> Option<LogError> {
        None
    }
}

/// A disk that is done at once, with the table that a ring has.
struct Table(Events, Vec<Write>);

impl Disk for Table {
    fn attach(&mut self, slot: u32, segment: &SegmentFile) -> io::Result<()> {
        assert_eq!(slot as usize, slot_of(segment.sequence));
        self.0.lock().unwrap().push(("attach", segment.sequence));
        Ok(())
    }

    fn start_write(&mut self, write: Write, _: &Buffer) {
        self.1.push(write);
    }
}

fn segment(sequence: u64) -> SegmentFile {
    SegmentFile {
        sequence,
        path: PathBuf::from("none"),
        file: None,
    }
}

/// The name of an old segment may be gone: whoever closes it last waits until its blocks are free.
/// The disk's table has it open, too, until the place is given to another.
#[test]
fn a_segment_is_given_away_to_be_closed_once_the_disk_has_let_go_of_it() {
    let events = Events::default();
    let first = LiveSegment {
        sequence: 1,
        first_index: 1,
    };
    let mut log = Log::start(Start {
        id: LogId::new(1, [0; 2]),
        segment_bytes: SECTOR_BYTES as u64,
        in_flight: 1,
        spares: Box::new(Watched(1, Arc::clone(&events))),
        current: segment(1),
        live: VecDeque::from([first]),
        offset: 0,
        last_index: 0,
        chain: 0,
        term: 0,
        checkpointed: 0,
    });
    let mut disk = Table(Arc::clone(&events), Vec::new());
    let pool = BufferPool::new(1).unwrap();
    let mut buffer = pool.take().unwrap();
    let nothing = NewRecord {
        term: 0,
        first_op: 0,
        op_count: 0,
        ops_bytes: 0,
        timestamp: 0,
    };
    let count = u64::from(SLOT_COUNT) + 3;
    for _ in 0..count {
        log.append(&mut buffer, nothing, &mut disk).unwrap();
        let write = disk.1.pop().unwrap();
        log.on_write(write.index, Ok(write.bytes)).unwrap();
    }
    let events = events.lock().unwrap();
    let attached = (1..=u64::from(SLOT_COUNT)).map(|sequence| ("attach", sequence));
    let replaced = [17, 18, 19].map(|now| [("attach", now), ("close", now - 16)]);
    let expected: Vec<_> = attached.chain(replaced.into_iter().flatten()).collect();
    assert_eq!(*events, expected);
}
