//! A log that was read and is not open yet.

use bytes::Bytes;
use giro::{OpPlace, Progress};
use giro_base::limits::RECORD_HEADER_BYTES;
use giro_base::{Buffer, BufferPool};
use giro_log::{Mark, OpHeader, RecordHeader, Recovery, ops_of_valid_payload};
use giro_replication::limits::MEMBERS_MAX;
use giro_replication::{Content, Entry, EntryKind, Hard, Payload, Replay, StartError};

use crate::aligned::aligned;
use crate::error::NodeError;
use crate::places::{Place, Places};

/// What a log says.
pub struct FoundLog {
    pub(crate) recovery: Recovery,
    pub(crate) replay: Replay,
    pub(crate) places: Places,
}

impl FoundLog {
    /// Reads a log to its end. The state has the entries up to `applied`, so their ops are not
    /// kept. `each` sees every record.
    ///
    /// # Errors
    /// When the log is damaged, or was not written by a member of a group or a ledger alone.
    pub fn read(
        mut recovery: Recovery,
        applied: u64,
        progress: &mut dyn FnMut(Progress),
        each: &mut dyn FnMut(Hard, &Content),
    ) -> Result<Self, NodeError> {
        let pool = BufferPool::new(1).map_err(|source| giro::Error::Memory {
            what: "a message buffer",
            source,
        })?;
        let mut buffer = pool.take().expect("a new pool has a buffer");
        let mut survey = Survey::new(applied);
        let mut at = Progress {
            records: 0,
            ops: 0,
            bytes: 0,
            bytes_total: recovery.bytes_total(),
        };
        while let Some(header) = recovery.next(&mut buffer)? {
            let (hard, content) = content_of(&header, &buffer)?;
            each(hard, &content);
            survey.take(header.index, hard, content)?;
            at.records += 1;
            at.ops += u64::from(header.op_count);
            at.bytes += header.padded_bytes() as u64;
            progress(at);
        }
        let (replay, places) = survey.finish();
        Ok(Self {
            recovery,
            replay,
            places,
        })
    }

    /// The entry before the first one that counts: the least that the state must have.
    #[must_use]
    pub fn before(&self) -> u64 {
        self.replay.before()
    }
}

/// What the records of a log come to, one by one.
pub(crate) struct Survey {
    replay: Replay,
    places: Option<Places>,
}

impl Survey {
    /// For a state that has the entries up to `applied`: their ops are not kept.
    pub(crate) fn new(applied: u64) -> Self {
        let (replay, places) = (Replay::new(applied), None);
        Self { replay, places }
    }

    /// Takes the next record.
    pub(crate) fn take(
        &mut self,
        record: u64,
        hard: Hard,
        content: Content,
    ) -> Result<(), StartError> {
        match &content {
            Content::State | Content::Roll(_) => {}
            Content::Entry(entry) => {
                let before = entry.index.saturating_sub(1);
                let places = self.places.get_or_insert_with(|| {
                    Places::behind(before, (before == 0).then(OpPlace::default))
                });
                if entry.index == 0 || entry.index > places.end() {
                    return Err(StartError::Inconsistent("an entry is missing"));
                }
                let payload = &entry.payload.bytes;
                places.put(entry.index, place_of(record, entry, payload, places));
            }
            Content::Installed { index, .. } => self.places = Some(Places::behind(*index, None)),
        }
        self.replay.record(hard, content)
    }

    /// All records were taken.
    pub(crate) fn finish(self) -> (Replay, Places) {
        let behind_nothing = || Places::behind(0, Some(OpPlace::default()));
        (self.replay, self.places.unwrap_or_else(behind_nothing))
    }
}

/// The place of an entry with this payload in this record, when those before it have theirs.
pub(crate) fn place_of(record: u64, entry: &Entry, payload: &[u8], places: &Places) -> Place {
    let last = match entry.kind {
        EntryKind::Ops => ops_of_valid_payload(payload).last(),
        EntryKind::Empty | EntryKind::Change => None,
    };
    let last = last.map(|(header, _)| OpPlace {
        op: header.op,
        timestamp: header.timestamp,
    });
    Place {
        record,
        term: entry.term,
        bytes: payload.len(),
        last_op: last.or_else(|| places.last_op(entry.index - 1)),
    }
}

/// What a record says. That of a ledger alone is an entry of its own number, committed.
///
/// # Errors
/// When it is no entry's.
pub fn content_of(header: &RecordHeader, buffer: &Buffer) -> Result<(Hard, Content), NodeError> {
    let record = header.index;
    let mark = header.mark;
    if mark == Mark::default() {
        let hard = Hard {
            term: header.term,
            vote: 0,
            commit: record,
        };
        let payload = payload_of(header, buffer);
        let entry = Entry {
            index: record,
            term: header.term,
            kind: EntryKind::Ops,
            payload: Payload::new(payload),
        };
        return Ok((hard, Content::Entry(entry)));
    }
    let hard = Hard {
        term: header.term,
        vote: mark.vote,
        commit: mark.commit,
    };
    let (index, term) = (mark.entry, mark.entry_term);
    let kind = match mark.kind {
        KIND_STATE => return Ok((hard, Content::State)),
        KIND_ROLL => return Ok((hard, Content::Roll(roll_of(header, buffer)?))),
        KIND_INSTALLED => return Ok((hard, Content::Installed { index, term })),
        kind => EntryKind::from_number(kind),
    };
    let reason = "its kind is not known";
    let kind = kind.ok_or(NodeError::Record { record, reason })?;
    let payload = match kind {
        EntryKind::Ops => payload_of(header, buffer),
        EntryKind::Empty => Bytes::new(),
        EntryKind::Change => {
            let reason = "a change of membership is missing";
            let change = only_op(header, buffer, reason)?;
            if giro_replication::Change::decode(change).is_none() {
                let reason = "its change of membership is not known";
                return Err(NodeError::Record { record, reason });
            }
            Bytes::copy_from_slice(change)
        }
    };
    let payload = Payload::new(payload);
    let entry = Entry {
        index,
        term,
        kind,
        payload,
    };
    Ok((hard, Content::Entry(entry)))
}

/// The incarnations of a group's first voters.
fn roll_of(header: &RecordHeader, buffer: &Buffer) -> Result<Vec<u64>, NodeError> {
    let reason = "the roll of the first replicas is missing";
    let roll = only_op(header, buffer, reason)?;
    let (each, rest) = roll.as_chunks::<8>();
    if !rest.is_empty() || !(2..=MEMBERS_MAX).contains(&each.len()) {
        let (record, reason) = (header.index, "its roll is of another size");
        return Err(NodeError::Record { record, reason });
    }
    Ok(each.iter().map(|each| u64::from_le_bytes(*each)).collect())
}

/// The body of an op that has a record for itself, and no number.
fn only_op<'a>(
    header: &RecordHeader,
    buffer: &'a Buffer,
    reason: &'static str,
) -> Result<&'a [u8], NodeError> {
    let record = header.index;
    let payload = &buffer[RECORD_HEADER_BYTES..header.bytes as usize];
    let op = ops_of_valid_payload(payload).next();
    let (_, body) = op.ok_or(NodeError::Record { record, reason })?;
    Ok(body)
}

fn payload_of(header: &RecordHeader, buffer: &Buffer) -> Bytes {
    aligned(&buffer[RECORD_HEADER_BYTES..header.bytes as usize])
}

/// A change of membership, or the roll, as the log has it: one op without a number.
pub(crate) fn header_of_only_op(body: &[u8]) -> OpHeader {
    OpHeader {
        checksum_body: giro_base::checksum(body),
        body_bytes: body.len() as u32,
        ..OpHeader::default()
    }
    .sealed()
}

/// A record without an entry.
pub(crate) const KIND_STATE: u8 = 3;
/// A record that says a checkpoint was installed.
pub(crate) const KIND_INSTALLED: u8 = 4;
/// A record with the incarnations of a group's first voters.
pub(crate) const KIND_ROLL: u8 = 5;
