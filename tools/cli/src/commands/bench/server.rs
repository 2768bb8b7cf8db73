//! A server, or a group of three, that is started for a run: this very program.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::options::RunArguments;
use super::ports::free_ports;
use super::process::Process;

/// How long a group may take to have a leader.
const ELECTION: Duration = Duration::from_secs(30);

/// It ends with its owner.
pub(super) struct Server {
    nodes: Vec<Node>,
    /// Of all replicas.
    pub(super) addresses: String,
    /// Of the HTTP port, where one was asked for.
    pub(super) http: Option<String>,
}

/// A process on a directory.
struct Node {
    dir: PathBuf,
    /// What it is started with, but for its directory.
    flags: Vec<String>,
    process: Process,
}

impl Server {
    /// Formats a ledger and starts a server on it, or as many as there are to be replicas.
    ///
    /// # Errors
    /// When one does not start.
    pub(super) fn start(
        dir: &Path,
        arguments: &RunArguments,
        with_http: bool,
    ) -> anyhow::Result<Self> {
        let count = arguments.replicas;
        let mut flags = vec![format!("--prefault-mib={}", arguments.prefault_mib)];
        flags.extend(arguments.server_option.iter().cloned());
        let mut ports = free_ports(usize::from(count) * 2 + 1)?.into_iter();
        let mut local = |n| {
            let some = ports.by_ref().take(n);
            some.map(|port| format!("127.0.0.1:{port}"))
                .collect::<Vec<_>>()
        };
        let http = local(1).pop().filter(|_| with_http);
        let addresses = local(usize::from(count)).join(",");
        flags.push(format!("--addresses={addresses}"));
        flags.extend(http.iter().map(|http| format!("--http={http}")));
        if count > 1 {
            flags.push(format!("--peers={}", local(usize::from(count)).join(",")));
        }
        let mut nodes = Vec::new();
        for replica in 0..count {
            let place = dir.join(format!("replica-{replica}"));
            format(dir, &place, replica, arguments)?;
            let process = start(&place, &flags)?;
            let (dir, flags) = (place, flags.clone());
            nodes.push(Node {
                dir,
                flags,
                process,
            });
        }
        let server = Self {
            nodes,
            addresses,
            http,
        };
        if count > 1 {
            server.leader()?;
        }
        Ok(server)
    }

    /// Kills the server, of a group the one that leads, and starts it again.
    ///
    /// # Errors
    /// When it does not start again.
    pub(super) fn kill_and_start(&mut self) -> anyhow::Result<()> {
        let place = if self.nodes.len() > 1 {
            self.leader()?
        } else {
            0
        };
        let node = &mut self.nodes[place];
        node.process.end()?;
        node.process = start(&node.dir, &node.flags)?;
        Ok(())
    }

    /// Which replica serves.
    fn leader(&self) -> anyhow::Result<usize> {
        let until = Instant::now() + ELECTION;
        while Instant::now() < until {
            let serves = |node: &Node| {
                let asked = giro().and_then(|mut giro| {
                    let asked = giro.args(["cluster", "status", "--json"]).arg(&node.dir);
                    Ok(asked.output()?)
                });
                let status = asked.ok().map(|output| output.stdout);
                let status = status.and_then(|out| serde_json::from_slice::<Value>(&out).ok());
                status.is_some_and(|status| status["is_serving"] == true)
            };
            if let Some(place) = self.nodes.iter().position(serves) {
                return Ok(place);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("no replica leads for {} s", ELECTION.as_secs());
    }
}

fn giro() -> anyhow::Result<Command> {
    Ok(Command::new(
        std::env::current_exe().context("where this program is")?,
    ))
}

fn format(dir: &Path, place: &Path, replica: u8, arguments: &RunArguments) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let mut format = giro()?;
    format
        .arg("format")
        .arg(format!("--cluster={}", arguments.cluster))
        .arg(format!("--replica={replica}"))
        .arg(format!("--replica-count={}", arguments.replicas));
    if arguments.replicas > 1 {
        let key = dir.join("cluster.key");
        format.arg(format!("--cluster-key={}", key.display()));
    }
    let made = format.arg(place).output()?;
    let why = String::from_utf8_lossy(&made.stderr);
    ensure!(made.status.success(), "cannot make a ledger: {why}");
    Ok(())
}

/// Starts a process, and waits until it listens.
fn start(dir: &Path, flags: &[String]) -> anyhow::Result<Process> {
    let mut command = giro()?;
    command
        .arg("start")
        .args(flags)
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .env("GIRO_LOG", "error");
    let mut process = Process::start(&mut command, Signal::KILL)?;
    let out = process.take_output().context("standard output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    if line.trim().parse::<u16>().is_err() {
        bail!("the server ended before it listened: {}", process.wait()?);
    }
    Ok(process)
}
