//! The adapter: one node's part in a group.

mod checkpoints;
mod holding;
mod input;
mod membership;
mod roll;
mod start;
mod status;
mod turn;
mod types;
mod untold;

use std::collections::VecDeque;

use raft::storage::GetEntriesContext;
use raft::{RawNode, StateRole};

use crate::NodeId;
use crate::backlog::Backlog;
use crate::codec::Frame;
use crate::divergence::Digests;
use crate::error::Stop;
use crate::flights::Flights;
use crate::members::Members;
use crate::pending::{Proposals, Reads};
use crate::roll::RollCall;
use crate::timing::election_ticks;
use crate::untold::{Told, Untold};
use crate::window::Window;

use self::untold::Lending;

pub use self::{
    start::{Options, Start},
    status::{PeerStatus, Status},
    types::{
        Checkpoint, Commit, CommitContent, Fetch, Install, LentWrite, Outgoing, Output, Place,
        Role, RoleChange, Write,
    },
};

/// One node's part in a group. See the crate's essay.
pub struct Group {
    raw: RawNode<Window>,
    /// Something was done that a poll has to look at.
    is_touched: bool,
    /// How entries are lent now, if they can be without asking the library.
    lending: Option<Lending>,
    options: Options,
    /// As of the last entry handed out.
    members: Members,
    flights: Flights,
    /// Proposed as the only member, and not told to the library.
    untold: Untold,
    /// The term of the last of these.
    untold_term: u64,
    untold_commits: Vec<Commit>,
    /// Told to the library since its last turn.
    told: Vec<Told>,
    /// Term and vote of the library's last turn.
    promised: (u64, u64),
    /// Messages whose writes are durable.
    released: Vec<raft::eraftpb::Message>,
    proposals: Proposals,
    reads: Reads,
    digests: Digests,
    /// Ticks so far.
    now: u64,
    role: RoleChange,
    /// Last entry handed out for execution, last one of those that the library has handed out, and
    /// last one executed.
    handed: u64,
    library_handed: u64,
    /// Of those that the library has handed out, what it knows to be executed.
    library_executed: u64,
    executed: u64,
    backlog: Backlog,
    /// The log gave up what lies below.
    compacted: u64,
    /// The leader's first entry; it serves once that is executed.
    serving_from: u64,
    /// The hard state of this term is durable.
    durable_term: u64,
    /// What to put out at the next poll.
    roles: Vec<RoleChange>,
    unknown: Vec<u64>,
    refused_reads: Vec<u64>,
    fetches: VecDeque<(u64, u64, GetEntriesContext)>,
    fetch_count: u64,
    /// A checkpoint that a leader offered and that is being fetched.
    offer: Option<raft::eraftpb::Message>,
    installs: Vec<Install>,
    /// When each other member was last heard of (ticks).
    heard: Vec<(NodeId, u64)>,
    /// Peers that take no entries for now.
    holding: Vec<NodeId>,
    /// Whom this node tried to give way to last.
    gave_way_to: Option<NodeId>,
    /// The incarnation under which each member was first heard of whose own the group does not
    /// know yet.
    met: Vec<(NodeId, u64)>,
    /// Until the group has begun.
    roll: Option<RollCall>,
    /// Those of the roll, where the log still has it.
    first: Vec<NodeId>,
    /// Who is to be sent this node's word.
    words: Vec<NodeId>,
    stop: Option<Stop>,
}

impl Group {
    /// This node's id.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.options.node
    }

    /// The members, as of the last entry handed out.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Role, term and leader.
    #[must_use]
    pub fn role(&self) -> RoleChange {
        self.role
    }

    /// Whether requests may be sequenced.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.role.role == Role::Leader && self.role.serving
    }

    /// The last executed entry.
    #[must_use]
    pub fn executed_index(&self) -> u64 {
        self.executed
    }

    fn is_leader(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    /// Whether a leader's state is that of its log's end.
    fn knows_its_log(&self) -> bool {
        self.executed >= self.serving_from
    }

    /// To be called behind every call into the library that may change its state.
    fn after_call(&mut self) {
        self.is_touched = true;
        self.pin_timeout();
        self.note_role();
        self.note_lending();
    }

    /// The library draws the time-out at random; this makes it repeatable.
    fn pin_timeout(&mut self) {
        let node = self.options.node;
        let place = self.members.voters.iter().position(|id| *id == node);
        let term = self.raw.raft.term;
        let ticks = election_ticks(self.options.seed, node, place.unwrap_or(0), term);
        self.raw.raft.set_randomized_election_timeout(ticks);
    }

    /// Compares role, term and leader with what was last told, and gives up what they carried.
    fn note_role(&mut self) {
        let raft = &self.raw.raft;
        let role = match raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Follower => Role::Follower,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
        };
        let was = self.role;
        let is_new = role != was.role || raft.term != was.term;
        if is_new && role == Role::Leader {
            // Its first entry was appended when it became the leader, just now.
            self.serving_from = raft.raft_log.last_index();
        }
        let serving = role == Role::Leader && self.knows_its_log() && !self.has_unbound_first();
        let now = RoleChange {
            role,
            term: raft.term,
            leader: Some(raft.leader_id).filter(|id| *id != 0),
            serving,
        };
        if now == was {
            return;
        }
        if was.role == Role::Leader && is_new {
            self.proposals.give_up(&mut self.unknown);
            self.reads.give_up(&mut self.refused_reads);
            self.fetches.clear();
        }
        self.role = now;
        self.roles.push(now);
    }

    /// What a new connection to a peer begins with: that this node is there. It promises nothing.
    /// None before this node's first term is durable.
    #[must_use]
    pub fn greeting(&self, to: NodeId) -> Option<Frame> {
        if !self.has_begun() {
            return Some(self.frame_of_word(to));
        }
        let mut message = raft::eraftpb::Message::default();
        message.set_msg_type(raft::eraftpb::MessageType::MsgHeartbeatResponse);
        message.from = self.options.node;
        message.to = to;
        message.term = self.durable_term;
        // To the library, term 0 is a word of its own.
        (message.term > 0).then(|| self.frame(&message))?
    }

    fn sender(&self) -> crate::codec::Sender {
        crate::codec::Sender {
            cluster: self.options.cluster,
            origin: self.options.origin,
            incarnation: self.options.incarnation,
            digest: self.digests.newest(),
            holds_back: self.backlog.is_full(),
        }
    }

    fn frame(&self, message: &raft::eraftpb::Message) -> Option<Frame> {
        crate::codec::encode(&self.sender(), message)
    }
}
