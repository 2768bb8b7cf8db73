//! Records of a node that is its group's only member: each is written when it is proposed, and
//! waits for nobody.

use bytes::Bytes;
use giro::OpPlace;
use giro_base::limits::RECORD_HEADER_BYTES;
use giro_log::{Disk, LogError, Mark, NewRecord, ops_of_valid_payload};
use giro_replication::{Content, Entry, EntryKind, LentWrite, Payload};

use super::{CompleteBuffer, Flying, Memory, Proposed, Wal};
use crate::aligned::aligned;
use crate::journal::{Event, Journal};
use crate::places::Place;

impl Wal {
    /// Writes a group that was proposed, and says where its ops are from now on. To be called when
    /// a write [can be taken](Self::can_take).
    pub(crate) fn write_own(
        &mut self,
        own: Proposed,
        write: LentWrite,
        disk: &mut impl Disk,
        journal: &mut Journal,
    ) -> Result<Bytes, LogError> {
        assert!(self.can_take() && !self.is_closing, "nothing is before it");
        let place = write.place;
        let (new, last) = look_through(&own, write);
        let mark = Mark {
            kind: EntryKind::Ops as u8,
            vote: write.hard.vote,
            commit: write.hard.commit,
            entry: place.index,
            entry_term: place.term,
            ..Mark::default()
        };
        let entry = |ops: &[u8]| Entry {
            index: place.index,
            term: place.term,
            kind: EntryKind::Ops,
            payload: Payload::new(aligned(ops)),
        };
        journal.note(|| Event::Write(entry(own.ops())));
        let ops = RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + own.bytes;
        let mut buffer = own.buffer;
        let record = self.log.append_marked(&mut buffer, new, mark, disk)?;
        journal.note(|| {
            let entry = entry(&buffer[ops.clone()]);
            Event::Started(record, write.hard, Content::Entry(entry))
        });
        let last_op = last.or_else(|| self.places.last_op(place.index - 1));
        let found = Place {
            record,
            term: place.term,
            bytes: own.bytes,
            last_op,
        };
        self.places.put(place.index, found);
        let bytes = Bytes::from_owner(CompleteBuffer(buffer));
        let payload = bytes.slice(ops);
        self.flying.push_back(Flying {
            record,
            _memory: Memory::Shared { _bytes: bytes },
            number: Some(write.number),
            is_install: false,
        });
        Ok(payload)
    }
}

/// What the record's header has of the ops, and the last one of them.
fn look_through(own: &Proposed, write: LentWrite) -> (NewRecord, Option<OpPlace>) {
    let mut record = NewRecord {
        term: write.hard.term,
        first_op: 0,
        op_count: 0,
        ops_bytes: own.bytes,
        timestamp: 0,
    };
    let mut last = None;
    for (header, _) in ops_of_valid_payload(own.ops()) {
        let (op, timestamp) = (header.op, header.timestamp);
        if record.op_count == 0 {
            record.first_op = op;
        }
        record.op_count += 1;
        record.timestamp = timestamp;
        last = Some(OpPlace { op, timestamp });
    }
    (record, last)
}
