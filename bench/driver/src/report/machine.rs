//! Where a run ran: what figures depend on, and nothing that names the place.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Threads it has.
    pub threads: usize,
    /// Memory (MiB).
    pub memory_mib: u64,
    /// Linux's release.
    pub kernel: String,
    /// The file system under the target's ledger, if it is on this machine.
    pub file_system: Option<String>,
}

impl Machine {
    /// This one, whose target's ledger is in `dir`.
    #[must_use]
    pub fn here(dir: Option<&Path>) -> Self {
        let find = |path: &str, name: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map(|(_, value)| value.trim().to_owned())
        };
        let memory = find("/proc/meminfo", "MemTotal").unwrap_or_default();
        let kib = memory.split_whitespace().next().unwrap_or_default();
        let uname = rustix::system::uname();
        Self {
            processor: find("/proc/cpuinfo", "model name").unwrap_or_default(),
            threads: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: kib.parse::<u64>().unwrap_or(0) / 1024,
            kernel: uname.release().to_string_lossy().into_owned(),
            file_system: dir.and_then(file_system),
        }
    }
}

/// The kind of the mount that has the longest path in front of the directory's.
fn file_system(dir: &Path) -> Option<String> {
    let dir = fs::canonicalize(dir).ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        dir.starts_with(place)
            .then(|| (place.len(), kind.to_owned()))
    });
    mounts.max().map(|(_, kind)| kind)
}
