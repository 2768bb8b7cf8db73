//! A server on a fresh ledger, for the trials that need one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::command;

/// How long a server may take to finish what it has taken.
const STOP_SECONDS_MAX: u64 = 20;

/// The release build of the server.
pub(crate) fn binary() -> PathBuf {
    command::target_dir().join("release/giro")
}

/// Builds it.
///
/// # Errors
/// When it does not compile.
pub(crate) fn build() -> anyhow::Result<()> {
    command::run(&mut command::cargo("build --release --package giro-cli"))
}

/// Makes a ledger in `dir`.
///
/// # Errors
/// When the server's own command says no.
pub(crate) fn format(dir: &Path) -> anyhow::Result<()> {
    let flags = [
        "--cluster=0",
        "--replica=0",
        "--replica-count=1",
        "--development",
    ];
    command::output(command::command(binary(), ["format"]).args(flags).arg(dir))?;
    Ok(())
}

/// A running server; killed when dropped, unless stopped before.
pub(crate) struct Server {
    child: Child,
    /// Its port of the loopback interface.
    pub(crate) port: u16,
}

impl Server {
    /// Starts the server on the ledger in `dir` and waits until it listens.
    ///
    /// # Errors
    /// When it ends instead.
    pub(crate) fn start(dir: &Path) -> anyhow::Result<Self> {
        Self::spawn(command::command(binary(), ["start", "--addresses=0"]).arg(dir))
    }

    /// Runs a command whose output has the port as the last number of some line.
    ///
    /// # Errors
    /// When it ends without.
    pub(crate) fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(port_of);
        let Some(port) = port else {
            bail!("the server ended before it listened: {}", child.wait()?);
        };
        // It must never find its output full.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, port })
    }

    /// The server's address.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Asks it to stop, as an operator would, and waits until it has.
    ///
    /// # Errors
    /// When it does not, or not cleanly.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                bail!("the server ended with {status} after SIGTERM");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server did not stop within {STOP_SECONDS_MAX} s of SIGTERM")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Harmless when it ended before: it has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `PORT` alone on a line, or `listening on HOST:PORT`.
fn port_of(line: String) -> Option<u16> {
    let port = match line.strip_prefix("listening on ") {
        Some(address) => address.rsplit(':').next()?.to_owned(),
        None => line,
    };
    port.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_in_both_greetings() {
        assert_eq!(port_of("3000".into()), Some(3000));
        assert_eq!(port_of("listening on [::1]:41".into()), Some(41));
        assert_eq!(port_of("made a new ledger in giro-data".into()), None);
    }
}
