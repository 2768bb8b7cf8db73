//! A group of three replicas, for the trials that need one.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::command::{command, output};
use crate::server::{self, Server};

/// How long a group may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running group.
pub(crate) struct Group {
    dir: PathBuf,
    servers: Vec<Server>,
}

impl Group {
    /// Formats three replicas in `dir` and starts them on these ports (three, with commas), and
    /// waits until one leads.
    ///
    /// # Errors
    /// When a replica ends, or none leads.
    pub(crate) fn start(dir: &Path, ports: &str) -> anyhow::Result<Self> {
        let mut group = Self {
            dir: dir.to_owned(),
            servers: Vec::new(),
        };
        let key = format!("--cluster-key={}", dir.join("key").display());
        for replica in 0..3 {
            let number = format!("--replica={replica}");
            let mut format = command(server::binary(), ["format", "--development"]);
            format.args(["--replica-count=3", &number, &key]);
            output(format.arg(group.replica(replica)))?;
        }
        let addresses = format!("--addresses={ports}");
        for replica in 0..3 {
            let mut start = command(server::binary(), ["start", &addresses]);
            let server = Server::spawn(start.arg(group.replica(replica)))?;
            group.servers.push(server);
        }
        group.leader()?;
        Ok(group)
    }

    fn replica(&self, replica: usize) -> PathBuf {
        self.dir.join(format!("replica-{replica}"))
    }

    /// How a replica sees the group.
    fn status(&self, replica: usize) -> anyhow::Result<serde_json::Value> {
        let mut status = command(server::binary(), ["cluster", "status", "--json"]);
        Ok(serde_json::from_str(&output(
            status.arg(self.replica(replica)),
        )?)?)
    }

    /// Who serves, as soon as somebody does.
    fn leader(&self) -> anyhow::Result<usize> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            for replica in 0..self.servers.len() {
                if self.status(replica)?["is_serving"] == true {
                    return Ok(replica);
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("nobody leads the group in {}", self.dir.display())
    }

    /// Another replica leads.
    ///
    /// # Errors
    /// When that does not work.
    pub(crate) fn hand_over(&self) -> anyhow::Result<()> {
        let leader = self.leader()?;
        let next = format!("--replica={}", (leader + 1) % self.servers.len());
        let mut transfer = command(server::binary(), ["cluster", "transfer", &next]);
        output(transfer.arg(self.replica(leader)))?;
        Ok(())
    }

    /// Waits until all replicas have the same state, and stops them as an operator would.
    ///
    /// # Errors
    /// When they do not come to the same state, or do not end well.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let states = (0..self.servers.len()).map(|replica| {
                let status = self.status(replica)?;
                Ok((status["op"].clone(), status["digest"].clone()))
            });
            let states: Vec<_> = states.collect::<anyhow::Result<_>>()?;
            let first = states.first().context("a group has replicas")?;
            if states.iter().all(|(op, _)| *op == first.0) {
                let equal = states.iter().all(|state| state == first);
                ensure!(equal, "replicas differ at the same op: {states:?}");
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "a replica stays behind: {states:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        self.servers.into_iter().try_for_each(Server::stop)
    }
}
