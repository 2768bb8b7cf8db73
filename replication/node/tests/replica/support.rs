//! A cluster that does nothing by itself.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use giro::{RequestMeta, Verdict};
use giro_base::{Account, Buffer, BufferPool, Operation, Transfer, checksum};
use giro_log::storage::{RealStorage, Storage};
use giro_log::{Disk, Identity, Recovery, SEGMENT_BYTES_MIN, SegmentFile, Write};
use giro_node::{MemberFiles, NodeError, Owner, Replica, ReplicaOptions, Standing, content_of};
use giro_replication::{Content, Member, Members, NodeId};
use tempfile::TempDir;
use zerocopy::IntoBytes;

pub(crate) const CLUSTER: u128 = 77;
const NOW: u64 = 1_700_000_000_000_000_000;

/// A disk whose writes wait until they are completed.
#[derive(Default)]
pub(crate) struct HeldDisk {
    slots: HashMap<u32, PathBuf>,
    pub(crate) held: VecDeque<(Write, PathBuf, Vec<u8>)>,
}

impl Disk for HeldDisk {
    fn attach(&mut self, slot: u32, segment: &SegmentFile) -> io::Result<()> {
        self.slots.insert(slot, segment.path.clone());
        Ok(())
    }

    fn start_write(&mut self, write: Write, buffer: &Buffer) {
        let path = self.slots[&write.slot].clone();
        let bytes = buffer[..write.bytes].to_vec();
        self.held.push_back((write, path, bytes));
    }
}

impl HeldDisk {
    /// Writes the oldest.
    pub(crate) fn complete(&mut self) -> Option<Write> {
        let (write, path, bytes) = self.held.pop_front()?;
        let file: File = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&bytes, write.offset).unwrap();
        Some(write)
    }
}

pub(crate) struct Node {
    pub(crate) dir: TempDir,
    pub(crate) options: ReplicaOptions,
    pub(crate) up: Option<Replica>,
    /// Where its files are from the next start on.
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) disk: HeldDisk,
    /// Its writes wait.
    pub(crate) is_slow: bool,
    /// Nothing is executed.
    pub(crate) is_lagging: bool,
    /// Replies it sent: client, request, op, body.
    pub(crate) replies: Vec<(u128, u32, u64, Vec<u8>)>,
}

pub(crate) fn member(id: NodeId) -> Member {
    Member {
        id,
        incarnation: id * 100,
        name: format!("node{id}"),
    }
}

pub(crate) fn identity() -> Identity {
    Identity {
        cluster: CLUSTER,
        replica: 0,
        replica_count: 1,
        incarnation: 0,
        hash_key: [3, 4],
        segment_bytes: SEGMENT_BYTES_MIN * 4,
    }
}

pub(crate) fn engine_options() -> giro::Options {
    giro::Options {
        accounts_max: 1 << 14,
        transfers_max: 1 << 18,
        archive: true,
        generation_rows: 64,
        buffers: 16,
        sessions_max: 16,
        pin: false,
        log: giro_log::LogOptions {
            spares: 1,
            ..giro_log::LogOptions::default()
        },
        ..giro::Options::default()
    }
}

impl Node {
    pub(crate) fn new(id: NodeId, members: &Members) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(RealStorage);
        giro_log::directory::format_on(&storage, dir.path(), &identity()).unwrap();
        Self::in_dir(dir, id, members)
    }

    pub(crate) fn in_dir(dir: TempDir, id: NodeId, members: &Members) -> Self {
        let mut options = ReplicaOptions::new(id, id * 100, members.clone());
        options.engine = engine_options();
        options.kept_bytes = 16 << 10;
        options.window_bytes = 8 << 10;
        Self {
            dir,
            options,
            up: None,
            storage: Arc::new(RealStorage),
            disk: HeldDisk::default(),
            is_slow: false,
            is_lagging: false,
            replies: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn start(&mut self) -> Result<(), NodeError> {
        let replica = Replica::open_on(&self.storage, self.dir.path(), &self.options, &mut |_| {})?;
        self.disk = HeldDisk::default();
        self.up = Some(replica);
        Ok(())
    }

    /// Lets go of everything that is not on disk.
    pub(crate) fn kill(&mut self) {
        self.up = None;
        self.disk = HeldDisk::default();
    }

    pub(crate) fn replica(&mut self) -> &mut Replica {
        self.up.as_mut().expect("the node is up")
    }

    /// What its directory has, when it does not run.
    pub(crate) fn files(&self) -> Result<MemberFiles, NodeError> {
        assert!(self.up.is_none(), "nobody runs it");
        let storage: Arc<dyn Storage> = Arc::new(RealStorage);
        MemberFiles::read(
            &storage,
            self.path(),
            &self.options,
            Owner::Stopped,
            &mut |_| {},
        )
    }

    /// The records of its log: number and what each has.
    pub(crate) fn records(&self) -> Vec<(u64, Content)> {
        let storage: Arc<dyn Storage> = Arc::new(RealStorage);
        let first_index = Recovery::oldest_index(&storage, self.path(), &identity()).unwrap();
        let options = giro_log::LogOptions {
            first_index,
            ..giro_log::LogOptions::default()
        };
        let mut recovery = Recovery::open(self.path(), &identity(), &options).unwrap();
        let mut buffer = BufferPool::new(1).unwrap().take().unwrap();
        let mut records = Vec::new();
        while let Some(header) = recovery.next(&mut buffer).unwrap() {
            records.push((header.index, content_of(&header, &buffer).unwrap().1));
        }
        records
    }

    /// One turn, without ticks.
    fn turn(&mut self) -> Result<(), NodeError> {
        let Some(replica) = &mut self.up else {
            return Ok(());
        };
        replica.flush(&mut self.disk)?;
        while !self.is_slow {
            let Some(write) = self.disk.complete() else {
                break;
            };
            replica.on_write(write.index, Ok(write.bytes))?;
        }
        replica.flush(&mut self.disk)?;
        replica.resolve_ahead()?;
        let replies = &mut self.replies;
        let mut take = |reply: giro::Reply<'_>| {
            replies.push((reply.client, reply.request, reply.op, reply.body.to_vec()));
        };
        while !self.is_lagging && replica.execute(&mut take)? {}
        replica.engine_mut().settle();
        for reader in replica.fetches() {
            let entries = reader.read();
            replica.fetched(reader.number(), entries)?;
        }
        Ok(())
    }
}

/// A request of nobody's session.
pub(crate) fn own(operation: Operation, ticket: u128, body: &[u8]) -> RequestMeta {
    RequestMeta {
        client: 0,
        session: 0,
        request: 0,
        request_checksum: ticket,
        checksum_body: checksum(body),
        operation,
        release: 0,
    }
}

pub(crate) fn two_accounts() -> Vec<u8> {
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    };
    [account(1), account(2)].as_bytes().to_vec()
}

pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) frames: VecDeque<(NodeId, NodeId, Bytes)>,
    /// Nobody hears or is heard by these.
    pub(crate) cut: Vec<NodeId>,
    pub(crate) session: u64,
    pub(crate) request: u32,
    transfers: u128,
}

pub(crate) const CLIENT: u128 = 5;

impl Cluster {
    pub(crate) fn new(count: u64) -> Self {
        let members = Members::of_voters((1..=count).map(member).collect());
        let nodes = (1..=count).map(|id| (id, Node::new(id, &members)));
        let mut cluster = Self::of(nodes.collect());
        for node in cluster.nodes.values_mut() {
            node.start().unwrap();
        }
        cluster
    }

    pub(crate) fn of(nodes: BTreeMap<NodeId, Node>) -> Self {
        Self {
            nodes,
            frames: VecDeque::new(),
            cut: Vec::new(),
            session: 0,
            request: 0,
            transfers: 0,
        }
    }

    pub(crate) fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    /// Turns and frames until nothing moves.
    pub(crate) fn settle(&mut self) {
        self.try_settle().unwrap();
    }

    /// The same, until a node has to end.
    fn try_settle(&mut self) -> Result<(), NodeError> {
        for _ in 0..10_000 {
            for (id, node) in &mut self.nodes {
                node.turn()?;
                let Some(replica) = &mut node.up else {
                    continue;
                };
                for outgoing in replica.frames().drain(..) {
                    let bytes = outgoing.frame.to_bytes();
                    self.frames.push_back((*id, outgoing.to, bytes));
                }
            }
            if self.frames.is_empty() {
                return Ok(());
            }
            while let Some((from, to, bytes)) = self.frames.pop_front() {
                let is_cut = self.cut.contains(&from) || self.cut.contains(&to);
                let node = self.nodes.get_mut(&to);
                let replica = node.and_then(|node| node.up.as_mut());
                if let Some(replica) = replica.filter(|_| !is_cut) {
                    replica.receive(&bytes).unwrap();
                }
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// A tick of every node, and all that follows from it.
    pub(crate) fn tick(&mut self) {
        self.try_tick().unwrap();
    }

    /// The same, until a node has to end.
    pub(crate) fn try_tick(&mut self) -> Result<(), NodeError> {
        for node in self.nodes.values_mut() {
            if let Some(replica) = &mut node.up {
                replica.tick()?;
            }
        }
        self.try_settle()
    }

    pub(crate) fn leader(&self) -> Option<NodeId> {
        let serves = |node: &Node| {
            let replica = node.up.as_ref();
            replica.is_some_and(|replica| replica.standing() == Standing::Serving)
        };
        let mut serving = self
            .nodes
            .iter()
            .filter(|(id, node)| serves(node) && !self.cut.contains(id));
        serving.next().map(|(id, _)| *id)
    }

    /// Ticks until there is a leader.
    pub(crate) fn elect(&mut self) -> NodeId {
        for _ in 0..200 {
            if let Some(leader) = self.leader() {
                return leader;
            }
            self.tick();
            // A new leader first executes what is left to it, which may wait for its history.
            let mut ups = self.nodes.values().filter_map(|node| node.up.as_ref());
            if ups.any(Replica::is_stalled) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        panic!("no leader");
    }

    /// Hands a request to a node; nothing else happens.
    pub(crate) fn submit(&mut self, id: NodeId, operation: Operation, body: &[u8]) -> u32 {
        let request = if operation == Operation::Register {
            0
        } else {
            self.request += 1;
            self.request
        };
        let meta = RequestMeta {
            client: CLIENT,
            session: if request == 0 { 0 } else { self.session },
            request,
            request_checksum: u128::from(request) + 1000,
            checksum_body: checksum(body),
            operation,
            release: 1,
        };
        let engine = self.node(id).replica().engine_mut();
        assert_eq!(engine.check(&meta), Verdict::Accept);
        engine.submit_copy(NOW, &meta, body);
        request
    }

    /// A request from submission to its reply.
    pub(crate) fn request(&mut self, operation: Operation, body: &[u8]) -> Vec<u8> {
        let leader = self.elect();
        let request = self.submit(leader, operation, body);
        self.settle();
        let replies = &self.nodes[&leader].replies;
        let reply = replies.iter().rev().find(|reply| reply.1 == request);
        let (_, _, op, body) = reply.expect("it was answered").clone();
        if operation == Operation::Register {
            self.session = op;
        }
        body
    }

    /// Opens the session and makes two accounts.
    pub(crate) fn begin(&mut self) {
        self.request(Operation::Register, &[]);
        self.request(Operation::CreateAccountsUnbatched, &two_accounts());
    }

    /// These were made before.
    pub(crate) fn skip_transfers(&mut self, count: u128) {
        self.transfers += count;
    }

    pub(crate) fn transfers(&mut self, count: usize) -> Vec<u8> {
        let transfers: Vec<Transfer> = (0..count)
            .map(|_| {
                self.transfers += 1;
                Transfer {
                    id: self.transfers,
                    debit_account_id: 1,
                    credit_account_id: 2,
                    amount: 1,
                    ledger: 1,
                    code: 1,
                    ..Transfer::default()
                }
            })
            .collect();
        transfers.as_bytes().to_vec()
    }

    /// So many transfers in one request, acknowledged.
    pub(crate) fn pay(&mut self, count: usize) {
        let body = self.transfers(count);
        self.request(Operation::CreateTransfersUnbatched, &body);
    }

    /// What has been paid, as the node's state has it.
    pub(crate) fn paid(&mut self, id: NodeId) -> u128 {
        let account = self.node(id).replica().engine().machine().account(2);
        account.map_or(0, |account| account.credits_posted)
    }

    /// Waits for histories: they work in real time, and execution may wait for them.
    fn keep_up(&mut self) {
        for _ in 0..2000 {
            let mut ups = self.nodes.values().filter_map(|node| node.up.as_ref());
            if !ups.any(Replica::is_stalled) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
            self.settle();
        }
    }

    /// All nodes that are up have executed the same, and say so. A history that keeps up lets
    /// execution go on, until it waits for the history again.
    pub(crate) fn agree(&mut self) {
        self.settle();
        for _ in 0..100 {
            (0..10).for_each(|_| self.tick());
            self.keep_up();
            (0..10).for_each(|_| self.tick());
            let states = self.states();
            if states.windows(2).all(|pair| pair[0] == pair[1]) {
                return;
            }
        }
        panic!("they do not agree: {:?}", self.states());
    }

    /// The last executed entry of each node that is up, and the digest of its state.
    fn states(&self) -> Vec<(u64, u128)> {
        let ups = self.nodes.values().filter_map(|node| node.up.as_ref());
        let states = ups.map(|up| (up.executed_index(), up.engine().digest().value()));
        states.collect()
    }

    /// Waits until the node's history has a checkpoint that ends in this record, or a later one.
    pub(crate) fn wait_for_checkpoint(&mut self, id: NodeId, record: u64) {
        for _ in 0..2000 {
            self.settle();
            let replica = self.node(id).replica();
            if replica.engine().needed_record() >= record && !replica.is_stalled() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("no checkpoint");
    }
}
