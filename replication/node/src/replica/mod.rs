//! A node: what drives it calls in turns, and it does the rest.

mod checkpoints;
mod clients;
mod execute;
mod gated;
mod open;
mod peers;
mod relief;
mod turn;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use giro::Engine;
use giro_log::storage::Storage;
use giro_log::{DirLock, Identity};
use giro_replication::{
    Commit, Fetch, Group, Install, Members, NodeId, Outgoing, Output, Place, Role, RoleChange,
    RollStatus, Status,
};

use crate::aligned::Copies;
use crate::gate::{Gate, GateStatus};
use crate::journal::{Event, Journal};
use crate::mark::GroupMark;
use crate::options::ReplicaOptions;
use crate::wal::Wal;

pub use self::open::Beginning;

/// What becomes of a client's request at this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is taken.
    Serving,
    /// It is to be sent again a little later: the role is being taken over or handed over.
    Busy,
    /// Another node leads.
    Elsewhere {
        /// Which one, if it is known.
        leader: Option<NodeId>,
    },
}

/// A member of a group: the engine, its log and its part in the group.
///
/// In a turn a driver calls, in this order: [`tick`](Self::tick) and [`receive`](Self::receive),
/// [`on_write`](Self::on_write) for completed writes, the engine's `submit_*` and
/// [`ask`](Self::ask) for requests, [`flush`](Self::flush), then sends what is in
/// [`frames`](Self::frames), and calls [`execute`](Self::execute) while there is more and
/// [`answers`](Self::answers).
pub struct Replica {
    engine: Engine,
    wal: Wal,
    group: Group,
    gate: Option<Gate>,
    options: ReplicaOptions,
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    identity: Identity,
    /// Keeps other processes out of the directory.
    _lock: Option<DirLock>,
    /// What the last polls left.
    out: Option<Box<Output>>,
    /// The group was polled since somebody asked.
    is_stirred: bool,
    frames: Vec<Outgoing>,
    /// Of own groups, for the window and the frames.
    copies: Copies,
    /// Committed and not executed, oldest first.
    committed: VecDeque<Commit>,
    /// Own groups that are not executed: place and payload, for looking ahead. No bytes until the
    /// record of a lent one is complete.
    own: VecDeque<(Place, Bytes)>,
    /// Own groups that are not committed.
    undecided: usize,
    was_serving: bool,
    /// Ticks that this node has been leading without room on its disk.
    full_ticks: u64,
    tickets: u64,
    answers: Vec<(u64, bool)>,
    /// Members behind the last executed entry, and its term.
    members: Members,
    executed_term: u64,
    /// Ops up to this one came with the checkpoint.
    known_op: u64,
    /// Checkpoints that are not durable yet, with the record that each of them ends in.
    marks: VecDeque<(u64, GroupMark)>,
    fetches: Vec<Fetch>,
    installs: Vec<Install>,
    offers: Vec<(NodeId, u64)>,
    wants_checkpoint: bool,
    /// A checkpoint was installed: the directory has to be opened again.
    is_superseded: bool,
    journal: Journal,
    digest_mask: u128,
}

impl Replica {
    /// What becomes of a request here and now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let RoleChange {
            role,
            leader,
            serving,
            ..
        } = self.group.role();
        match role {
            _ if self.is_superseded => Standing::Elsewhere { leader },
            Role::Leader if serving && self.was_serving && self.group.next_place().is_some() => {
                Standing::Serving
            }
            Role::Leader => Standing::Busy,
            Role::Follower | Role::Candidate => Standing::Elsewhere { leader },
        }
    }

    /// The client protocol's view: it rises with the term and with changes of who votes, and names
    /// the leader by its place among the voters, ascending by id: clients list their addresses in
    /// that order. 0 when no leader is known, or it is none of them.
    #[must_use]
    pub fn view(&self) -> u32 {
        let role = self.group.role();
        let leader = role.leader.unwrap_or_default();
        giro_replication::view(role.term, leader, self.group.members()).unwrap_or_default()
    }

    /// The engine: for checks, reads, and looking.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine: requests are submitted to it while this node [serves](Standing::Serving), and
    /// only then.
    pub fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The members, as of the last executed entry.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// What a new connection to a peer begins with.
    #[must_use]
    pub fn greeting(&self, to: NodeId) -> Option<giro_replication::Frame> {
        self.group.greeting(to)
    }

    /// How this node sees the group.
    #[must_use]
    pub fn status(&self) -> Status {
        self.group.status()
    }

    /// Why the group has not begun; none when it has.
    #[must_use]
    pub fn roll(&self) -> Option<RollStatus> {
        self.group.roll()
    }

    /// How the gate for replies stands, if there is one.
    #[must_use]
    pub fn gate(&self) -> Option<GateStatus> {
        self.gate.as_ref().map(Gate::status)
    }

    /// Role, term and leader.
    #[must_use]
    pub fn role(&self) -> RoleChange {
        self.group.role()
    }

    /// This node's id.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.options.node
    }

    /// Whose ledger this is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The last entry whose effect the state has as a whole.
    #[must_use]
    pub fn executed_index(&self) -> u64 {
        self.group.executed_index()
    }

    /// How far the log has come, in records.
    #[must_use]
    pub fn positions(&self) -> giro_log::Positions {
        self.wal.log.positions()
    }

    /// The oldest entry that the log still has.
    #[must_use]
    pub fn first_entry(&self) -> u64 {
        self.wal.places.first()
    }

    /// Why the log gets no segment, when the system refuses to make one. It passes by itself.
    #[must_use]
    pub fn obstacle(&self) -> Option<giro_log::LogError> {
        self.wal.log.obstacle()
    }

    /// A checkpoint was installed and is durable. This replica does nothing more: drop it, and
    /// open the directory again. None of its writes is under way.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.is_superseded
    }

    /// Keeps note of what happens from now on, for [`events`](Self::events).
    pub fn watch(&mut self) {
        self.journal.open();
    }

    /// What happened since the last call, oldest first.
    pub fn events(&mut self) -> Vec<Event> {
        self.journal.take()
    }

    /// Makes this node believe in another digest than its state has. For tests of what the others
    /// do about it.
    #[doc(hidden)]
    pub fn spoil_digest(&mut self, mask: u128) {
        self.digest_mask = mask;
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }
}
