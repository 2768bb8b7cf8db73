//! Nodes on a network and disks that do what a test says.

use std::collections::VecDeque;

use bytes::Bytes;
use giro_replication::{
    Checkpoint, Commit, CommitContent, Content, Entry, EntryKind, Group, Hard, Member, Members,
    NodeId, Options, Output, Payload, ReceiveError, Replay, Role, Stop, Write,
};

pub(crate) const CLUSTER: u128 = 5;

pub(crate) type Record = (Hard, Content);

pub(crate) struct Node {
    pub(crate) group: Group,
    pub(crate) disk: Vec<Record>,
    pub(crate) unwritten: VecDeque<Write>,
    pub(crate) commits: Vec<Commit>,
    pub(crate) unknown: Vec<u64>,
    pub(crate) reads: Vec<u64>,
    pub(crate) refused_reads: Vec<u64>,
    pub(crate) fetches: usize,
    pub(crate) wants_checkpoint: bool,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) is_up: bool,
    /// Writes stay under way.
    pub(crate) is_stalled: bool,
    /// Commits wait to be executed.
    pub(crate) is_lagging: bool,
    pub(crate) waiting: VecDeque<Commit>,
    pub(crate) digest: u128,
    options: Options,
    first: Members,
}

pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    /// Frames on their way.
    pub(crate) wire: VecDeque<(NodeId, NodeId, Bytes)>,
    /// Pairs between which nothing passes, from and to.
    pub(crate) cut: Vec<(NodeId, NodeId)>,
    pub(crate) stops: Vec<(NodeId, Stop)>,
    pub(crate) refused: Vec<ReceiveError>,
}

pub(crate) fn member(id: NodeId) -> Member {
    Member {
        id,
        incarnation: 1000 + id,
        name: format!("node{id}:3000"),
    }
}

pub(crate) fn members(voters: u64) -> Members {
    Members::of_voters((1..=voters).map(member).collect())
}

/// Voters whose incarnations the group does not know.
pub(crate) fn unbound(voters: u64) -> Members {
    let strangers = (1..=voters).map(|id| Member {
        incarnation: 0,
        ..member(id)
    });
    Members::of_voters(strangers.collect())
}

/// A leader that is the only member.
pub(crate) fn alone() -> World {
    let mut world = World::new(1);
    world.elect_node(1);
    world
}

pub(crate) fn options(node: NodeId) -> Options {
    Options {
        cluster: CLUSTER,
        node,
        incarnation: 1000 + node,
        seed: 1,
        window_bytes: 4096,
        ..Options::default()
    }
}

pub(crate) fn payload(text: &str) -> Payload {
    Payload::new(Bytes::copy_from_slice(text.as_bytes()))
}

pub(crate) fn started(
    options: Options,
    disk: &[Record],
    first: &Members,
    checkpoint: Option<Checkpoint>,
) -> Group {
    let mut replay = Replay::default();
    for (hard, content) in disk {
        replay.record(*hard, content.clone()).unwrap();
    }
    let start = replay.start(first.clone(), checkpoint).unwrap();
    Group::new(options, start).unwrap()
}

impl Node {
    fn new(options: Options, first: Members) -> Self {
        Self {
            group: started(options, &[], &first, None),
            disk: Vec::new(),
            unwritten: VecDeque::new(),
            commits: Vec::new(),
            unknown: Vec::new(),
            reads: Vec::new(),
            refused_reads: Vec::new(),
            fetches: 0,
            wants_checkpoint: false,
            checkpoint: None,
            is_up: true,
            is_stalled: false,
            is_lagging: false,
            waiting: VecDeque::new(),
            digest: 0,
            options,
            first,
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.options.node
    }

    /// The oldest write becomes durable.
    pub(crate) fn write_one(&mut self) -> bool {
        let Some(write) = self.unwritten.pop_front() else {
            return false;
        };
        for (hard, content) in write.records() {
            let content = match content {
                Content::State => Content::State,
                Content::Roll(roll) => Content::Roll(roll),
                Content::Entry(entry) => Content::Entry(entry.clone()),
                Content::Installed { index, term } => Content::Installed { index, term },
            };
            self.disk.push((hard, content));
        }
        if let Some(checkpoint) = &write.install {
            self.checkpoint = Some(checkpoint.clone());
        }
        self.group.persisted(write.number);
        if let Some(checkpoint) = write.install {
            self.group.executed(checkpoint.index, self.digest).unwrap();
        }
        true
    }

    /// The next commit to be executed.
    fn next_commit(&mut self) -> Option<Commit> {
        if self.is_lagging {
            return None;
        }
        self.waiting.pop_front()
    }

    /// Texts of the ops executed, in order.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |commit: &Commit| match &commit.content {
            CommitContent::Ops(payload) => Some(String::from_utf8(payload.bytes.to_vec()).unwrap()),
            _ => None,
        };
        self.commits.iter().filter_map(text).collect()
    }

    pub(crate) fn tickets(&self) -> Vec<u64> {
        self.commits.iter().filter_map(|c| c.ticket).collect()
    }

    /// The entry at `index`, as the disk has it.
    pub(crate) fn entry(&self, index: u64) -> Option<Entry> {
        let entry = |(_, content): &Record| match content {
            Content::Entry(entry) if entry.index == index => Some(entry.clone()),
            _ => None,
        };
        self.disk.iter().rev().find_map(entry)
    }

    /// Makes a checkpoint of what is executed; the log gives up what it has.
    pub(crate) fn save(&mut self) {
        let index = self.group.executed_index();
        let checkpoint = self.checkpoint_at(index, b"");
        self.checkpoint = Some(checkpoint.clone());
        self.group.set_checkpoint(checkpoint);
        self.group.compact(index + 1);
    }

    /// A checkpoint of this node at the entry at `index`.
    pub(crate) fn checkpoint_at(&self, index: u64, manifest: &'static [u8]) -> Checkpoint {
        Checkpoint {
            index,
            term: self.entry(index).unwrap().term,
            members: self.group.members().clone(),
            manifest: Bytes::from_static(manifest),
        }
    }
}

impl World {
    pub(crate) fn new(voters: u64) -> Self {
        Self::of(voters, &members(voters))
    }

    /// Node 2 leads so many voters, in a later term than that.
    pub(crate) fn later(voters: u64, term: u64) -> Self {
        let mut world = Self::new(voters);
        world.elect_node(2);
        while world.node(2).group.role().term <= term {
            world.restart_with_priority(2, 0);
            world.elect_node(2);
        }
        world
    }

    /// A group that began with these members, whatever the nodes' incarnations are.
    pub(crate) fn of(voters: u64, first: &Members) -> Self {
        let node = |id| Node::new(options(id), first.clone());
        Self {
            nodes: (1..=voters).map(node).collect(),
            wire: VecDeque::new(),
            cut: Vec::new(),
            stops: Vec::new(),
            refused: Vec::new(),
        }
    }

    pub(crate) fn node(&mut self, id: NodeId) -> &mut Node {
        let mut nodes = self.nodes.iter_mut();
        nodes.find(|node| node.id() == id).unwrap()
    }

    /// A node that is not in the group yet: it starts with the group's first members.
    pub(crate) fn add_node(&mut self, id: NodeId, voters: u64) {
        self.nodes.push(Node::new(options(id), members(voters)));
    }

    /// A node with this number and another incarnation than it should have.
    pub(crate) fn add_other(&mut self, id: NodeId, incarnation: u64, first: &Members) {
        let options = Options {
            incarnation,
            ..options(id)
        };
        self.nodes.push(Node::new(options, first.clone()));
    }

    /// The directory of a node that is down is made anew.
    pub(crate) fn make_anew(&mut self, id: NodeId, incarnation: u64) {
        let first = self.node(id).first.clone();
        self.nodes.retain(|node| node.id() != id);
        self.add_other(id, incarnation, &first);
    }

    pub(crate) fn crash(&mut self, id: NodeId) {
        let node = self.node(id);
        node.is_up = false;
        node.unwritten.clear();
        node.commits.clear();
        node.waiting.clear();
        self.wire.retain(|(from, to, _)| *from != id && *to != id);
    }

    pub(crate) fn restart(&mut self, id: NodeId) {
        let node = self.node(id);
        node.is_up = true;
        node.group = started(
            node.options,
            &node.disk,
            &node.first,
            node.checkpoint.clone(),
        );
    }

    pub(crate) fn restart_with_priority(&mut self, id: NodeId, priority: i64) {
        self.node(id).options.priority = priority;
        self.crash(id);
        self.restart(id);
    }

    pub(crate) fn restart_with_backlog(&mut self, id: NodeId, bytes: usize) {
        self.node(id).options.backlog_bytes = bytes;
        self.crash(id);
        self.restart(id);
    }

    /// Polls a node, and does what it says but writing.
    pub(crate) fn poll(&mut self, id: NodeId) {
        let node = self.node(id);
        if !node.is_up {
            return;
        }
        let mut out = Output::default();
        let is_quiet = node.group.is_quiet();
        if let Err(stop) = node.group.poll(&mut out) {
            assert!(!is_quiet, "a driver would not hear of it: {stop}");
            node.is_up = false;
            self.stops.push((id, stop));
            return;
        }
        let nothing = format!("{:?}", Output::default());
        assert!(!is_quiet || format!("{out:?}") == nothing, "{out:?}");
        node.unknown.append(&mut out.unknown);
        node.wants_checkpoint |= out.wants_checkpoint;
        node.reads.append(&mut out.reads);
        node.refused_reads.append(&mut out.refused_reads);
        node.unwritten.extend(out.writes);
        node.waiting.extend(out.commits);
        while let Some(commit) = node.next_commit() {
            let index = commit.index;
            node.commits.push(commit);
            if let Err(stop) = node.group.executed(index, node.digest + u128::from(index)) {
                node.is_up = false;
                self.stops.push((id, stop));
                return;
            }
        }
        for fetch in out.fetches {
            node.fetches += 1;
            let entries: Vec<_> = (fetch.low..fetch.high)
                .map(|index| node.entry(index).unwrap())
                .collect();
            node.group.fetched(fetch.number, &entries);
        }
        for install in out.installs {
            node.group
                .checkpoint_fetched(install.checkpoint.index, true);
        }
        for (peer, _) in out.offers {
            node.group.checkpoint_sent(peer, true);
        }
        for outgoing in out.frames {
            self.wire
                .push_back((id, outgoing.to, outgoing.frame.to_bytes()));
        }
    }

    pub(crate) fn poll_all(&mut self) {
        for id in self.ids() {
            self.poll(id);
        }
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.nodes.iter().map(Node::id).collect()
    }

    /// Delivers the oldest frame.
    pub(crate) fn deliver(&mut self) -> bool {
        let Some((from, to, frame)) = self.wire.pop_front() else {
            return false;
        };
        if self.cut.contains(&(from, to)) || !self.nodes.iter().any(|node| node.id() == to) {
            return true;
        }
        let node = self.node(to);
        if !node.is_up {
            return true;
        }
        match node.group.receive(&frame) {
            Ok(()) => {}
            Err(ReceiveError::Stop(stop)) => {
                node.is_up = false;
                self.stops.push((to, stop));
            }
            Err(refused) => self.refused.push(refused),
        }
        true
    }

    /// Runs until nothing moves: frames arrive, writes become durable.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            self.poll_all();
            let mut moved = false;
            for id in self.ids() {
                let node = self.node(id);
                if node.is_up && !node.is_stalled {
                    moved |= node.write_one();
                }
            }
            moved |= self.deliver();
            if !moved && self.wire.is_empty() {
                self.poll_all();
                if self.wire.is_empty() {
                    return;
                }
            }
        }
        panic!("the group does not come to rest");
    }

    /// Time passes.
    pub(crate) fn ticks(&mut self, count: usize) {
        for _ in 0..count {
            for id in self.ids() {
                let node = self.node(id);
                if node.is_up {
                    node.group.tick();
                }
            }
            self.settle();
        }
    }

    pub(crate) fn leader(&self) -> Option<NodeId> {
        let leads = |node: &&Node| node.is_up && node.group.role().role == Role::Leader;
        let newest = self.nodes.iter().filter(leads);
        let newest = newest.max_by_key(|node| node.group.role().term);
        newest.map(Node::id)
    }

    /// Time passes until a node leads and serves.
    pub(crate) fn elect(&mut self) -> NodeId {
        for _ in 0..200 {
            self.ticks(1);
            if let Some(leader) = self.leader()
                && self.node(leader).group.is_serving()
            {
                return leader;
            }
        }
        panic!("no leader");
    }

    /// Makes this node the leader.
    pub(crate) fn elect_node(&mut self, wanted: NodeId) {
        let leader = self.elect();
        if leader != wanted {
            self.node(leader).group.transfer(wanted).unwrap();
            self.ticks(3);
            assert_eq!(self.leader(), Some(wanted));
        }
    }

    pub(crate) fn propose(&mut self, id: NodeId, text: &str, ticket: u64) {
        self.node(id).group.propose(payload(text), ticket).unwrap();
    }

    /// Proposes what is only in its record's buffer; the record is complete, and not durable.
    pub(crate) fn propose_lent(&mut self, id: NodeId, text: &str, ticket: u64) {
        let lent = self.node(id).group.propose_lent(ticket);
        let place = lent.place;
        self.poll(id);
        let node = self.node(id);
        let ops = Bytes::copy_from_slice(text.as_bytes());
        let entry = Entry {
            index: place.index,
            term: place.term,
            kind: EntryKind::Ops,
            payload: Payload::new(ops.clone()),
        };
        node.unwritten.push_back(Write {
            number: lent.number,
            hard: lent.hard,
            entries: [entry].into_iter().collect(),
            install: None,
            roll: None,
        });
        node.group.lend(place, ops);
    }

    /// Cuts a node off from all others.
    pub(crate) fn isolate(&mut self, id: NodeId) {
        for other in self.ids() {
            self.cut.push((id, other));
            self.cut.push((other, id));
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }
}
