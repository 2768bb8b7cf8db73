//! The header of a frame.

use giro_base::checksum;
use raft::eraftpb::MessageType;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use super::BadFrame;
use crate::limits::{APPEND_ENTRIES_MAX, DESCRIPTION_BYTES_MAX, ENTRY_BYTES_MAX, NUMBER_MAX};
use crate::roll::Word;

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 192;
/// Bytes that describe one entry.
pub(super) const DESCRIPTOR_BYTES: usize = 48;
/// Most bytes of a frame.
pub const FRAME_BYTES_MAX: usize =
    HEADER_BYTES + APPEND_ENTRIES_MAX * DESCRIPTOR_BYTES + DESCRIPTION_BYTES_MAX + ENTRY_BYTES_MAX;
/// Bytes of the context that names a read.
pub(super) const CONTEXT_BYTES: usize = 8;

/// "GIRP", as it stands in the frame.
const MAGIC: u32 = u32::from_le_bytes(*b"GIRP");
const VERSION: u16 = 1;
const REJECT: u8 = 1;
const HOLDS_BACK: u8 = 2;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Entries for a follower's log.
    Append = 1,
    /// What became of them.
    AppendAnswer = 2,
    /// A candidate's request.
    Vote = 3,
    /// The answer to it.
    VoteAnswer = 4,
    /// Would you vote for me?
    PreVote = 5,
    /// The answer to it.
    PreVoteAnswer = 6,
    /// The leader is there.
    Heartbeat = 7,
    /// So is the follower.
    HeartbeatAnswer = 8,
    /// The log no longer has what you need; here is where a checkpoint is.
    CheckpointOffer = 9,
    /// Campaign now.
    CampaignNow = 10,
    /// I am there, and this is how far my group has come with its beginning.
    RollCall = 11,
}

/// Every kind that the library has a name for.
pub(crate) const KINDS: [(Kind, MessageType); 10] = [
    (Kind::Append, MessageType::MsgAppend),
    (Kind::AppendAnswer, MessageType::MsgAppendResponse),
    (Kind::Vote, MessageType::MsgRequestVote),
    (Kind::VoteAnswer, MessageType::MsgRequestVoteResponse),
    (Kind::PreVote, MessageType::MsgRequestPreVote),
    (Kind::PreVoteAnswer, MessageType::MsgRequestPreVoteResponse),
    (Kind::Heartbeat, MessageType::MsgHeartbeat),
    (Kind::HeartbeatAnswer, MessageType::MsgHeartbeatResponse),
    (Kind::CheckpointOffer, MessageType::MsgSnapshot),
    (Kind::CampaignNow, MessageType::MsgTimeoutNow),
];

/// The header, as it stands in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// Of bytes 16.. of this header.
    pub checksum: u128,
    /// Of descriptors, context and description.
    pub checksum_rest: u128,
    /// The ledger's.
    pub cluster: u128,
    /// `GIRP`.
    pub magic: u32,
    /// Of this layout.
    pub version: u16,
    /// Raft group; 0.
    pub group: u16,
    /// The sender.
    pub from: u64,
    /// The receiver.
    pub to: u64,
    /// The sender's.
    pub incarnation: u64,
    /// The sender's, or the one a candidate wants.
    pub term: u64,
    /// Term of the entry at `index`.
    pub log_term: u64,
    /// What it means depends on the kind.
    pub index: u64,
    /// Highest index the sender knows committed.
    pub commit: u64,
    /// Term of that.
    pub commit_term: u64,
    /// Where the follower's log may agree with the leader's.
    pub reject_hint: u64,
    /// The entry behind which the sender's state had `digest`; 0 is none.
    pub digest_index: u64,
    /// A candidate's priority, signed.
    pub priority: u64,
    /// Of the sender's state.
    pub digest: u128,
    /// Of the whole frame.
    pub bytes: u32,
    /// Entries in it.
    pub entry_count: u32,
    /// Bytes of a checkpoint's description.
    pub description_bytes: u32,
    /// A [`Kind`].
    pub kind: u8,
    /// Bit 0: the answer is no. Bit 1: the sender takes no entries for now.
    pub flags: u8,
    /// 0 or 8.
    pub context_bytes: u16,
    /// Of the sender's group: [`Options::origin`](crate::Options::origin).
    pub origin: u64,
    /// In a roll call, where `index` is 2: the receiver's, as the sender's group knows it; 0 is not
    /// at all. Else 0.
    pub known: u64,
}

/// What stands before the payloads for each entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Descriptor {
    pub(crate) checksum: u128,
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) bytes: u32,
    pub(crate) kind: u8,
    pub(crate) reserved: [u8; 11],
}

const _: () = assert!(size_of::<Header>() == HEADER_BYTES);
const _: () = assert!(std::mem::offset_of!(Header, digest) == 144);
const _: () = assert!(std::mem::offset_of!(Header, origin) == 176);
const _: () = assert!(size_of::<Descriptor>() == DESCRIPTOR_BYTES);
const _: () = assert!(FRAME_BYTES_MAX < u32::MAX as usize);

impl Header {
    pub(super) fn new() -> Self {
        let mut header = Self::new_zeroed();
        (header.magic, header.version) = (MAGIC, VERSION);
        header
    }

    pub(super) fn set_flags(&mut self, rejects: bool, holds_back: bool) {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        self.flags = flag(rejects, REJECT) | flag(holds_back, HOLDS_BACK);
    }

    /// Whether the answer is no.
    #[must_use]
    pub fn is_reject(&self) -> bool {
        self.flags & REJECT != 0
    }

    /// Whether the sender takes no entries for now.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        self.flags & HOLDS_BACK != 0
    }

    /// What the frame is.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let mut kinds = KINDS.iter().map(|(kind, _)| *kind).chain([Kind::RollCall]);
        kinds.find(|kind| *kind as u8 == self.kind)
    }

    /// What the sender says in a roll call, if it is one.
    pub(crate) fn word(&self) -> Option<Word> {
        let is_word = self.kind == Kind::RollCall as u8;
        match self.index {
            0 if is_word => Some(Word::Calls),
            1 if is_word => Some(Word::Agreed(self.digest)),
            2 if is_word => Some(Word::Begun(self.known)),
            _ => None,
        }
    }

    /// Whether there is nothing in it but who says what to whom.
    fn is_plain_word(&self) -> bool {
        let Some(word) = self.word() else {
            return false;
        };
        let mut plain = Self {
            checksum: self.checksum,
            checksum_rest: self.checksum_rest,
            cluster: self.cluster,
            group: self.group,
            from: self.from,
            to: self.to,
            incarnation: self.incarnation,
            origin: self.origin,
            ..Self::new()
        };
        plain.set_word(word);
        *self == plain
    }

    pub(super) fn set_word(&mut self, word: Word) {
        self.kind = Kind::RollCall as u8;
        self.bytes = HEADER_BYTES as u32;
        // No term is 0 in a frame.
        self.term = 1;
        match word {
            Word::Calls => self.index = 0,
            Word::Agreed(sum) => (self.index, self.digest) = (1, sum),
            Word::Begun(known) => (self.index, self.known) = (2, known),
        }
    }

    pub(super) fn checksum_now(&self) -> u128 {
        checksum(self.as_bytes().get(16..).unwrap_or_default())
    }

    /// Bytes behind the header and before the payloads.
    #[must_use]
    pub fn rest_bytes(&self) -> usize {
        let descriptors = self.entry_count as usize * DESCRIPTOR_BYTES;
        descriptors + usize::from(self.context_bytes) + self.description_bytes as usize
    }

    /// Bytes of all payloads.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.bytes as usize - HEADER_BYTES - self.rest_bytes()
    }

    /// The header in these bytes.
    ///
    /// # Errors
    /// When they are no header of this version, or a field is out of bounds.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, BadFrame> {
        let header = Self::read_from_bytes(bytes).map_err(|_| BadFrame::Header)?;
        // A newer version may have its checksum elsewhere; its number stays where it is.
        if header.magic != MAGIC {
            return Err(BadFrame::Magic);
        }
        if header.version != VERSION {
            let (found, expected) = (header.version, VERSION);
            return Err(BadFrame::Version { found, expected });
        }
        if header.checksum != header.checksum_now() {
            return Err(BadFrame::Header);
        }
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), BadFrame> {
        let Some(kind) = self.kind() else {
            return Err(BadFrame::Field("kind"));
        };
        let is_word = kind == Kind::RollCall;
        if self.flags & !(REJECT | HOLDS_BACK) != 0 || (self.known != 0 && !is_word) {
            return Err(BadFrame::Field("reserved part"));
        }
        if is_word && !self.is_plain_word() {
            return Err(BadFrame::Field("word"));
        }
        if self.from == 0 || self.to == 0 {
            return Err(BadFrame::Field("node"));
        }
        let numbers = [
            self.term,
            self.log_term,
            self.index,
            self.commit,
            self.commit_term,
            self.reject_hint,
            self.digest_index,
        ];
        if self.term == 0 || numbers.iter().any(|number| *number > NUMBER_MAX) {
            return Err(BadFrame::Field("term or index"));
        }
        let entries = self.entry_count as usize;
        if entries > APPEND_ENTRIES_MAX || (entries > 0 && kind != Kind::Append) {
            return Err(BadFrame::Field("entry count"));
        }
        let described = kind == Kind::CheckpointOffer;
        let bytes = self.description_bytes as usize;
        if bytes > DESCRIPTION_BYTES_MAX || described != (bytes > 0) {
            return Err(BadFrame::Field("description"));
        }
        let may_name = matches!(kind, Kind::Heartbeat | Kind::HeartbeatAnswer | Kind::Vote);
        match usize::from(self.context_bytes) {
            0 => {}
            CONTEXT_BYTES if may_name => {}
            _ => return Err(BadFrame::Field("context")),
        }
        let fixed = HEADER_BYTES + self.rest_bytes();
        let bytes = self.bytes as usize;
        if bytes < fixed || bytes - fixed > ENTRY_BYTES_MAX || (entries == 0 && bytes != fixed) {
            return Err(BadFrame::Field("length"));
        }
        Ok(())
    }
}
