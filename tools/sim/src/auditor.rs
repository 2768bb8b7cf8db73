//! What must hold after each step. The auditor sees more than any node: every frame that leaves,
//! what every disk has, every entry that is executed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use giro_log::ops_of_valid_payload;
use giro_replication::codec::{Kind, decode};
use giro_replication::{Commit, CommitContent, Entry, Members, NodeId};

use crate::view::{DurableView, UnderWay};

/// What was seen so far.
#[derive(Default)]
pub struct Auditor {
    /// Who led a term.
    leaders: BTreeMap<u64, NodeId>,
    /// Content of an entry, by index and term.
    contents: BTreeMap<(u64, u64), u128>,
    /// What is committed: term and content.
    committed: BTreeMap<u64, (u64, u128)>,
    /// Digest of the state behind an entry.
    digests: BTreeMap<u64, u128>,
    /// Members behind an entry that changed them.
    members: BTreeMap<u64, Members>,
    /// Whom a node voted for.
    votes: BTreeMap<(NodeId, u64), NodeId>,
    /// What leaders sent: the term of an entry, by the leader's own and by index.
    sent: BTreeMap<(u64, u64), u64>,
    /// The newest term a node's disk had.
    terms: BTreeMap<NodeId, u64>,
    /// The last entry a node executed, over all its lives.
    executed: BTreeMap<NodeId, u64>,
    /// Index and term of the committed entry that has an op.
    ops: BTreeMap<u64, (u64, u64)>,
    /// Replies to writes wait for one of these, too; empty: there is no gate.
    gate: Vec<NodeId>,
    /// What disks had that are lost.
    lost: BTreeMap<NodeId, DurableView>,
    /// Nodes that have forgotten what may have been acknowledged.
    forgetful: BTreeSet<NodeId>,
}

/// A promise that was broken.
pub type Broken = String;

impl Auditor {
    /// An onlooker of a group that starts with these members, and whose replies wait for one of
    /// `gate`.
    #[must_use]
    pub fn new(members: Members, gate: Vec<NodeId>) -> Self {
        let members = BTreeMap::from([(0, members)]);
        Self {
            members,
            gate,
            ..Self::default()
        }
    }

    /// (b) A node says that it leads.
    ///
    /// # Errors
    /// When another one led that term.
    pub fn leads(&mut self, node: NodeId, term: u64) -> Result<(), Broken> {
        let leader = *self.leaders.entry(term).or_insert(node);
        if leader != node {
            return Err(format!(
                "(b) term {term} has two leaders: nodes {leader} and {node}"
            ));
        }
        Ok(())
    }

    /// (c) A node writes an entry: index and term say what it is.
    ///
    /// # Errors
    /// When another entry had them.
    pub fn writes(&mut self, node: NodeId, entry: &Entry) -> Result<(), Broken> {
        let (index, term) = (entry.index, entry.term);
        let sum = entry.payload.checksum();
        let known = *self.contents.entry((index, term)).or_insert(sum);
        if known != sum {
            return Err(format!(
                "(c) node {node} has another entry {index} of term {term}"
            ));
        }
        Ok(())
    }

    /// (d) A node executes an entry: what is committed never changes.
    ///
    /// # Errors
    /// When another entry was committed there.
    pub fn commits(&mut self, node: NodeId, commit: &Commit) -> Result<(), Broken> {
        let sum = match &commit.content {
            CommitContent::Ops(payload) => payload.checksum(),
            CommitContent::Empty | CommitContent::Members(_) => 0,
        };
        let (index, term) = (commit.index, commit.term);
        if let CommitContent::Ops(payload) = &commit.content {
            for (header, _) in ops_of_valid_payload(&payload.bytes) {
                self.ops.entry(header.op).or_insert((index, term));
            }
        }
        let known = *self.committed.entry(index).or_insert((term, sum));
        if known != (term, sum) {
            let before = known.0;
            return Err(format!(
                "(d) node {node} executes entry {index} of term {term}; it was committed in term \
                 {before}"
            ));
        }
        if let CommitContent::Members(members) = &commit.content {
            let known = self.members.entry(index);
            if known.or_insert_with(|| members.clone()) != members {
                return Err(format!(
                    "(d) node {node} has other members behind entry {index}"
                ));
            }
        }
        Ok(())
    }

    /// (e), (f) A node executed an entry: equal states behind equal entries, and no step back.
    ///
    /// # Errors
    /// When its digest is another one, or it executed the entry before in this life.
    pub fn executed(&mut self, node: NodeId, index: u64, digest: u128) -> Result<(), Broken> {
        let known = *self.digests.entry(index).or_insert(digest);
        if known != digest {
            return Err(format!(
                "(e) node {node} has another state behind entry {index}"
            ));
        }
        let last = self.executed.entry(node).or_default();
        *last = (*last).max(index);
        Ok(())
    }

    /// (f) A node starts: what its disk had is still there.
    ///
    /// # Errors
    /// When the term went back, or the log is shorter than what was executed.
    pub fn starts(&mut self, node: NodeId, term: u64, entry: u64) -> Result<(), Broken> {
        let executed = self.executed.get(&node).copied().unwrap_or(0);
        if entry < executed {
            return Err(format!(
                "(f) node {node} starts with entries up to {entry}; it had executed {executed}"
            ));
        }
        let last = self.terms.get(&node).copied().unwrap_or(0);
        if term < last {
            return Err(format!(
                "(f) node {node} starts in term {term}; it was in {last}"
            ));
        }
        Ok(())
    }

    /// (f) A node found this on its disk, which had `before` when the node ended: all of that is
    /// there, with as many records as may be of those that were under way, in their order.
    ///
    /// # Errors
    /// When it is not.
    pub fn finds(
        &self,
        node: NodeId,
        found: &DurableView,
        before: &DurableView,
        mut under_way: UnderWay,
    ) -> Result<(), Broken> {
        let mut expected = before.clone();
        while !found.is(&expected) {
            if !under_way.pass(&mut expected) {
                let (last, hard) = (found.last(), found.hard);
                let (had, was) = (before.last(), before.hard);
                return Err(format!(
                    "(f) node {node} finds not what its disk had: entries up to {last}, {hard:?}; \
                     it had durably {had}, {was:?}"
                ));
            }
        }
        Ok(())
    }

    /// A node's disk is lost, and its directory made anew.
    pub fn loses(&mut self, node: NodeId, view: DurableView) {
        self.executed.remove(&node);
        self.terms.remove(&node);
        if view.last() > 0 || view.hard.vote != 0 {
            self.forgetful.insert(node);
        }
        self.lost.insert(node, view);
    }

    /// All directories were made anew before the group began: it is another one.
    pub fn forgets_all(&mut self) {
        self.forgetful.clear();
        self.votes.clear();
        self.leaders.clear();
        self.contents.clear();
        self.sent.clear();
    }

    /// A node's disk has this now.
    pub fn durable(&mut self, node: NodeId, view: &DurableView) {
        let term = self.terms.entry(node).or_default();
        *term = (*term).max(view.hard.term);
    }

    /// (f), (h) A frame leaves a node: what it promises is durable, and no vote is given twice.
    ///
    /// # Errors
    /// When it is not.
    pub fn sends(&mut self, node: NodeId, frame: &Bytes, view: &DurableView) -> Result<(), Broken> {
        let incoming = decode(frame);
        let incoming = incoming.map_err(|bad| format!("node {node} sends no frame: {bad}"))?;
        let header = incoming.header;
        let (to, term) = (header.to, header.term);
        let promise = |kept: bool, what: &str| {
            if kept {
                return Ok(());
            }
            let (last, hard) = (view.last(), view.hard);
            Err(format!(
                "(h) node {node} sends {what} that its disk does not have: {header:?}, last entry \
                 {last}, {hard:?}"
            ))
        };
        let promises = match header.kind() {
            Some(Kind::Vote) => true,
            Some(Kind::VoteAnswer | Kind::AppendAnswer) => !header.is_reject(),
            _ => false,
        };
        if promises && self.forgetful.contains(&node) {
            return Err(format!(
                "(j) node {node} takes part, and has forgotten what it promised"
            ));
        }
        match header.kind() {
            Some(Kind::Vote) => {
                promise(view.hard.term >= term, "its own vote")?;
                self.votes(node, term, node)
            }
            Some(Kind::VoteAnswer) if !header.is_reject() => {
                let is_there = view.hard.term > term || view.hard.vote == to;
                promise(is_there && view.hard.term >= term, "a vote")?;
                self.votes(node, term, to)
            }
            Some(Kind::Append) => {
                let entries = incoming.entries().into_iter();
                let entries = entries.map(|entry| ((term, entry.index), entry.term));
                self.sent.insert((term, header.index), header.log_term);
                self.sent.extend(entries);
                Ok(())
            }
            Some(Kind::AppendAnswer) if !header.is_reject() => {
                // It says that the log is the leader's up to there. Where the leader sent nothing
                // of the kind, what is committed there is meant.
                let sent = self.sent.get(&(term, header.index)).copied();
                let written = sent.or(self.committed_term(header.index));
                let is_there = match written {
                    Some(written) => view.had((header.index, written), term),
                    None => header.index <= view.last(),
                };
                promise(is_there, "an acknowledgement")
            }
            _ => Ok(()),
        }
    }

    fn votes(&mut self, node: NodeId, term: u64, whom: NodeId) -> Result<(), Broken> {
        let voted = *self.votes.entry((node, term)).or_insert(whom);
        if voted != whom {
            return Err(format!(
                "(f) node {node} votes in term {term} for node {whom}, and voted for node {voted}"
            ));
        }
        Ok(())
    }

    /// (a) A reply leaves: a majority has the entry durably, with this term.
    ///
    /// # Errors
    /// When they do not.
    pub fn replies(
        &self,
        (index, term): (u64, u64),
        disks: &BTreeMap<NodeId, DurableView>,
    ) -> Result<(), Broken> {
        let had = |view: Option<&DurableView>| view.is_some_and(|view| view.has(index, term));
        let has = |id: &&NodeId| had(disks.get(id)) || had(self.lost.get(id));
        let is_majority = |voters: &[NodeId]| {
            let count = voters.iter().filter(has).count();
            voters.is_empty() || count > voters.len() / 2
        };
        // A change counts once it is executed, so an entry close behind it may have been committed
        // by the members before.
        let possible = self.members.range(..=index).rev().take(2);
        let is_kept = possible
            .clone()
            .any(|(_, members)| is_majority(&members.voters) && is_majority(&members.outgoing));
        if !is_kept {
            let voters: Vec<_> = possible.map(|(_, members)| &members.voters).collect();
            return Err(format!(
                "(a) entry {index} of term {term} is replied to, and no majority of {voters:?} \
                 has it durably"
            ));
        }
        Ok(())
    }

    /// (a), (i) The reply of an op leaves, for the first time or again: a majority has it durably,
    /// and so has one of the gate's replicas, unless the gate says that it is open.
    ///
    /// # Errors
    /// When they have not.
    pub fn acknowledges(
        &self,
        op: u64,
        disks: &BTreeMap<NodeId, DurableView>,
        is_open: bool,
    ) -> Result<(), Broken> {
        let Some(&(index, term)) = self.ops.get(&op) else {
            return Err(format!("(a) op {op} is replied to, and nobody executed it"));
        };
        self.replies((index, term), disks)?;
        let has = |id: &NodeId| disks.get(id).is_some_and(|view| view.has(index, term));
        if is_open || self.gate.is_empty() || self.gate.iter().any(has) {
            return Ok(());
        }
        let gate = &self.gate;
        Err(format!(
            "(i) op {op} of entry {index} is replied to, and none of {gate:?} has it durably"
        ))
    }

    /// The newest members that are committed.
    ///
    /// # Panics
    /// Never: a group has first members.
    #[must_use]
    pub fn members(&self) -> &Members {
        let newest = self.members.values().next_back();
        newest.expect("the first members")
    }

    /// The entry that removed a node; none while it is a member.
    #[must_use]
    pub fn removed_at(&self, node: NodeId) -> Option<u64> {
        let removed = |(_, members): &(&u64, &Members)| members.is_removed(node);
        self.members.iter().find(removed).map(|(index, _)| *index)
    }

    /// The last committed entry that anybody executed.
    #[must_use]
    pub fn last_committed(&self) -> u64 {
        self.committed.keys().next_back().copied().unwrap_or(0)
    }

    /// The term in which the entry was committed.
    #[must_use]
    pub fn committed_term(&self, index: u64) -> Option<u64> {
        self.committed.get(&index).map(|(term, _)| *term)
    }
}
