//! Groups of three replicas under measurement, ours and the peer's.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::delay::DelayedPort;
use crate::servers::{
    Contender, PEER_PORT_ABOVE, Servers, check, group_ports, processor_s, remove, serves,
};

/// Replicas.
pub(crate) const COUNT: usize = 3;
/// The longest a group takes until it serves.
const START_MAX: Duration = Duration::from_secs(60);

/// A running group on ledgers of its own; dropping it ends it, and removes them.
pub(crate) struct Trio {
    who: Contender,
    servers: Servers,
    place: PathBuf,
    ports: Vec<u16>,
    processes: Vec<Option<Child>>,
    /// The way from each replica to each other one, where it can be made long.
    ways: Option<Vec<Vec<DelayedPort>>>,
}

impl Trio {
    /// A group on fresh ledgers that serves.
    pub(crate) fn start(servers: &Servers, who: Contender) -> anyhow::Result<Self> {
        Self::start_over(servers, who, false)
    }

    /// The same, of ours, with ways between the replicas that can be [made long](Self::delay).
    pub(crate) fn start_with_ways(servers: &Servers) -> anyhow::Result<Self> {
        Self::start_over(servers, Contender::Giro, true)
    }

    fn start_over(servers: &Servers, who: Contender, has_ways: bool) -> anyhow::Result<Self> {
        let place = servers.dir().join(format!("three-{}", who.name()));
        remove(&place)?;
        std::fs::create_dir_all(&place)?;
        let mut trio = Self {
            who,
            servers: servers.clone(),
            place,
            ports: group_ports(COUNT)?,
            processes: (0..COUNT).map(|_| None).collect(),
            ways: None,
        };
        if has_ways {
            let peers: Vec<u16> = trio
                .ports
                .iter()
                .map(|port| port + PEER_PORT_ABOVE)
                .collect();
            let to_all = || peers.iter().map(|peer| DelayedPort::start(*peer)).collect();
            let ways: std::io::Result<Vec<Vec<DelayedPort>>> =
                (0..COUNT).map(|_| to_all()).collect();
            trio.ways = Some(ways?);
        }
        for replica in 0..COUNT {
            trio.format(replica)?;
        }
        for replica in 0..COUNT {
            trio.start_one(replica)?;
        }
        trio.wait_until_it_serves()?;
        Ok(trio)
    }

    fn format(&self, replica: usize) -> anyhow::Result<()> {
        let mut format = Command::new(self.servers.binary(self.who)?);
        format.args(["format", "--cluster=0", "--replica-count=3"]);
        format.arg(format!("--replica={replica}"));
        if self.who == Contender::Giro {
            format.arg(format!(
                "--cluster-key={}",
                self.place.join("key").display()
            ));
        }
        check(format.arg(self.replica(replica)))
    }

    /// Starts a replica that does not run.
    pub(crate) fn start_one(&mut self, replica: usize) -> anyhow::Result<()> {
        let mut start = Command::new(self.servers.binary(self.who)?);
        start
            .arg("start")
            .arg(format!("--addresses={}", self.addresses()));
        if self.who == Contender::Giro {
            start.args(self.servers.giro_flags());
            start.args(self.peers(replica));
        }
        let child = start
            .arg(self.replica(replica))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.processes[replica] = Some(child);
        Ok(())
    }

    /// Where a replica finds the others: at the beginning of its way to each.
    fn peers(&self, replica: usize) -> Option<String> {
        let ways = self.ways.as_ref()?;
        let port = |other: usize| match other {
            // Where it listens itself.
            _ if other == replica => self.ports[other] + PEER_PORT_ABOVE,
            _ => ways[replica][other].port(),
        };
        let peers = (0..COUNT).map(|other| format!("127.0.0.1:{}", port(other)));
        Some(format!("--peers={}", peers.collect::<Vec<_>>().join(",")))
    }

    /// From now on everything takes so long to a replica, and from it.
    pub(crate) fn delay(&self, replica: usize, delay: Duration) {
        for (from, ways) in self.ways.iter().flatten().enumerate() {
            for (to, way) in ways.iter().enumerate() {
                if from == replica || to == replica {
                    way.set_delay(delay);
                }
            }
        }
    }

    fn wait_until_it_serves(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let listen = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
            let serves = match self.who {
                Contender::Giro => self.leader().is_some(),
                Contender::Peer => self.ports.iter().all(listen),
            };
            if serves {
                return Ok(());
            }
            if start.elapsed() > START_MAX {
                bail!("the group of {} does not serve", self.who.name());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn replica(&self, replica: usize) -> PathBuf {
        self.place.join(format!("replica-{replica}"))
    }

    /// What clients are given.
    pub(crate) fn addresses(&self) -> String {
        let all = self.ports.iter().map(|port| format!("127.0.0.1:{port}"));
        all.collect::<Vec<_>>().join(",")
    }

    /// Who serves; only ours can be asked.
    pub(crate) fn leader(&self) -> Option<usize> {
        let binary = self.servers.binary(self.who).ok()?;
        (0..COUNT).find(|replica| serves(binary, &self.replica(*replica)))
    }

    /// Sends a replica's process a signal.
    pub(crate) fn signal(&self, replica: usize, signal: Signal) -> anyhow::Result<()> {
        let child = self.processes[replica].as_ref().context("it runs")?;
        Ok(kill_process(Pid::from_child(child), signal)?)
    }

    /// `kill -9`; returns when the process is gone.
    pub(crate) fn kill(&mut self, replica: usize) -> anyhow::Result<()> {
        let mut child = self.processes[replica].take().context("it runs")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Processor time that a replica has used (s).
    pub(crate) fn processor_s(&self, replica: usize) -> f64 {
        let child = self.processes[replica].as_ref();
        child.map_or(f64::NAN, processor_s)
    }
}

impl Drop for Trio {
    fn drop(&mut self) {
        for child in self.processes.iter_mut().flatten() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Err(error) = remove(&self.place) {
            eprintln!("{error}");
        }
    }
}
