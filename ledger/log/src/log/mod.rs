//! The log while it is open: what to write where, and what is durable. It does no I/O itself; its
//! writes go to a [`Disk`], its segments come from [`Spares`].

mod positions;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;

use giro_base::Buffer;
use giro_base::limits::{BUFFER_BYTES, RECORD_HEADER_BYTES, SECTOR_BYTES};
use zerocopy::IntoBytes;

use crate::disk::{Disk, SLOT_COUNT, Write};
use crate::error::LogError;
use crate::record::{
    LogId, Mark, RECORD_VERSION, RECORD_VERSION_MARKED, RecordHeader, Scratch, seal,
};
use crate::segment::{SEGMENT_BYTES_DEFAULT, SegmentFile};
use crate::spares::{InMemory, Spares};

pub use positions::Positions;

/// Most writes in flight at once. Recovery relies on it, so it is no option that could differ
/// between two starts; [`LogOptions::in_flight`] may be less.
pub const IN_FLIGHT_MAX: usize = 8;

const _: () = assert!(IN_FLIGHT_MAX < SLOT_COUNT as usize);

/// What can be chosen at each start.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Writes in flight at once, 1 to [`IN_FLIGHT_MAX`].
    pub in_flight: usize,
    /// Segments kept ready ahead of need, at least 1. New ones are made when half of them are
    /// used.
    pub spares: usize,
    /// First record that is needed; older ones are in a checkpoint. 1 is all.
    pub first_index: u64,
    /// Records up to this one are known to have been durable: a checkpoint holds ops of it. If it
    /// is not there, the log is damaged. 0 if nothing is known.
    pub durable_index: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            in_flight: IN_FLIGHT_MAX,
            spares: 4,
            first_index: 1,
            durable_index: 0,
        }
    }
}

/// What the log cannot know of a record. Its ops are complete in the buffer, from
/// [`RECORD_HEADER_BYTES`] on, each an [`OpHeader`](crate::OpHeader), its body, and room up to a
/// multiple of 64 bytes, which the log fills with zeros.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord {
    /// Raft's term; never falls.
    pub term: u64,
    /// Number of the first op.
    pub first_op: u64,
    /// Ops in the buffer; may be 0.
    pub op_count: u32,
    /// Bytes of all of them, each padded.
    pub ops_bytes: usize,
    /// Nanoseconds since 1970.
    pub timestamp: u64,
}

/// The open log. Dropping it leaves what is in flight to the disk.
pub struct Log {
    id: LogId,
    segment_bytes: u64,
    in_flight_max: usize,
    spares: Box<dyn Spares>,
    /// Open segments by sequence number modulo the count: those written last.
    slots: [Option<SegmentFile>; SLOT_COUNT as usize],
    /// What the current segment has the place of, until the disk knows that one.
    replaced: Option<SegmentFile>,
    /// Segments with records still needed, oldest first; the last one is being written.
    live: VecDeque<LiveSegment>,
    /// Where in the current segment the next record goes.
    offset: u64,
    /// The disk knows the current segment.
    attached: bool,
    positions: Positions,
    /// Header checksum of the last record.
    chain: u128,
    term: u64,
    /// Writes not yet known durable; the first is that of record `durable + 1`.
    in_flight: VecDeque<Flight>,
    /// A write failed: nothing more is done.
    stopped: bool,
    scratch: Scratch,
}

/// A segment that recovery may need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveSegment {
    pub(crate) sequence: u64,
    /// Index of its first record, or what that will be.
    pub(crate) first_index: u64,
}

struct Flight {
    slot: usize,
    offset: u64,
    bytes: usize,
    done: bool,
}

/// Where a log goes on.
pub(crate) struct Start {
    pub(crate) id: LogId,
    pub(crate) segment_bytes: u64,
    pub(crate) in_flight: usize,
    pub(crate) spares: Box<dyn Spares>,
    pub(crate) current: SegmentFile,
    pub(crate) live: VecDeque<LiveSegment>,
    pub(crate) offset: u64,
    pub(crate) last_index: u64,
    pub(crate) chain: u128,
    pub(crate) term: u64,
    pub(crate) checkpointed: u64,
}

impl Log {
    /// A log without files, for ledgers in memory; its disk is a
    /// [`MemoryDisk`](crate::disk::MemoryDisk).
    #[must_use]
    pub fn in_memory(cluster: u128) -> Self {
        let mut spares = InMemory::default();
        let current = spares.take().expect("memory has segments");
        let first = LiveSegment {
            sequence: current.sequence,
            first_index: 1,
        };
        Self::start(Start {
            id: LogId::new(cluster, [0; 2]),
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            in_flight: IN_FLIGHT_MAX,
            spares: Box::new(spares),
            current,
            live: VecDeque::from([first]),
            offset: 0,
            last_index: 0,
            chain: 0,
            term: 0,
            checkpointed: 0,
        })
    }

    pub(crate) fn start(start: Start) -> Self {
        assert!(
            (1..=IN_FLIGHT_MAX).contains(&start.in_flight),
            "writes in flight are bounded"
        );
        let positions = Positions {
            appended: start.last_index,
            durable: start.last_index,
            committed: start.last_index,
            executed: start.last_index,
            checkpointed: start.checkpointed.min(start.last_index),
        };
        let mut slots = [const { None }; SLOT_COUNT as usize];
        let slot = slot_of(start.current.sequence);
        slots[slot] = Some(start.current);
        Self {
            id: start.id,
            segment_bytes: start.segment_bytes,
            in_flight_max: start.in_flight,
            spares: start.spares,
            slots,
            replaced: None,
            live: start.live,
            offset: start.offset,
            attached: false,
            positions,
            chain: start.chain,
            term: start.term,
            in_flight: VecDeque::with_capacity(IN_FLIGHT_MAX),
            stopped: false,
            scratch: Scratch::new(),
        }
    }

    /// Completes the record in the buffer (header, zeros) and starts its write. Returns its index.
    /// The disk is the same at every call: segments are attached to it once.
    ///
    /// # Errors
    /// [`LogError::Busy`] or [`LogError::DiskFull`] when it cannot be taken now: nothing happened.
    /// [`LogError::Stopped`] and [`LogError::Io`] are fatal.
    ///
    /// # Panics
    /// When the ops in the buffer are not as `record` says, or the term falls.
    pub fn append(
        &mut self,
        buffer: &mut Buffer,
        record: NewRecord,
        disk: &mut impl Disk,
    ) -> Result<u64, LogError> {
        self.append_record(buffer, record, None, disk)
    }

    /// As [`append`](Self::append), for a record of a replicated ledger. The index that is returned
    /// is the record's number, not its entry's.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Panics
    /// As [`append`](Self::append), and when the mark is out of bounds.
    pub fn append_marked(
        &mut self,
        buffer: &mut Buffer,
        record: NewRecord,
        mark: Mark,
        disk: &mut impl Disk,
    ) -> Result<u64, LogError> {
        assert!(mark.kind <= Mark::KIND_MAX, "{mark:?}");
        assert!(mark.entry_term <= record.term, "{mark:?}");
        self.append_record(buffer, record, Some(mark), disk)
    }

    fn append_record(
        &mut self,
        buffer: &mut Buffer,
        record: NewRecord,
        mark: Option<Mark>,
        disk: &mut impl Disk,
    ) -> Result<u64, LogError> {
        let bytes = RECORD_HEADER_BYTES + record.ops_bytes;
        let padded = bytes.next_multiple_of(SECTOR_BYTES);
        assert!(padded <= BUFFER_BYTES, "a record lies in its buffer");
        assert!(record.term >= self.term, "the term never falls");
        self.make_room(padded as u64, disk)?;

        let sequence = self.current().sequence;
        let index = self.positions.appended + 1;
        let content_checksum = seal(
            &mut buffer[..padded],
            bytes,
            record.op_count,
            &mut self.scratch,
        );
        let mut header = RecordHeader {
            checksum: 0,
            content_checksum,
            previous_checksum: self.chain,
            cluster: self.id.cluster,
            tag: self.id.tag,
            index,
            term: record.term,
            first_op: record.first_op,
            timestamp: record.timestamp,
            durable_index: self.positions.durable,
            segment: sequence,
            op_count: record.op_count,
            bytes: u32::try_from(bytes).expect("a record is smaller than its buffer"),
            group: 0,
            version: mark.map_or(RECORD_VERSION, |_| RECORD_VERSION_MARKED),
            mark: mark.unwrap_or_default(),
            reserved: [0; 80],
        };
        header.checksum = header.checksum_now();
        buffer[..RECORD_HEADER_BYTES].copy_from_slice(header.as_bytes());

        let slot = slot_of(sequence);
        let offset = self.offset;
        disk.start_write(
            Write {
                slot: slot as u32,
                offset,
                bytes: padded,
                index,
            },
            buffer,
        );
        self.in_flight.push_back(Flight {
            slot,
            offset,
            bytes: padded,
            done: false,
        });
        self.offset += padded as u64;
        self.chain = header.checksum;
        self.term = record.term;
        self.positions.appended = index;
        self.positions.check();
        Ok(index)
    }

    /// Takes the end of a write, in any order. Returns the new durable position: every record up
    /// to it is on stable storage.
    ///
    /// # Errors
    /// [`LogError::WriteFailed`] when it failed or was short: the process must end.
    ///
    /// # Panics
    /// When no such write is in flight.
    pub fn on_write(&mut self, index: u64, result: io::Result<usize>) -> Result<u64, LogError> {
        if self.stopped {
            return Err(LogError::Stopped);
        }
        let position = index.checked_sub(self.positions.durable + 1);
        let flight = position.and_then(|position| self.in_flight.get_mut(position as usize));
        let flight = flight.expect("the record is in flight");
        assert!(!flight.done, "a write ends once");
        flight.done = true;
        let failure = match result {
            Ok(count) if count == flight.bytes => None,
            Ok(count) => {
                let text = format!("only {count} of {} bytes were written", flight.bytes);
                Some(io::Error::new(io::ErrorKind::WriteZero, text))
            }
            Err(error) => Some(error),
        };
        if let Some(source) = failure {
            self.stopped = true;
            let segment = self.slots[flight.slot]
                .as_ref()
                .expect("its segment is open");
            let (path, offset) = (segment.path.clone(), flight.offset);
            return Err(LogError::WriteFailed {
                path,
                offset,
                index,
                source,
            });
        }
        while self.in_flight.front().is_some_and(|flight| flight.done) {
            self.in_flight.pop_front();
            self.positions.durable += 1;
        }
        self.positions.check();
        Ok(self.positions.durable)
    }

    /// A record of any size can be appended now.
    #[must_use]
    pub fn can_append(&self) -> bool {
        let fits = self.segment_bytes - self.offset >= BUFFER_BYTES as u64;
        !self.stopped && self.in_flight.len() < self.in_flight_max && (fits || self.spares.ready())
    }

    /// Why no segment is ready, when the system refuses to make one. It passes by itself.
    #[must_use]
    pub fn obstacle(&self) -> Option<LogError> {
        self.spares.failure()
    }

    /// How far the log is.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.positions
    }

    /// The oldest record that the log still has, or what that will be.
    #[must_use]
    pub fn first_index(&self) -> u64 {
        self.live.front().map_or(1, |oldest| oldest.first_index)
    }

    /// Records up to `index` are decided.
    ///
    /// # Panics
    /// When they are not durable, or it goes back.
    pub fn advance_committed(&mut self, index: u64) {
        assert!(index >= self.positions.committed, "positions never go back");
        self.positions.committed = index;
        self.positions.check();
    }

    /// Records up to `index` have taken effect.
    ///
    /// # Panics
    /// When they are not committed, or it goes back.
    pub fn advance_executed(&mut self, index: u64) {
        assert!(index >= self.positions.executed, "positions never go back");
        self.positions.executed = index;
        self.positions.check();
    }

    /// A durable checkpoint holds the effect of records up to `index`.
    ///
    /// # Panics
    /// When they are not executed, or it goes back.
    pub fn advance_checkpointed(&mut self, index: u64) {
        assert!(
            index >= self.positions.checkpointed,
            "positions never go back"
        );
        self.positions.checkpointed = index;
        self.positions.check();
    }

    /// Gives up segments wholly at or below `up_to_index`; their files are used again.
    ///
    /// # Panics
    /// When a checkpoint does not hold these records.
    pub fn release(&mut self, up_to_index: u64) {
        assert!(
            up_to_index <= self.positions.checkpointed,
            "only what a checkpoint holds"
        );
        while let (Some(&oldest), Some(&next)) = (self.live.front(), self.live.get(1)) {
            // The oldest segment left always has a durable record, so that recovery knows
            // where the log stands.
            let durable = next.first_index <= self.positions.durable;
            if !durable || next.first_index - 1 > up_to_index {
                break;
            }
            self.live.pop_front();
            self.spares.recycle(oldest.sequence);
        }
    }

    /// Makes the current segment one that has `bytes` bytes left and is known to the disk.
    fn make_room(&mut self, bytes: u64, disk: &mut impl Disk) -> Result<(), LogError> {
        if self.stopped {
            return Err(LogError::Stopped);
        }
        if self.in_flight.len() >= self.in_flight_max {
            return Err(LogError::Busy);
        }
        if self.offset + bytes > self.segment_bytes {
            let Some(segment) = self.spares.take() else {
                return Err(self.spares.failure().unwrap_or(LogError::Busy));
            };
            assert_eq!(
                segment.sequence,
                self.current().sequence + 1,
                "segments have no gap"
            );
            self.live.push_back(LiveSegment {
                sequence: segment.sequence,
                first_index: self.positions.appended + 1,
            });
            let slot = slot_of(segment.sequence);
            self.replaced = self.slots[slot].replace(segment);
            self.offset = 0;
            self.attached = false;
        }
        if !self.attached {
            let slot = slot_of(self.current().sequence);
            let segment = self.slots[slot]
                .as_ref()
                .expect("the current segment is open");
            if let Err(source) = disk.attach(slot as u32, segment) {
                self.stopped = true;
                return Err(LogError::io("open for the disk queue", &segment.path)(
                    source,
                ));
            }
            self.attached = true;
            if let Some(replaced) = self.replaced.take() {
                self.spares.close(replaced);
            }
        }
        Ok(())
    }

    fn current(&self) -> LiveSegment {
        *self.live.back().expect("a log has a current segment")
    }
}

fn slot_of(sequence: u64) -> usize {
    (sequence % u64::from(SLOT_COUNT)) as usize
}
