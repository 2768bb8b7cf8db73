//! Servers that are started for a run, and what is on the disk for them: none stays behind, unless
//! the program is killed.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// How long a server may take to end as it is asked to, before it is killed.
const END: Duration = Duration::from_secs(6);

/// What there is to end and to remove.
struct Kept {
    /// Each with the signal that ends it. Whoever waits for one takes it out before: its number may
    /// be another's behind that.
    processes: Vec<(Pid, Signal)>,
    folders: Vec<PathBuf>,
}

/// Of the whole program: a signal has no other way to what a run has started.
static KEPT: Mutex<Kept> = Mutex::new(Kept {
    processes: Vec::new(),
    folders: Vec::new(),
});

fn kept() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    /// Whether it was there.
    fn take_out(&mut self, process: Pid) -> bool {
        let before = self.processes.len();
        self.processes.retain(|(pid, _)| *pid != process);
        self.processes.len() < before
    }
}

/// A server that ends with its owner, or with the program.
pub(super) struct Process {
    child: Child,
    end: Signal,
}

impl Process {
    /// Starts it, to be ended by this signal. It has a process group of its own: Ctrl-C at a
    /// terminal is for the driver, whose audit has to ask the server once more.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn start(command: &mut Command, end: Signal) -> io::Result<Self> {
        // Locked from before it is there: a signal that ends the program must find it.
        let mut kept = kept();
        let child = command.process_group(0).spawn()?;
        kept.processes.push((Pid::from_child(&child), end));
        Ok(Self { child, end })
    }

    /// Its standard output, once, where that is piped.
    pub(super) fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let mut kept = kept();
        let ended = self.child.try_wait()?;
        if ended.is_some() {
            kept.take_out(Pid::from_child(&self.child));
        }
        Ok(ended)
    }

    /// Ends it; returns when it is gone.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn end(&mut self) -> io::Result<ExitStatus> {
        let pid = Pid::from_child(&self.child);
        let mut kept = kept();
        if kept.take_out(pid) {
            // It may have ended already.
            let _ = kill_process(pid, self.end);
        }
        drop(kept);
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// A directory that goes with its owner, or with the program. Who uses it makes it.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(dir: PathBuf) -> Self {
        kept().folders.push(dir.clone());
        Self(dir)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
        kept().folders.retain(|folder| *folder != self.0);
    }
}

fn remove(dir: &Path) {
    match fs::remove_dir_all(dir) {
        Ok(()) => {}
        // It is not there when its user could not even begin.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("{} stays: {error}", dir.display()),
    }
}

/// Ends the program at once, its servers first.
pub(super) fn end_program(code: i32) -> ! {
    // Locked to the end: nobody starts another one.
    let kept = kept();
    for (pid, end) in &kept.processes {
        let _ = kill_process(*pid, *end);
    }
    let until = Instant::now() + END;
    for (pid, _) in &kept.processes {
        while let Ok(None) = waitpid(Some(*pid), WaitOptions::NOHANG) {
            if Instant::now() > until {
                let _ = kill_process(*pid, Signal::KILL);
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    for folder in &kept.folders {
        remove(folder);
    }
    std::process::exit(code)
}
