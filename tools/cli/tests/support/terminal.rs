//! A person at a terminal: a pseudo-terminal with the binary on its other side.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Keys as a terminal sends them.
pub(crate) const ENTER: &str = "\r";
pub(crate) const UP: &str = "\x1b[A";
pub(crate) const LEFT: &str = "\x1b[D";
pub(crate) const BACKSPACE: &str = "\x7f";
pub(crate) const HOME: &str = "\x01";
pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";

/// A terminal whose program was started; killed when dropped.
pub(crate) struct Terminal {
    child: Child,
    screen: File,
    /// Everything that was shown, and how much of it `until` went through.
    shown: String,
    read: usize,
}

impl Terminal {
    /// Starts the program with the terminal as its input and output, and `home` as home.
    pub(crate) fn start(mut program: Command, home: &Path) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
        let screen: OwnedFd = screen.unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let size = Winsize {
            ws_row: 50,
            ws_col: 400,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&screen, size).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap();
        let other_side = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let child = program
            .env("HOME", home)
            .env("TERM", "xterm")
            .stdin(other_side.try_clone().unwrap())
            .stdout(other_side.try_clone().unwrap())
            .stderr(other_side)
            .spawn()
            .unwrap();
        // The command keeps copies of the other side, which would keep the screen open.
        drop(program);
        Self {
            child,
            screen: screen.into(),
            shown: String::new(),
            read: 0,
        }
    }

    /// Presses these keys.
    pub(crate) fn press(&mut self, keys: &[&str]) {
        self.screen.write_all(keys.concat().as_bytes()).unwrap();
    }

    /// Waits for this to be shown behind what was waited for before; gives what came up to it.
    pub(crate) fn until(&mut self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown[self.read..].find(what) {
                let passed = self.shown[self.read..self.read + at].to_owned();
                self.read += at + what.len();
                return passed;
            }
            assert!(
                self.look(deadline),
                "{what:?} is not shown behind {:?}",
                &self.shown[..self.read]
            );
        }
    }

    /// Waits for the program to end, and gives what it showed behind what was waited for.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        while self.look(deadline) {}
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it goes on: {:?}", self.shown);
            std::thread::sleep(Duration::from_millis(5));
        };
        (status, self.shown[self.read..].to_owned())
    }

    /// Reads what is shown next; false when nothing more comes, or not in time.
    fn look(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap();
        let mut fds = [PollFd::new(&self.screen, PollFlags::IN)];
        if poll(&mut fds, Some(&left)).unwrap() == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        // A terminal whose other side is closed fails to be read.
        let count = self.screen.read(&mut bytes).unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes[..count]);
        self.shown.push_str(&text);
        count > 0
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
