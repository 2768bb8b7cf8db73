//! A node's log: the real one, on a simulated disk, with what the auditor knows to be durable.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use giro_base::limits::RECORD_HEADER_BYTES;
use giro_base::{Buffer, BufferPool, checksum};
use giro_log::storage::Storage;
use giro_log::{
    Identity, Log, LogOptions, Mark, NewRecord, OpHeader, RecordHeader, Recovery, op_bytes,
    ops_of_payload,
};
use giro_replication::{Content, Entry, EntryKind, Hard, Payload, Replay, Write};
use zerocopy::IntoBytes;

use crate::disk::{SimDisk, SimStorage};

/// Everything a node's log needs beside its files.
pub struct Wal {
    log: Log,
    disk: SimDisk,
    pool: BufferPool,
    /// Records the log could not take yet; with the number of the write that the record ends.
    waiting: VecDeque<(Hard, Content, Option<u64>)>,
    /// Records on their way, by number.
    under_way: VecDeque<(u64, Hard, Content, Option<u64>)>,
    /// Durable entries, as reading the segments would give them.
    entries: BTreeMap<u64, Entry>,
}

/// A log that was opened, what its records say, and what is durable of them.
pub type Opened = (Wal, Replay, DurableView);

/// What is durable, as an onlooker knows it.
#[derive(Clone, Debug, Default)]
pub struct DurableView {
    /// Term and checksum of each entry.
    pub entries: BTreeMap<u64, (u64, u128)>,
    /// The newest.
    pub hard: Hard,
    /// The installed checkpoint, if there is one: entries up to it count as there.
    pub base: u64,
}

impl DurableView {
    fn take(&mut self, hard: Hard, content: &Content) {
        self.hard = hard;
        match content {
            Content::State => {}
            Content::Entry(entry) => {
                self.entries.split_off(&entry.index);
                let sum = entry.payload.checksum;
                self.entries.insert(entry.index, (entry.term, sum));
            }
            Content::Installed { index, .. } => {
                self.entries.clear();
                self.base = *index;
            }
        }
    }

    /// The last durable entry.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.entries
            .keys()
            .next_back()
            .copied()
            .unwrap_or(self.base)
    }

    /// Whether the entry is durable with this term.
    #[must_use]
    pub fn has(&self, index: u64, term: u64) -> bool {
        index <= self.base
            || self
                .entries
                .get(&index)
                .is_some_and(|entry| entry.0 == term)
    }
}

const DIR: &str = "node";
/// Small, so that segments end often.
const SEGMENT_BYTES: u64 = 272 * 4096;

fn identity() -> Identity {
    Identity {
        cluster: crate::node::CLUSTER,
        replica: 0,
        replica_count: 1,
        incarnation: 0,
        hash_key: [3, 4],
        segment_bytes: SEGMENT_BYTES,
    }
}

impl Wal {
    /// Makes an empty log.
    ///
    /// # Panics
    /// When the log cannot be made: the disk does nothing wrong here.
    pub fn format(storage: &SimStorage) {
        let storage: Arc<dyn Storage> = Arc::new(storage.clone());
        giro_log::directory::format_on(&storage, Path::new(DIR), &identity())
            .expect("a new disk takes a ledger");
    }

    /// Reads the log back.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn open(storage: &SimStorage, pool: &BufferPool) -> Result<Opened, String> {
        let shared: Arc<dyn Storage> = Arc::new(storage.clone());
        let options = LogOptions {
            spares: 1,
            ..LogOptions::default()
        };
        let recovery = Recovery::open_on(shared, Path::new(DIR), &identity(), &options);
        let mut recovery = recovery.map_err(|error| error.to_string())?;
        let mut buffer = pool.take().expect("the pool has enough");
        let (mut replay, mut view) = (Replay::default(), DurableView::default());
        let mut entries = BTreeMap::new();
        while let Some(header) = recovery.next(&mut buffer).map_err(|e| e.to_string())? {
            let (hard, content) = content_of(&header, &buffer);
            view.take(hard, &content);
            keep(&mut entries, &content);
            replay.record(hard, content).map_err(|e| e.to_string())?;
        }
        let log = recovery.finish_inline().map_err(|e| e.to_string())?;
        let wal = Self {
            log,
            disk: SimDisk::new(storage.clone()),
            pool: pool.clone(),
            waiting: VecDeque::new(),
            under_way: VecDeque::new(),
            entries,
        };
        Ok((wal, replay, view))
    }

    /// Takes a write; its records are started when the log can take them.
    pub fn submit(&mut self, write: &Write) {
        for (hard, content) in write.records() {
            let content = match content {
                Content::State => Content::State,
                Content::Entry(entry) => Content::Entry(entry.clone()),
                Content::Installed { index, term } => Content::Installed { index, term },
            };
            self.waiting.push_back((hard, content, None));
        }
        let last = self.waiting.back_mut().expect("a write has a record");
        last.2 = Some(write.number);
    }

    /// Starts what can be started; returns the numbers of the records.
    pub fn start(&mut self) -> Vec<u64> {
        while !self.waiting.is_empty() && self.log.can_append() {
            let (hard, content, number) = self.waiting.pop_front().expect("looked at it above");
            let mut buffer = self.pool.take().expect("the pool has enough");
            let (record, mark) = fill(&mut buffer, hard, &content);
            let index = self
                .log
                .append_marked(&mut buffer, record, mark, &mut self.disk);
            let index = index.expect("the log said it can");
            self.under_way.push_back((index, hard, content, number));
        }
        self.disk.take_started()
    }

    /// The disk has a record. Returns the numbers of the writes that are durable by it.
    pub fn complete(&mut self, record: u64, view: &mut DurableView) -> Vec<u64> {
        let Some(bytes) = self.disk.complete(record) else {
            return Vec::new();
        };
        let durable = self.log.on_write(record, Ok(bytes));
        let durable = durable.expect("the write did not fail");
        let mut numbers = Vec::new();
        while self
            .under_way
            .front()
            .is_some_and(|front| front.0 <= durable)
        {
            let (_, hard, content, number) = self.under_way.pop_front().expect("as above");
            view.take(hard, &content);
            keep(&mut self.entries, &content);
            numbers.extend(number);
        }
        numbers
    }

    /// Durable entries from `low` to below `high`.
    #[must_use]
    pub fn entries(&self, low: u64, high: u64) -> Vec<Entry> {
        let entries = self.entries.range(low..high);
        entries.map(|(_, entry)| entry.clone()).collect()
    }

    /// Whether records wait for the disk.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || !self.under_way.is_empty()
    }

    /// What is left is the disk's files, and what it does with writes under way.
    #[must_use]
    pub fn into_disk(self) -> SimDisk {
        self.disk
    }
}

fn keep(entries: &mut BTreeMap<u64, Entry>, content: &Content) {
    match content {
        Content::State => {}
        Content::Entry(entry) => {
            entries.split_off(&entry.index);
            entries.insert(entry.index, entry.clone());
        }
        Content::Installed { .. } => entries.clear(),
    }
}

/// Makes a record's content in `buffer`.
fn fill(buffer: &mut Buffer, hard: Hard, content: &Content) -> (NewRecord, Mark) {
    let mut record = NewRecord {
        term: hard.term,
        first_op: 0,
        op_count: 0,
        ops_bytes: 0,
        timestamp: 0,
    };
    let mut mark = Mark {
        kind: 3,
        vote: hard.vote,
        commit: hard.commit,
        ..Mark::default()
    };
    match content {
        Content::State => {}
        Content::Installed { index, term } => {
            (mark.kind, mark.entry, mark.entry_term) = (4, *index, *term);
        }
        Content::Entry(entry) => {
            (mark.kind, mark.entry, mark.entry_term) = (entry.kind as u8, entry.index, entry.term);
            let bytes = match entry.kind {
                EntryKind::Ops | EntryKind::Empty => entry.payload.bytes.clone(),
                EntryKind::Change => as_op(&entry.payload.bytes),
            };
            buffer[RECORD_HEADER_BYTES..][..bytes.len()].copy_from_slice(&bytes);
            let ops = ops_of_payload(&buffer[RECORD_HEADER_BYTES..][..bytes.len()]);
            let ops = ops.expect("entries are whole ops");
            record.first_op = ops.first().map_or(0, |(header, _)| header.op);
            record.timestamp = ops.last().map_or(0, |(header, _)| header.timestamp);
            (record.op_count, record.ops_bytes) = (ops.len() as u32, bytes.len());
        }
    }
    (record, mark)
}

/// A change of membership as the log has it: one op without a number.
fn as_op(change: &[u8]) -> Bytes {
    let header = OpHeader {
        checksum_body: checksum(change),
        body_bytes: change.len() as u32,
        ..OpHeader::default()
    };
    let mut bytes = header.sealed().as_bytes().to_vec();
    bytes.extend_from_slice(change);
    bytes.resize(op_bytes(change.len()), 0);
    bytes.into()
}

/// What a record says.
fn content_of(header: &RecordHeader, buffer: &Buffer) -> (Hard, Content) {
    let mark = header.mark;
    let hard = Hard {
        term: header.term,
        vote: mark.vote,
        commit: mark.commit,
    };
    let (index, term) = (mark.entry, mark.entry_term);
    let kind = match mark.kind {
        3 => return (hard, Content::State),
        4 => return (hard, Content::Installed { index, term }),
        kind => EntryKind::from_number(kind).expect("the log bounds kinds"),
    };
    let payload = &buffer[RECORD_HEADER_BYTES..header.bytes as usize];
    let payload = if kind == EntryKind::Change {
        let ops = ops_of_payload(payload).expect("the log validated them");
        Bytes::copy_from_slice(ops[0].1)
    } else {
        Bytes::copy_from_slice(payload)
    };
    let payload = Payload::new(payload);
    let entry = Entry {
        index,
        term,
        kind,
        payload,
    };
    (hard, Content::Entry(entry))
}
