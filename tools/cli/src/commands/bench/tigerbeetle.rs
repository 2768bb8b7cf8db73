//! A TigerBeetle server that is started for a run, from a binary that the user has.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;

use super::ports::free_port;
use super::process::Process;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(60);

/// It ends with its owner.
pub(super) struct TigerBeetleServer {
    process: Process,
    log: PathBuf,
    pub(super) address: String,
    pub(super) version: String,
}

impl TigerBeetleServer {
    /// Formats a data file below `dir` and starts a server of one replica on it.
    ///
    /// # Errors
    /// When there is no such program, or it does not start.
    pub(super) fn start(dir: &Path, binary: Option<&Path>, cluster: u128) -> anyhow::Result<Self> {
        let binary = binary.map_or(OsStr::new("tigerbeetle"), Path::as_os_str);
        let run = |arguments: &[String]| {
            let output = Command::new(binary).args(arguments).output();
            let output = output.with_context(|| {
                format!(
                    "cannot run {}: name TigerBeetle's server with --tigerbeetle or TIGERBEETLE",
                    Path::new(binary).display()
                )
            })?;
            let why = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{arguments:?}: {why}");
            anyhow::Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let version = run(&["version".into()])?;
        fs::create_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let (data, log) = (dir.join("data"), dir.join("log"));
        run(&[
            "format".into(),
            format!("--cluster={cluster}"),
            "--replica=0".into(),
            "--replica-count=1".into(),
            data.display().to_string(),
        ])?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut start = Command::new(binary);
        start
            .arg("start")
            .arg(format!("--addresses={address}"))
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        let process = Process::start(&mut start, Signal::KILL)?;
        let mut server = Self {
            process,
            log,
            address,
            version,
        };
        server.wait()?;
        Ok(server)
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + START;
        while TcpStream::connect(&self.address).is_err() {
            if self.process.ended()?.is_some() || Instant::now() > until {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("TigerBeetle does not serve: {log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}
