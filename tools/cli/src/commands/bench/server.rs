//! A server that is started for a run: this very program.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::options::RunArguments;

/// It ends with its owner.
pub(super) struct Server {
    child: Child,
    pub(super) address: String,
}

impl Server {
    /// Formats a ledger and starts a server on it.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) fn start(dir: &Path, arguments: &RunArguments) -> anyhow::Result<Self> {
        let giro = std::env::current_exe().context("where this program is")?;
        let made = Command::new(&giro)
            .args(["format", "--replica=0", "--replica-count=1"])
            .arg(format!("--cluster={}", arguments.cluster))
            .arg(dir)
            .output()?;
        let why = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "cannot make a ledger: {why}");
        let mut child = Command::new(&giro)
            .args(["start", "--addresses=127.0.0.1:0"])
            .arg(format!("--prefault-mib={}", arguments.prefault_mib))
            .args(&arguments.server_option)
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .env("RUST_LOG", "warn")
            .spawn()?;
        let out = child.stdout.take().context("standard output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        match line.trim().parse::<u16>() {
            Ok(port) => Ok(Self {
                child,
                address: format!("127.0.0.1:{port}"),
            }),
            Err(_) => bail!("the server ended before it listened: {}", child.wait()?),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
