//! Starting from what the log has.

use std::collections::VecDeque;

use raft::{Config, RawNode, ReadOnlyOption};

use super::Group;
use super::types::{Checkpoint, RoleChange};
use crate::NodeId;
use crate::backlog::Backlog;
use crate::divergence::Digests;
use crate::entry::{Entry, Hard};
use crate::error::StartError;
use crate::flights::Flights;
use crate::limits::{
    APPEND_BYTES, APPENDS_IN_FLIGHT_MAX, COMMIT_BYTES, ELECTION_TICKS_END, ELECTION_TICKS_MIN,
    HEARTBEAT_TICKS, UNCOMMITTED_BYTES_MAX,
};
use crate::members::Members;
use crate::pending::{Proposals, Reads};
use crate::roll::RollCall;
use crate::untold::Untold;
use crate::window::{Window, WindowStart};

/// What can be chosen at each start.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The ledger's.
    pub cluster: u128,
    /// Made from what all nodes of the group were formatted with. A node with another one is none
    /// of it, whatever its cluster and id.
    pub origin: u64,
    /// This node.
    pub node: NodeId,
    /// Drawn when this node's directory was made.
    pub incarnation: u64,
    /// Fixes the election time-outs; any number.
    pub seed: u64,
    /// A node with a lower priority loses an election against an equal log.
    pub priority: i64,
    /// Bytes of entries kept in memory for peers that lag.
    pub window_bytes: usize,
    /// Bytes of committed entries that wait for execution, from which on this node takes no more
    /// entries.
    pub backlog_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cluster: 0,
            origin: 0,
            node: 1,
            incarnation: 0,
            seed: 0,
            priority: 0,
            window_bytes: 64 << 20,
            backlog_bytes: 64 << 20,
        }
    }
}

/// What a node knows when it starts, from its checkpoint and its log.
#[derive(Clone, Debug)]
pub struct Start {
    /// The newest in the log.
    pub hard: Hard,
    /// Entries up to this one are executed already.
    pub applied: u64,
    /// The members behind that entry.
    pub members: Members,
    /// Oldest entry that the log has; one above the last when it has none.
    pub first: u64,
    /// Terms, each with the index it begins at, ascending; the first one is that of `first - 1`.
    pub terms: Vec<(u64, u64)>,
    /// The newest entries, at least all above `applied`.
    pub entries: Vec<Entry>,
    /// The last entry.
    pub last: u64,
    /// The newest checkpoint, for peers that lag.
    pub checkpoint: Option<Checkpoint>,
    /// The incarnations of the first voters that this node agreed to, where the log has them.
    pub roll: Option<Vec<u64>>,
    /// There is nothing else: the node has promised nothing yet.
    pub is_new: bool,
}

impl Start {
    /// A node of a new group: all its first voters start with the same members.
    #[must_use]
    pub fn new_group(members: Members) -> Self {
        Self {
            hard: Hard::default(),
            applied: 0,
            members,
            first: 1,
            terms: vec![(0, 0)],
            entries: Vec::new(),
            last: 0,
            checkpoint: None,
            roll: None,
            is_new: true,
        }
    }

    fn check(&self) -> Result<(), StartError> {
        let Self { hard, last, .. } = *self;
        let says = |fits: bool, what| {
            let wrong = StartError::Inconsistent(what);
            if fits { Ok(()) } else { Err(wrong) }
        };
        if hard.commit > last {
            let commit = hard.commit;
            return Err(StartError::CommitAboveLog { commit, last });
        }
        says(self.applied <= last, "more is executed than there is")?;
        says(
            self.first <= self.applied + 1,
            "an entry to be executed is gone",
        )?;
        let indexes = self.entries.iter().map(|entry| entry.index);
        let from = last + 1 - (self.entries.len() as u64).min(last);
        says(indexes.eq(from..=last), "entries have gaps")?;
        says(
            from <= self.applied + 1 || last == self.applied,
            "an entry to be executed is not in memory",
        )?;
        let begins = self
            .terms
            .first()
            .is_some_and(|(index, _)| *index < self.first);
        says(begins, "the term before the first entry is not known")?;
        let rises = |a: &(u64, u64), b: &(u64, u64)| a.0 < b.0 && a.1 <= b.1;
        says(self.terms.is_sorted_by(rises), "terms fall")?;
        let last_term = self.terms.last().map_or(0, |(_, term)| *term);
        says(
            last_term <= hard.term,
            "an entry is of a later term than the node",
        )
    }
}

impl Group {
    /// A node's part in its group.
    ///
    /// # Errors
    /// When what the log has does not fit together.
    pub fn new(options: Options, mut start: Start) -> Result<Self, StartError> {
        start.check()?;
        // The stored commit may be old; what is executed was committed.
        start.hard.commit = start.hard.commit.max(start.applied);
        // The library cannot answer a pre-vote with "no" in term 0.
        start.hard.term = start.hard.term.max(1);
        let config = config(&options, start.applied);
        let window = Window::new(WindowStart {
            hard: start.hard,
            checkpoint: start.checkpoint,
            conf: start.members.conf_state(),
            terms: start.terms,
            first: start.first,
            entries: start.entries.iter().map(Entry::to_raft).collect(),
            last: start.last,
            bytes_max: options.window_bytes,
        });
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(&config, window, &logger).expect("checked above");
        let role = RoleChange::before_any(start.hard.term);
        let mut group = Self {
            raw,
            is_touched: true,
            lending: None,
            options,
            members: start.members,
            flights: Flights::default(),
            untold: Untold::default(),
            untold_term: 0,
            untold_commits: Vec::new(),
            told: Vec::new(),
            promised: (start.hard.term, start.hard.vote),
            released: Vec::new(),
            proposals: Proposals::default(),
            reads: Reads::default(),
            digests: Digests::new(options.node),
            now: 0,
            role,
            handed: start.applied,
            library_handed: start.applied,
            library_executed: start.applied,
            executed: start.applied,
            backlog: Backlog::new(options.backlog_bytes),
            compacted: start.first,
            serving_from: 0,
            durable_term: start.hard.term,
            roles: vec![role],
            unknown: Vec::new(),
            refused_reads: Vec::new(),
            fetches: VecDeque::new(),
            fetch_count: 0,
            offer: None,
            installs: Vec::new(),
            heard: Vec::new(),
            holding: Vec::new(),
            gave_way_to: None,
            met: Vec::new(),
            roll: None,
            first: Vec::new(),
            words: Vec::new(),
            stop: None,
        };
        group.begin_or_call(start.is_new, start.roll)?;
        group.after_call();
        Ok(group)
    }

    /// A first voter that has promised nothing, of a group whose members do not know each other,
    /// looks for the others.
    fn begin_or_call(&mut self, is_new: bool, roll: Option<Vec<u64>>) -> Result<(), StartError> {
        let members = &self.members;
        let voters = members.voters.clone();
        let own = self.options.node;
        let is_first = voters.len() > 1 && voters.contains(&own);
        if is_new && is_first && voters.iter().any(|id| members.is_unbound(*id)) {
            let own = (own, self.options.incarnation);
            let call = RollCall::new(own, voters, roll);
            let wrong = "the roll of the first replicas is none of this replica's";
            self.roll = Some(call.ok_or(StartError::Inconsistent(wrong))?);
        } else if let Some(roll) = roll {
            self.know_first((1..).zip(roll).collect());
        }
        Ok(())
    }
}

/// What the library is told.
fn config(options: &Options, applied: u64) -> Config {
    Config {
        id: options.node,
        applied,
        heartbeat_tick: HEARTBEAT_TICKS,
        election_tick: ELECTION_TICKS_MIN,
        min_election_tick: ELECTION_TICKS_MIN,
        max_election_tick: ELECTION_TICKS_END,
        check_quorum: true,
        pre_vote: true,
        read_only_option: ReadOnlyOption::Safe,
        max_size_per_msg: APPEND_BYTES,
        max_inflight_msgs: APPENDS_IN_FLIGHT_MAX,
        max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
        max_committed_size_per_ready: COMMIT_BYTES,
        skip_bcast_commit: false,
        batch_append: false,
        priority: options.priority,
    }
}
