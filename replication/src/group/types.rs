//! What goes out of the group.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::NodeId;
use crate::codec::Frame;
use crate::entry::{Entry, Hard, Payload};
use crate::members::Members;
use crate::replay::Content;

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Term it was proposed in.
    pub term: u64,
    /// Its index.
    pub index: u64,
}

/// The write of a proposal whose bytes follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LentWrite {
    /// Where it is.
    pub place: Place,
    /// For [`Group::persisted`](super::Group::persisted).
    pub number: u64,
    /// Goes into its record.
    pub hard: Hard,
}

/// A node's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes what the leader sends. Learners are followers, too.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Proposes.
    Leader,
}

/// Role, term and leader, when one of them changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleChange {
    /// This node's.
    pub role: Role,
    /// The newest it knows.
    pub term: u64,
    /// Who leads, if it is known.
    pub leader: Option<NodeId>,
    /// It leads, and its state is that of the log's end: requests may be sequenced.
    pub serving: bool,
}

impl RoleChange {
    /// A node that has just started.
    pub(super) fn before_any(term: u64) -> Self {
        Self {
            role: Role::Follower,
            term,
            leader: None,
            serving: false,
        }
    }
}

/// A checkpoint as another node gets to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// It has the effect of entries up to this one.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// The members behind that entry.
    pub members: Members,
    /// What the driver needs to fetch and check it; opaque here.
    pub manifest: Bytes,
}

/// A frame to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// To this node.
    pub to: NodeId,
    /// Its parts.
    pub frame: Frame,
}

/// What must become durable together, in the order of `number`.
#[derive(Clone, Debug)]
pub struct Write {
    /// For [`Group::persisted`](super::Group::persisted).
    pub number: u64,
    /// Goes into each of the records.
    pub hard: Hard,
    /// A record each; none: one record without an entry. The first one may be at or below the last
    /// entry written: then that one and all above it are void.
    pub entries: SmallVec<[Entry; 1]>,
    /// Before the entries: this checkpoint, which was fetched, counts now, and the log is empty.
    pub install: Option<Checkpoint>,
    /// And nothing else: the incarnations of the group's first voters.
    pub roll: Option<Vec<u64>>,
}

impl Write {
    /// The records of this write, in order, each with its hard state. A record counts as committed
    /// no more than is in the log with it, so that a log that was cut short by a crash says nothing
    /// of what it lost.
    pub fn records(&self) -> impl Iterator<Item = (Hard, Content<&Entry>)> {
        let up_to = |index: u64| Hard {
            commit: self.hard.commit.min(index),
            ..self.hard
        };
        let install = self.install.iter().map(move |checkpoint| {
            let (index, term) = (checkpoint.index, checkpoint.term);
            (up_to(index), Content::Installed { index, term })
        });
        let entries = self.entries.iter();
        let entries = entries.map(move |entry| (up_to(entry.index), Content::Entry(entry)));
        let is_alone = self.entries.is_empty() && self.install.is_none();
        let state = match &self.roll {
            Some(roll) => Content::Roll(roll.clone()),
            None => Content::State,
        };
        let state = is_alone.then_some((self.hard, state));
        install.chain(entries).chain(state)
    }
}

/// An entry that a majority has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its index.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// What to do.
    pub content: CommitContent,
    /// It was proposed here, in this term, with this ticket: a reply may be sent.
    pub ticket: Option<u64>,
}

/// What a committed entry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitContent {
    /// Execute these ops.
    Ops(Payload),
    /// Nothing but to count it as executed.
    Empty,
    /// The members are these now; the next checkpoint has to say so.
    Members(Members),
}

/// Entries that a peer needs and that are on disk only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// For [`Group::fetched`](super::Group::fetched).
    pub number: u64,
    /// The first one.
    pub low: u64,
    /// Behind the last one.
    pub high: u64,
    /// About so many bytes are enough; at least one entry.
    pub bytes_max: u64,
}

/// A checkpoint that this node needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// Who has it.
    pub from: NodeId,
    /// What it is.
    pub checkpoint: Checkpoint,
}

/// What a turn left to do. The lists are taken by the driver, and cleared by it.
#[derive(Debug, Default)]
pub struct Output {
    /// To be sent.
    pub frames: Vec<Outgoing>,
    /// To be made durable.
    pub writes: Vec<Write>,
    /// To be executed, in order.
    pub commits: Vec<Commit>,
    /// Tickets of reads that may be answered from executed state.
    pub reads: Vec<u64>,
    /// Tickets of reads that another node has to answer.
    pub refused_reads: Vec<u64>,
    /// Tickets of proposals of which nobody knows what becomes.
    pub unknown: Vec<u64>,
    /// Changes of role, oldest first.
    pub roles: Vec<RoleChange>,
    /// To be read from the log.
    pub fetches: Vec<Fetch>,
    /// To be fetched from a peer.
    pub installs: Vec<Install>,
    /// Peers to which the checkpoint at this index was offered.
    pub offers: Vec<(NodeId, u64)>,
    /// A peer needs a checkpoint that is newer than the newest, because it joined behind it: make
    /// one now, and say so with [`Group::set_checkpoint`](super::Group::set_checkpoint).
    pub wants_checkpoint: bool,
}
