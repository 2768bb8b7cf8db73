//! Reading old entries back for peers, away from the ledger's thread.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use giro_node::{OldEntries, OldEntriesError};
use giro_replication::Entry;

/// What was read for [`giro_node::Replica::fetched`].
pub(crate) struct Fetched {
    pub(crate) number: u64,
    pub(crate) entries: Result<Vec<Entry>, OldEntriesError>,
}

/// The thread that reads, seen from the ledger's.
pub(crate) struct OldReader {
    wanted: Sender<OldEntries>,
    fetched: Receiver<Fetched>,
}

impl OldReader {
    /// Starts the thread; what it has read wakes the ledger's by `wake`, an eventfd. It ends when
    /// this is dropped.
    ///
    /// # Errors
    /// The system's, when it has no thread left.
    pub(crate) fn start(wake: Arc<OwnedFd>) -> io::Result<Self> {
        let (wanted, wants) = mpsc::channel::<OldEntries>();
        let (done, fetched) = mpsc::channel();
        let thread = std::thread::Builder::new().name("giro-old".into());
        thread.spawn(move || {
            for old in wants {
                let (number, entries) = (old.number(), old.read());
                // Nobody listens any more when the server has ended.
                let _ = done.send(Fetched { number, entries });
                let _ = rustix::io::write(&*wake, &1_u64.to_le_bytes());
            }
        })?;
        Ok(Self { wanted, fetched })
    }

    /// Has entries read.
    pub(crate) fn read(&self, old: OldEntries) {
        // The thread ends only with this.
        let _ = self.wanted.send(old);
    }

    /// Entries that were read.
    pub(crate) fn next(&self) -> Option<Fetched> {
        self.fetched.try_recv().ok()
    }
}
