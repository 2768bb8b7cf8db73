//! What the group keeps: entries and the hard state.

use bytes::Bytes;
use giro_base::checksum;
use giro_base::checksum::CHECKSUM_EMPTY;
use raft::eraftpb;

use crate::change::Change;

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// A group of ops.
    Ops = 0,
    /// Nothing: a new leader's first entry.
    Empty = 1,
    /// A change of membership.
    Change = 2,
}

impl EntryKind {
    /// The kind with this number in the log and on the wire.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Ops),
            1 => Some(Self::Empty),
            2 => Some(Self::Change),
            _ => None,
        }
    }
}

/// Bytes with their checksum, which is worked out once. Clones share the bytes.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The bytes.
    pub bytes: Bytes,
    /// None for what was lent: most of it is never sent to anybody.
    checksum: Option<u128>,
}

impl Payload {
    /// The bytes with their checksum, which is worked out here.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        let checksum = Some(checksum(&bytes));
        Self { bytes, checksum }
    }

    /// The bytes, whose checksum is worked out when somebody asks for it.
    #[must_use]
    pub fn lent(bytes: Bytes) -> Self {
        let checksum = None;
        Self { bytes, checksum }
    }

    /// Whether the bytes are lent: to be kept, they are to be copied.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        self.checksum.is_none()
    }

    /// The bytes' [`checksum`](giro_base::checksum()).
    #[must_use]
    pub fn checksum(&self) -> u128 {
        self.checksum.unwrap_or_else(|| checksum(&self.bytes))
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Payload {}

/// Context of the library's entry whose bytes are lent: a checksum has more bytes, and no ops at
/// all have none.
const LENT: &[u8] = b"L";

/// One entry: one record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1 without a gap.
    pub index: u64,
    /// Term it was proposed in.
    pub term: u64,
    /// What it is for.
    pub kind: EntryKind,
    /// A group's ops, or an encoded [`Change`]; otherwise nothing.
    pub payload: Payload,
}

/// What a node must remember besides entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hard {
    /// The newest term it knows.
    pub term: u64,
    /// Whom it voted for in that term; 0 is nobody.
    pub vote: u64,
    /// Highest index known to be committed; may be old.
    pub commit: u64,
}

impl Hard {
    pub(crate) fn from_raft(hard: &eraftpb::HardState) -> Self {
        Self {
            term: hard.term,
            vote: hard.vote,
            commit: hard.commit,
        }
    }

    pub(crate) fn to_raft(self) -> eraftpb::HardState {
        eraftpb::HardState {
            term: self.term,
            vote: self.vote,
            commit: self.commit,
            ..eraftpb::HardState::default()
        }
    }
}

impl Entry {
    /// The library's form: a group's bytes are its data, with their checksum as context, or the
    /// word that they are lent. A change is context only, because the library's data would be
    /// protobuf, which never leaves the proposing node.
    pub(crate) fn to_raft(&self) -> eraftpb::Entry {
        let mut entry = eraftpb::Entry {
            index: self.index,
            term: self.term,
            ..eraftpb::Entry::default()
        };
        match self.kind {
            EntryKind::Ops => {
                entry.data = self.payload.bytes.clone();
                entry.context = match self.payload.checksum {
                    Some(checksum) => Bytes::copy_from_slice(&checksum.to_le_bytes()),
                    None => Bytes::from_static(LENT),
                };
            }
            EntryKind::Empty => {}
            EntryKind::Change => {
                entry.set_entry_type(eraftpb::EntryType::EntryConfChangeV2);
                entry.context = self.payload.bytes.clone();
            }
        }
        entry
    }

    pub(crate) fn from_raft(entry: &eraftpb::Entry) -> Self {
        let kind = kind_of(entry);
        let payload = match kind {
            EntryKind::Ops => {
                let sum = <[u8; 16]>::try_from(&entry.context[..]);
                let sum = (!is_lent(entry)).then_some(sum);
                let sum = sum.map(|sum| sum.expect("ops that are not lent have their checksum"));
                let checksum = sum.map(u128::from_le_bytes);
                let bytes = entry.data.clone();
                Payload { bytes, checksum }
            }
            EntryKind::Empty => Payload {
                bytes: Bytes::new(),
                checksum: Some(CHECKSUM_EMPTY),
            },
            EntryKind::Change => Payload::new(entry.context.clone()),
        };
        Self {
            index: entry.index,
            term: entry.term,
            kind,
            payload,
        }
    }

    /// The change that this entry is.
    ///
    /// # Panics
    /// When it is none: it was validated where it came in.
    #[must_use]
    pub fn change(&self) -> Change {
        assert_eq!(self.kind, EntryKind::Change);
        Change::decode(&self.payload.bytes).expect("validated where it came in")
    }
}

/// Whether the entry's bytes are those of its record's buffer, or will be when there is one.
pub(crate) fn is_lent(entry: &eraftpb::Entry) -> bool {
    entry.context == LENT
}

/// An entry of ops has its checksum even when it has no ops; only the library's own has neither.
fn kind_of(entry: &eraftpb::Entry) -> EntryKind {
    match entry.get_entry_type() {
        eraftpb::EntryType::EntryNormal if entry.context.is_empty() => EntryKind::Empty,
        eraftpb::EntryType::EntryNormal => EntryKind::Ops,
        _ => EntryKind::Change,
    }
}
