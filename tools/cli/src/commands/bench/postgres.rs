//! A PostgreSQL server that is started for a run, from the programs that the machine has.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Signal, geteuid};

use super::ports::free_port;
use super::process::Process;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(30);

/// It ends with its owner.
pub(super) struct PostgresServer {
    process: Process,
    port: u16,
    log: PathBuf,
    pub(super) version: String,
}

impl PostgresServer {
    /// Makes a cluster of databases below `dir` and starts a server on it, with room for so many
    /// connections. Every commit is flushed, as it is by default.
    ///
    /// # Errors
    /// When there is no PostgreSQL, or it does not start.
    pub(super) async fn start(
        dir: &Path,
        bin: Option<&Path>,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let bin = programs(bin)?;
        let owner = owner()?;
        fs::create_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        if let Some((user, group)) = owner {
            chown(dir, Some(user), Some(group))?;
        }
        let dir = fs::canonicalize(dir)?;
        let (data, log) = (dir.join("data"), dir.join("log"));
        let version = said(Command::new(bin.join("postgres")).arg("--version"))?;
        let made = command(&bin.join("initdb"), owner)
            .args(["--username=giro", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .current_dir(&dir)
            .output()?;
        let why = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "initdb: {why}");
        let port = free_port()?;
        let mut postgres = command(&bin.join("postgres"), owner);
        postgres
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", &format!("max_connections={}", connections + 20)])
            .args(["-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"])
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?);
        // At once, as after a crash: nobody needs the data.
        let process = Process::start(&mut postgres, Signal::QUIT)?;
        let mut server = Self {
            process,
            port,
            log,
            version: version.trim().to_owned(),
        };
        server.wait().await?;
        Ok(server)
    }

    /// How to connect.
    pub(super) fn config(&self) -> String {
        format!(
            "host=127.0.0.1 port={} user=giro dbname=postgres",
            self.port
        )
    }

    /// What it logged, for errors.
    pub(super) fn said(&mut self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        format!("PostgreSQL does not serve: {log}")
    }

    async fn wait(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + START;
        loop {
            let address = ("127.0.0.1", self.port);
            // It listens before it serves; the log says when.
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            if log.contains("ready to accept connections")
                && tokio::net::TcpStream::connect(address).await.is_ok()
            {
                return Ok(());
            }
            if self.process.ended()?.is_some() || Instant::now() > until {
                bail!(self.said());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Where the programs are.
fn programs(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(named) = named {
        let is_there = named.join("initdb").is_file();
        ensure!(is_there, "no initdb in {}", named.display());
        return Ok(named.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    // By number: 9 is older than 15.
    let number = |bin: &PathBuf| -> u32 {
        let version = bin.parent().and_then(Path::file_name);
        let version = version.and_then(|version| version.to_str());
        version.and_then(|v| v.parse().ok()).unwrap_or(0)
    };
    all.sort_by_key(|bin| std::cmp::Reverse(number(bin)));
    std::env::split_paths(&path)
        .chain(all)
        .find(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
        .context(
            "no PostgreSQL on this machine: install it (apt-get install postgresql), or name its \
             programs' directory with --postgres-bin",
        )
}

/// Whom the server runs as, where it must not run as who started the driver.
fn owner() -> anyhow::Result<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let id = |what| -> anyhow::Result<u32> {
        let id = said(Command::new("id").args([what, "postgres"]));
        let id = id.context("PostgreSQL does not run as root, and there is no user postgres")?;
        Ok(id.trim().parse()?)
    };
    Ok(Some((id("-u")?, id("-g")?)))
}

fn command(program: &Path, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}

/// What a program prints.
fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {why}");
    Ok(String::from_utf8(output.stdout)?)
}
