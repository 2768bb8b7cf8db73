//! The binary as a server.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::client::Client;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `giro start`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
    /// Reads standard error to its end.
    log: Option<JoinHandle<String>>,
    _out: BufReader<ChildStdout>,
}

impl Server {
    /// Starts the server and waits for its first line, which must be the port.
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// The same with further flags.
    pub(crate) fn start_with(dir: &Path, flags: &[&str]) -> Self {
        let mut command = super::giro(&["start", "--addresses=0", "--buffers=24", "--pin=false"]);
        let mut child = command
            .args(flags)
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let Ok(port) = line.trim_end().parse() else {
            let _ = child.wait();
            panic!("no port in {line:?}: {}", log.join().unwrap());
        };
        Self {
            child,
            port,
            log: Some(log),
            _out: out,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.port)
    }

    /// What an operator's `kill` does.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for the process to end. True when it ended well; and what it logged.
    pub(crate) fn ended(mut self) -> (bool, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let log = self.log.take().unwrap().join().unwrap();
        (status.success(), log)
    }

    /// Stops it as an operator would; returns what it logged.
    pub(crate) fn stop(self) -> String {
        self.terminate();
        let (well, log) = self.ended();
        assert!(well, "{log}");
        log
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Harmless when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
