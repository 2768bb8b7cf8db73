//! Servers under measurement: started on fresh ledgers, ended when they are dropped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Where the binaries are, and what they are started with.
#[derive(Clone, clap::Args)]
pub(crate) struct Servers {
    /// The peer's binary, which is also the load generator.
    #[arg(long, env = "TIGERBEETLE", value_name = "FILE")]
    tigerbeetle: Option<PathBuf>,
    #[command(flatten)]
    ours: GiroServer,
}

/// Where Giro's binary is, and what it is started with.
#[derive(Clone, clap::Args)]
pub(crate) struct GiroServer {
    /// Giro's binary.
    #[arg(long, default_value = "target/release/giro", value_name = "FILE")]
    giro: PathBuf,
    /// Where ledgers are made and removed; on the disk to be measured.
    #[arg(long, default_value = "target/bench-field", value_name = "DIR")]
    dir: PathBuf,
    /// Memory Giro makes resident at its start (the peer does the same with 3 GiB of its own).
    #[arg(long, default_value_t = 2048)]
    prefault_mib: u64,
    /// Log segments of 64 MiB Giro keeps ready (the peer's format makes 1 GiB, too).
    #[arg(long, default_value_t = 16)]
    log_spares: u32,
    /// Further options of `giro start`.
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    giro_option: Vec<String>,
}

/// Whose server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// Ours.
    Giro,
    /// The field's.
    Peer,
}

impl Contender {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Giro => "giro",
            Self::Peer => "peer",
        }
    }
}

/// A running Giro that serves HTTP, too.
pub(crate) struct WithHttp {
    pub(crate) running: Running,
    /// The port of HTTP.
    pub(crate) http: u16,
}

/// Ticks a second of the times in `/proc`.
const TICKS_PER_S: f64 = 100.0;
/// How far above its port for clients a replica's port for the others is.
pub(crate) const PEER_PORT_ABOVE: u16 = 1000;
/// The longest a server takes until it listens.
const START_MAX: Duration = Duration::from_secs(60);
/// The longest a load of the generator takes.
const LOAD_MAX: Duration = Duration::from_secs(600);

/// A running server on its own ledger; dropping it ends it, and removes the ledger.
pub(crate) struct Running {
    child: Child,
    place: PathBuf,
    pub(crate) port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Err(error) = remove(&self.place) {
            eprintln!("{error}");
        }
    }
}

impl Running {
    /// Where its ledger is.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Memory it has resident, in KiB; 0 when it is gone.
    pub(crate) fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.unwrap_or(0)
    }

    /// Processor time it has used (s).
    pub(crate) fn processor_s(&self) -> f64 {
        processor_s(&self.child)
    }
}

impl GiroServer {
    /// What `giro start` gets beside its addresses.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            format!("--prefault-mib={}", self.prefault_mib),
            format!("--log-spares={}", self.log_spares),
        ];
        flags.extend(self.giro_option.iter().cloned());
        flags
    }

    /// A server on a fresh ledger.
    fn start(&self, further: &[String]) -> anyhow::Result<Running> {
        let place = self.format()?;
        self.start_at(place, "0", further)
    }

    /// A fresh ledger.
    fn format(&self) -> anyhow::Result<PathBuf> {
        let place = self.dir.join(Contender::Giro.name());
        remove(&place)?;
        std::fs::create_dir_all(&self.dir)?;
        let format = ["format", "--cluster=0", "--replica=0", "--replica-count=1"];
        check(Command::new(&self.giro).args(format).arg(&place))?;
        Ok(place)
    }

    /// A server on a fresh ledger that has become a group of one, and serves.
    fn start_as_group(&self) -> anyhow::Result<Running> {
        let place = self.format()?;
        let port = group_ports(1)?[0].to_string();
        let key = self.dir.join("key");
        remove(&key)?;
        let mut found = Command::new(&self.giro);
        found.args(["cluster", "found"]);
        found.arg(format!("--addresses={port}"));
        found.arg(format!("--cluster-key={}", key.display()));
        check(found.arg(&place))?;
        remove(&key)?;
        let running = self.start_at(place, &port, &[])?;
        let start = Instant::now();
        while !serves(&self.giro, running.place()) {
            if start.elapsed() > START_MAX {
                bail!("the group of one does not serve");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }

    fn start_at(&self, place: PathBuf, at: &str, further: &[String]) -> anyhow::Result<Running> {
        let mut child = Command::new(&self.giro)
            .arg("start")
            .arg(format!("--addresses={at}"))
            .args(self.flags())
            .args(further)
            .arg(&place)
            // What it warns of explains a figure, or why there is none.
            .env("GIRO_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().context("standard output")?;
        let mut running = Running {
            child,
            place,
            port: 0,
        };
        // The first line is the port it took.
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let port = line.trim().parse();
        running.port = port.with_context(|| format!("no port in {line:?}"))?;
        Ok(running)
    }

    /// The same with HTTP, which answers.
    pub(crate) fn start_with_http(&self) -> anyhow::Result<WithHttp> {
        let http = free_port()?;
        let running = self.start(&[format!("--http=127.0.0.1:{http}")])?;
        await_port(http)?;
        let start = Instant::now();
        while !is_ready(http)? {
            if start.elapsed() > START_MAX {
                bail!("the ledger behind port {http} does not answer");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(WithHttp { running, http })
    }
}

impl Servers {
    /// A server on a fresh ledger.
    pub(crate) fn start(&self, who: Contender) -> anyhow::Result<Running> {
        match who {
            Contender::Giro => self.ours.start(&[]),
            Contender::Peer => self.start_peer(),
        }
    }

    /// A Giro on a fresh ledger that is a group of one.
    pub(crate) fn start_as_group(&self) -> anyhow::Result<Running> {
        self.ours.start_as_group()
    }

    /// Where ledgers are made and removed.
    pub(crate) fn dir(&self) -> &Path {
        &self.ours.dir
    }

    /// The binary.
    pub(crate) fn binary(&self, who: Contender) -> anyhow::Result<&Path> {
        match who {
            Contender::Giro => Ok(&self.ours.giro),
            Contender::Peer => self.peer(),
        }
    }

    fn peer(&self) -> anyhow::Result<&Path> {
        let path = self.tigerbeetle.as_deref();
        path.context("say where the peer's binary is: --tigerbeetle=FILE, or TIGERBEETLE")
    }

    /// What `giro start` gets beside its addresses.
    pub(crate) fn giro_flags(&self) -> Vec<String> {
        self.ours.flags()
    }

    fn start_peer(&self) -> anyhow::Result<Running> {
        let place = self.dir().join(Contender::Peer.name());
        remove(&place)?;
        std::fs::create_dir_all(self.dir())?;
        let format = ["format", "--cluster=0", "--replica=0", "--replica-count=1"];
        check(Command::new(self.peer()?).args(format).arg(&place))?;
        // With --addresses=0 it would end when its standard input does.
        let port = free_port()?;
        let child = Command::new(self.peer()?)
            .arg("start")
            .arg(format!("--addresses=127.0.0.1:{port}"))
            .arg(&place)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let running = Running { child, place, port };
        await_port(port)?;
        Ok(running)
    }

    /// Runs the field's generator against a server. Gives what it printed; `meanwhile` is called
    /// now and then.
    pub(crate) fn load(
        &self,
        port: u16,
        flags: &[String],
        meanwhile: impl FnMut(),
    ) -> anyhow::Result<Printed> {
        self.load_at(&format!("127.0.0.1:{port}"), flags, meanwhile)
    }

    /// The same against all replicas of a group.
    pub(crate) fn load_at(
        &self,
        addresses: &str,
        flags: &[String],
        mut meanwhile: impl FnMut(),
    ) -> anyhow::Result<Printed> {
        let log = self.dir().join("generator.log");
        let mut command = Command::new(self.peer()?);
        command
            .arg("benchmark")
            .arg(format!("--addresses={addresses}"))
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::from(File::create(&log)?));
        let mut child = command.spawn()?;
        let start = Instant::now();
        while child.try_wait()?.is_none() {
            if start.elapsed() > LOAD_MAX {
                child.kill()?;
                bail!("{command:?} took longer than {LOAD_MAX:?}");
            }
            meanwhile();
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output()?;
        let logged = std::fs::read_to_string(&log)?;
        std::fs::remove_file(&log)?;
        Ok(Printed {
            figures: String::from_utf8_lossy(&output.stdout).into_owned(),
            logged,
        })
    }
}

/// What the generator printed.
pub(crate) struct Printed {
    figures: String,
    /// Line by line, with times.
    pub(crate) logged: String,
}

impl Printed {
    /// The figure of the line that begins so, without its unit.
    pub(crate) fn figure(&self, before: &str, unit: &str) -> anyhow::Result<f64> {
        let line = self.figures.lines().find(|line| line.starts_with(before));
        let text = line
            .and_then(|line| line.split('=').nth(1))
            .map(|text| text.replace(unit, ""));
        let number = text.and_then(|text| text.trim().parse::<f64>().ok());
        let output = &self.figures;
        number.with_context(|| format!("no {before:?} in the load generator's output:\n{output}"))
    }
}

/// A port that nobody has, until somebody takes it.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Ports that are free, and so are those a thousand above, where replicas meet each other.
pub(crate) fn group_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    for first in (20_001..30_000).step_by(10) {
        let ports: Vec<u16> = (first..).take(count).collect();
        let all = ports
            .iter()
            .flat_map(|port| [*port, *port + PEER_PORT_ABOVE]);
        let taken: Result<Vec<_>, _> = all
            .map(|port| TcpListener::bind(("127.0.0.1", port)))
            .collect();
        if taken.is_ok() {
            return Ok(ports);
        }
    }
    bail!("no ports are free for {count} replicas")
}

/// Whether our replica with this directory runs and serves.
pub(crate) fn serves(giro: &Path, directory: &Path) -> bool {
    let mut status = Command::new(giro);
    status.args(["cluster", "status", "--json"]);
    let asked = status.arg(directory).output();
    asked.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("\"is_serving\":true"))
}

/// Processor time that a process has used (s).
pub(crate) fn processor_s(child: &Child) -> f64 {
    let path = format!("/proc/{}/stat", child.id());
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    // Behind the name, which may have spaces: fields 14 and 15 are user and system time.
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let times = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok());
    times.sum::<f64>() / TICKS_PER_S
}

/// Whether HTTP says that the ledger answers.
fn is_ready(http: u16) -> anyhow::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", http))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}

/// Waits until somebody listens there.
fn await_port(port: u16) -> anyhow::Result<()> {
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if start.elapsed() > START_MAX {
            bail!("nobody listens on {port}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Removes a ledger, if there is one.
pub(crate) fn remove(place: &Path) -> anyhow::Result<()> {
    match place.is_dir() {
        true => std::fs::remove_dir_all(place)?,
        false if place.exists() => std::fs::remove_file(place)?,
        false => {}
    }
    Ok(())
}

pub(crate) fn check(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
