//! From the group's writes to records of the log, and back from the disk.

mod own;

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use giro::TakenGroup;
use giro_base::limits::{OP_HEADER_BYTES, RECORD_HEADER_BYTES};
use giro_base::{Buffer, BufferPool};
use giro_log::{
    Disk, IN_FLIGHT_MAX, Log, LogError, Mark, NewRecord, op_bytes, ops_of_valid_payload,
};
use giro_replication::{Content, Entry, EntryKind, Hard, Place as EntryPlace, Write};
use zerocopy::IntoBytes;

use crate::found::{KIND_INSTALLED, KIND_ROLL, KIND_STATE, header_of_only_op, place_of};
use crate::journal::{Event, Journal};
use crate::places::Places;

/// A group of ops that was proposed here, in the buffer it is written from.
pub(crate) struct Proposed {
    pub(crate) place: EntryPlace,
    pub(crate) buffer: Buffer,
    /// Bytes of the ops.
    pub(crate) bytes: usize,
}

impl Proposed {
    pub(crate) fn new(place: EntryPlace, group: TakenGroup) -> Self {
        Self {
            place,
            bytes: group.payload().len(),
            buffer: group.into_buffer(),
        }
    }

    fn ops(&self) -> &[u8] {
        &self.buffer[RECORD_HEADER_BYTES..][..self.bytes]
    }
}

/// The log of a member.
pub(crate) struct Wal {
    pub(crate) log: Log,
    /// For entries that came from elsewhere.
    pool: BufferPool,
    /// Own groups whose write the group has not asked for yet.
    proposed: VecDeque<Proposed>,
    /// Records that the log could not take yet.
    waiting: VecDeque<Waiting>,
    /// Records on their way, by number.
    flying: VecDeque<Flying>,
    pub(crate) places: Places,
    /// A record that says a checkpoint was installed is on its way, or durable: nothing follows.
    is_closing: bool,
}

struct Waiting {
    hard: Hard,
    content: Content,
    proposed: Option<Proposed>,
    /// The write that ends with this record.
    number: Option<u64>,
}

struct Flying {
    record: u64,
    /// Stays as it is until the write is complete.
    _memory: Memory,
    number: Option<u64>,
    is_install: bool,
}

/// What a record is written from.
enum Memory {
    Own { _buffer: Buffer },
    Shared { _bytes: Bytes },
}

/// A buffer whose record is complete: nobody changes it any more.
struct CompleteBuffer(Buffer);

impl AsRef<[u8]> for CompleteBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// What became durable.
#[derive(Debug, Default)]
pub(crate) struct Landed {
    /// The last write of the group that did.
    pub(crate) number: Option<u64>,
    /// The record that says a checkpoint was installed is among it.
    pub(crate) is_installed: bool,
}

impl Wal {
    pub(crate) fn new(log: Log, places: Places) -> io::Result<Self> {
        Ok(Self {
            log,
            pool: BufferPool::new(IN_FLIGHT_MAX as u32)?,
            proposed: VecDeque::new(),
            waiting: VecDeque::new(),
            flying: VecDeque::with_capacity(IN_FLIGHT_MAX),
            places,
            is_closing: false,
        })
    }

    /// Whether a group that is proposed now is written at once.
    pub(crate) fn can_take(&self) -> bool {
        self.waiting.is_empty()
            && self.proposed.len() + self.flying.len() < IN_FLIGHT_MAX
            && self.log.can_append()
    }

    /// Whether nothing more can be written until somebody makes room on the disk.
    pub(crate) fn lacks_room(&self) -> bool {
        self.flying.is_empty() && !self.log.can_append() && self.log.obstacle().is_some()
    }

    /// Whether records wait for the disk.
    pub(crate) fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || !self.flying.is_empty()
    }

    /// Whether records wait that no completion will start.
    pub(crate) fn is_stalled(&self) -> bool {
        !self.waiting.is_empty() && self.flying.is_empty()
    }

    /// Takes note of a group that was proposed.
    pub(crate) fn expect(&mut self, proposed: Proposed) {
        self.proposed.push_back(proposed);
    }

    /// An entry that was proposed here.
    fn proposed(&mut self, entry: &Entry) -> Option<Proposed> {
        while let Some(front) = self.proposed.front() {
            let place = front.place;
            if place.index > entry.index {
                return None;
            }
            let is_it = place.index == entry.index && place.term == entry.term;
            let proposed = self.proposed.pop_front().expect("looked at it above");
            if is_it {
                return Some(proposed);
            }
            // It lost its place to another entry.
        }
        None
    }

    /// Takes a write; its records are started when the log can take them.
    pub(crate) fn submit(&mut self, write: &Write, journal: &mut Journal) {
        let mut record = self.log.positions().appended + self.waiting.len() as u64;
        for (hard, content) in write.records() {
            record += 1;
            let mut proposed = None;
            let content = match content {
                Content::State => Content::State,
                Content::Roll(roll) => Content::Roll(roll),
                Content::Entry(entry) => {
                    proposed = self.proposed(entry);
                    journal.note(|| Event::Write(entry.clone()));
                    let place = place_of(record, entry, &entry.payload.bytes, &self.places);
                    self.places.put(entry.index, place);
                    Content::Entry(entry.clone())
                }
                Content::Installed { index, term } => {
                    self.places = Places::behind(index, None);
                    Content::Installed { index, term }
                }
            };
            self.waiting.push_back(Waiting {
                hard,
                content,
                proposed,
                number: None,
            });
        }
        let last = self.waiting.back_mut().expect("a write has a record");
        last.number = Some(write.number);
    }

    /// Gives the log what it can take.
    pub(crate) fn start(
        &mut self,
        disk: &mut impl Disk,
        journal: &mut Journal,
    ) -> Result<(), LogError> {
        while !self.is_closing && !self.waiting.is_empty() && self.log.can_append() {
            let waiting = self.waiting.pop_front().expect("looked at it above");
            let Waiting {
                hard,
                content,
                proposed,
                number,
            } = waiting;
            let filled = proposed.as_ref().map(|own| own.bytes);
            // The log takes no more writes than there are buffers.
            let mut buffer = match proposed {
                Some(own) => own.buffer,
                None => self.pool.take().expect("one for each write"),
            };
            let (new, mark) = fill(&mut buffer, hard, &content, filled);
            let record = self.log.append_marked(&mut buffer, new, mark, disk)?;
            let is_install = matches!(content, Content::Installed { .. });
            self.is_closing = is_install;
            journal.note(|| Event::Started(record, hard, content));
            self.flying.push_back(Flying {
                record,
                _memory: Memory::Own { _buffer: buffer },
                number,
                is_install,
            });
        }
        Ok(())
    }

    /// Takes the end of a write.
    pub(crate) fn on_write(
        &mut self,
        record: u64,
        result: io::Result<usize>,
        journal: &mut Journal,
    ) -> Result<Landed, LogError> {
        let durable = self.log.on_write(record, result)?;
        journal.note(|| Event::Durable(durable));
        let mut landed = Landed::default();
        while self
            .flying
            .front()
            .is_some_and(|front| front.record <= durable)
        {
            let front = self.flying.pop_front().expect("looked at it above");
            landed.number = front.number.or(landed.number);
            landed.is_installed |= front.is_install;
        }
        Ok(landed)
    }

    /// Entries up to the one in this record are executed.
    pub(crate) fn set_executed(&mut self, index: u64) {
        let record = self.places.get(index).map_or(0, |place| place.record);
        if record > self.log.positions().executed {
            self.log.advance_committed(record);
            self.log.advance_executed(record);
        }
    }

    /// Gives up what a durable checkpoint at entry `index` has, but for so many bytes. Returns the
    /// oldest entry that is left.
    pub(crate) fn release(&mut self, index: u64, kept_bytes: u64) -> u64 {
        let from = self.places.kept_from(index, kept_bytes);
        let positions = self.log.positions();
        let held = self.places.get(from).map_or(0, |place| place.record);
        let held = held.saturating_sub(1).min(positions.executed);
        if held > positions.checkpointed {
            self.log.advance_checkpointed(held);
            self.log.release(held);
            self.places.release(self.log.first_index());
        }
        self.places.first()
    }
}

/// Completes a record's content in `buffer`, where so many bytes of ops are already if it was
/// `filled`.
fn fill(
    buffer: &mut Buffer,
    hard: Hard,
    content: &Content,
    filled: Option<usize>,
) -> (NewRecord, Mark) {
    let mut record = NewRecord {
        term: hard.term,
        first_op: 0,
        op_count: 0,
        ops_bytes: 0,
        timestamp: 0,
    };
    let mut mark = Mark {
        kind: KIND_STATE,
        vote: hard.vote,
        commit: hard.commit,
        ..Mark::default()
    };
    let place = &mut buffer[RECORD_HEADER_BYTES..];
    match content {
        Content::State => {}
        Content::Roll(roll) => {
            mark.kind = KIND_ROLL;
            (record.op_count, record.ops_bytes) = (1, put_only_op(place, roll.as_bytes()));
        }
        Content::Installed { index, term } => {
            (mark.kind, mark.entry, mark.entry_term) = (KIND_INSTALLED, *index, *term);
        }
        Content::Entry(entry) => {
            (mark.kind, mark.entry, mark.entry_term) = (entry.kind as u8, entry.index, entry.term);
            let bytes = &entry.payload.bytes;
            if entry.kind == EntryKind::Change {
                (record.op_count, record.ops_bytes) = (1, put_only_op(place, bytes));
                return (record, mark);
            }
            record.ops_bytes = filled.unwrap_or_else(|| {
                place[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            });
            for (header, _) in ops_of_valid_payload(&place[..record.ops_bytes]) {
                if record.op_count == 0 {
                    record.first_op = header.op;
                }
                record.op_count += 1;
                record.timestamp = header.timestamp;
            }
        }
    }
    (record, mark)
}

/// An op without a number, which has a record for itself. Says how many bytes it takes.
fn put_only_op(place: &mut [u8], body: &[u8]) -> usize {
    let header = header_of_only_op(body);
    place[..OP_HEADER_BYTES].copy_from_slice(header.as_bytes());
    place[OP_HEADER_BYTES..][..body.len()].copy_from_slice(body);
    op_bytes(body.len())
}
