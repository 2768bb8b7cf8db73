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
    /// Each with the signal that ends it. Who learns that one has ended takes it out at once: from
    /// then on its number may be another's.
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

/// A server that ends with its owner, or with the program.
pub(super) struct Process {
    child: Child,
    end: Signal,
    ended: Option<ExitStatus>,
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
        Ok(Self {
            child,
            end,
            ended: None,
        })
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
        if self.ended.is_none() {
            let mut kept = kept();
            self.ended = self.child.try_wait()?;
            if self.ended.is_some() {
                let process = Pid::from_child(&self.child);
                kept.processes.retain(|(pid, _)| *pid != process);
            }
        }
        Ok(self.ended)
    }

    /// Ends it; returns when it is gone.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn end(&mut self) -> io::Result<ExitStatus> {
        self.signal(self.end);
        self.wait()
    }

    /// Waits until it has ended; one that takes too long is killed.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        let until = Instant::now() + END;
        loop {
            // Not in one long wait: meanwhile, a signal that ends the program must find it.
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > until {
                self.signal(Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn signal(&self, signal: Signal) {
        // Its number is its own until somebody has learnt that it has ended.
        let _kept = kept();
        if self.ended.is_none() {
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
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
