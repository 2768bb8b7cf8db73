//! A group of replicas, each a process of the binary.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use giro_client::{Client, ClientOptions};
use giro_wire::{PingHeader, PongHeader, Release};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use zerocopy::{FromBytes, IntoBytes};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Directories and ports of a group, and the processes that run.
pub(crate) struct Trio {
    folder: tempfile::TempDir,
    ports: Vec<(u16, u16)>,
    processes: Vec<Option<Child>>,
    /// Flags for `giro start`, beside those that all have.
    pub(crate) flags: Vec<&'static str>,
}

impl Trio {
    /// Formats this many replicas, and has places for some that join later.
    pub(crate) fn format(count: usize) -> Self {
        let trio = Self::unformatted(count);
        for replica in 0..count {
            trio.format_one(replica, count);
        }
        trio
    }

    /// A ledger that is alone, in the place of replica 0, and room for others.
    pub(crate) fn alone() -> Self {
        let trio = Self::unformatted(1);
        let said = super::run(&["format", "--cluster=5", "--development"], &trio.dir(0));
        assert!(said.succeeded, "{said:?}");
        trio
    }

    /// Places for so many, and some that join later.
    pub(crate) fn unformatted(count: usize) -> Self {
        let folder = super::folder();
        // All are taken before one is given back, so that they differ.
        let taken: Vec<_> = (0..2 * (count + 2))
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports: Vec<u16> = taken
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        Self {
            folder,
            ports: ports.chunks(2).map(|pair| (pair[0], pair[1])).collect(),
            processes: (0..count + 2).map(|_| None).collect(),
            flags: Vec::new(),
        }
    }

    /// The file with the group's secret.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    pub(crate) fn format_one(&self, replica: usize, count: usize) {
        self.format_with(5, replica, count, &self.key());
    }

    /// The same for another cluster, or with a secret that may be another one's.
    pub(crate) fn format_with(&self, cluster: u128, replica: usize, count: usize, key: &Path) {
        let cluster = format!("--cluster={cluster}");
        let number = format!("--replica={replica}");
        let count = format!("--replica-count={count}");
        let key = format!("--cluster-key={}", key.display());
        let flags = ["format", &cluster, "--development", &number, &count, &key];
        let said = super::run(&flags, &self.dir(replica));
        assert!(said.succeeded, "{said:?}");
    }

    pub(crate) fn dir(&self, replica: usize) -> PathBuf {
        self.folder.path().join(format!("replica-{replica}"))
    }

    /// Where a replica is for others.
    pub(crate) fn peer(&self, replica: usize) -> String {
        format!("127.0.0.1:{}", self.ports[replica].1)
    }

    /// The addresses that clients are given.
    pub(crate) fn addresses(&self) -> String {
        let ports = self.ports.iter().map(|pair| pair.0.to_string());
        ports.collect::<Vec<_>>().join(",")
    }

    pub(crate) fn start(&mut self, replica: usize) {
        let peers: Vec<u16> = self.ports.iter().map(|pair| pair.1).collect();
        self.start_with_peers(replica, &peers);
    }

    /// It knows where the others are, and listens where they do not look.
    pub(crate) fn start_unreachable(&mut self, replica: usize) {
        let mut peers: Vec<u16> = self.ports.iter().map(|pair| pair.1).collect();
        let last = peers.len() - 1;
        peers.swap(replica, last);
        self.start_with_peers(replica, &peers);
    }

    /// Starts it; it looks for another one at this port.
    pub(crate) fn start_looking_at(&mut self, replica: usize, other: usize, port: u16) {
        let mut peers: Vec<u16> = self.ports.iter().map(|pair| pair.1).collect();
        peers[other] = port;
        self.start_with_peers(replica, &peers);
    }

    fn start_with_peers(&mut self, replica: usize, peers: &[u16]) {
        let peers = peers.iter().map(u16::to_string);
        let peers = peers.collect::<Vec<_>>().join(",");
        let addresses = format!("--addresses={}", self.addresses());
        self.start_with(replica, &[&addresses, &format!("--peers={peers}")]);
    }

    /// Starts the ledger in the place of replica 0 while it is alone.
    pub(crate) fn start_alone(&mut self) {
        let address = format!("--addresses={}", self.ports[0].0);
        self.start_with(0, &[&address]);
    }

    fn start_with(&mut self, replica: usize, places: &[&str]) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir(replica).with_extension("log"))
            .unwrap();
        let child = super::giro_with_file_limits(&["start", "--buffers=32", "--pin=false"])
            .args(places)
            .args(&self.flags)
            .arg(self.dir(replica))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.processes[replica] = Some(child);
    }

    pub(crate) fn start_all(&mut self, count: usize) {
        for replica in 0..count {
            self.start(replica);
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, replica: usize) {
        let mut child = self.processes[replica].take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn signal(&self, replica: usize, signal: Signal) {
        kill_process(self.pid(replica), signal).unwrap();
    }

    /// Stops it as an operator would.
    pub(crate) fn stop(&mut self, replica: usize) {
        self.signal(replica, Signal::TERM);
        let mut child = self.processes[replica].take().expect("it runs");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{}", self.log(replica));
                return;
            }
            assert!(Instant::now() < deadline, "replica {replica} does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn is_running(&mut self, replica: usize) -> bool {
        let child = self.processes[replica].as_mut();
        child.is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Waits until a replica has ended by itself, and gives what it logged.
    pub(crate) fn ended(&mut self, replica: usize) -> String {
        let deadline = Instant::now() + PATIENCE;
        while self.is_running(replica) {
            assert!(Instant::now() < deadline, "{}", self.log(replica));
            std::thread::sleep(Duration::from_millis(20));
        }
        self.processes[replica] = None;
        self.log(replica)
    }

    /// From now on a running replica cannot write to a file behind this many bytes.
    pub(crate) fn limit_files(&self, replica: usize, bytes: u64) {
        let limit = Rlimit {
            current: Some(bytes),
            maximum: None,
        };
        prlimit(Some(self.pid(replica)), Resource::Fsize, limit).unwrap();
    }

    pub(crate) fn pid(&self, replica: usize) -> Pid {
        Pid::from_child(self.processes[replica].as_ref().expect("it runs"))
    }

    /// What a replica logged.
    pub(crate) fn log(&self, replica: usize) -> String {
        std::fs::read_to_string(self.dir(replica).with_extension("log")).unwrap()
    }

    /// `giro cluster` with these arguments, and the replica's directory.
    pub(crate) fn cluster(&self, replica: usize, arguments: &[&str]) -> Result<Value, String> {
        let mut command: Command = super::giro(&["cluster"]);
        let output = command
            .args(arguments)
            .arg("--json")
            .arg(self.dir(replica))
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// What `docs/operating/cluster.md` says to do: the replica `new`, formatted and running, takes
    /// the place of `lost`. The members afterwards.
    pub(crate) fn recover(&self, lost: usize, new: usize) -> Value {
        let (lost, peer) = (
            format!("--lost={lost}"),
            format!("--peer={}", self.peer(new)),
        );
        let new = format!("--replica={new}");
        let leader = self.leader();
        let recovered = self.cluster(leader, &["recover", &lost, &new, &peer, "--wait=60"]);
        recovered.unwrap_or_else(|why| panic!("{why}\n{}", self.logs()))
    }

    pub(crate) fn status(&self, replica: usize) -> Option<Value> {
        self.cluster(replica, &["status"]).ok()
    }

    /// Waits until somebody serves, and says who.
    pub(crate) fn leader(&self) -> usize {
        let mut found = None;
        self.until("a replica serves", || {
            let running = self.processes.iter().enumerate();
            let running = running.filter(|(_, child)| child.is_some());
            found = running.map(|(replica, _)| replica).find(|replica| {
                let status = self.status(*replica);
                status.is_some_and(|status| status["is_serving"] == true)
            });
            found.is_some()
        });
        found.expect("waited for above")
    }

    /// The view that a replica tells clients.
    pub(crate) fn told_view(&self, replica: usize) -> u32 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[replica].0)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let ping = PingHeader::build(5, Release::new(0, 17, 9), 77, 0, 1);
        stream.write_all(ping.as_bytes()).unwrap();
        let mut pong = [0; size_of::<PongHeader>()];
        stream.read_exact(&mut pong).unwrap();
        PongHeader::read_from_bytes(&pong).unwrap().frame.view.get()
    }

    /// Has a replica lead.
    pub(crate) fn make_lead(&self, replica: usize) {
        self.until("it leads", || {
            let leader = self.leader();
            // It is given up when the replica lags a little; then it is asked for again.
            leader == replica || {
                let to = format!("--replica={replica}");
                let _ = self.cluster(leader, &["transfer", &to, "--wait=2"]);
                false
            }
        });
    }

    /// What the leader says of a replica.
    pub(crate) fn member(&self, replica: usize) -> Option<Value> {
        let status = self.status(self.leader())?;
        let mut members = status["members"].as_array()?.iter();
        members.find(|m| m["replica"] == replica).cloned()
    }

    pub(crate) fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(
                Instant::now() < deadline,
                "it never comes to this: {what}\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Replicas come to the same state.
    pub(crate) fn assert_same_state(&self, replicas: &[usize]) {
        let mut found = Vec::new();
        self.until("all have executed everything", || {
            let all = replicas.iter().map(|replica| self.status(*replica));
            found = all
                .flatten()
                .map(|status| (status["op"].clone(), status["digest"].clone()))
                .collect();
            found.len() == replicas.len() && found.iter().all(|(op, _)| *op == found[0].0)
        });
        assert!(found.iter().all(|state| *state == found[0]), "{found:?}");
    }

    fn logs(&self) -> String {
        let running = (0..self.processes.len()).filter(|replica| self.dir(*replica).exists());
        let logs = running.map(|replica| format!("-- {replica}:\n{}", self.log(replica)));
        logs.collect::<Vec<_>>().join("\n")
    }

    /// A client of the group that was formatted.
    pub(crate) async fn connect(&self) -> Client {
        self.connect_to(&[0, 1, 2]).await
    }

    /// A client that knows where these are; with all voters in the order of their numbers it gets
    /// to the leader in the fewest steps.
    pub(crate) async fn connect_to(&self, replicas: &[usize]) -> Client {
        let options = ClientOptions {
            cluster: 5,
            deadline: PATIENCE,
            ..ClientOptions::default()
        };
        let ports = replicas
            .iter()
            .map(|replica| self.ports[*replica].0.to_string());
        let addresses = ports.collect::<Vec<_>>().join(",");
        let connected = Client::connect(&addresses, options).await;
        connected.unwrap_or_else(|error| panic!("{error}\n{}", self.logs()))
    }
}

impl Drop for Trio {
    fn drop(&mut self) {
        for child in self.processes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // What is mounted there would keep the folder from being removed.
        let device = |path: &Path| std::fs::metadata(path).ok().map(|found| found.dev());
        for replica in 0..self.ports.len() {
            let dir = self.dir(replica);
            if device(&dir).is_some_and(|own| device(self.folder.path()) != Some(own)) {
                let _ = Command::new("umount").arg("--lazy").arg(&dir).status();
            }
        }
    }
}
