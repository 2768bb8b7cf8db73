//! Open branches that nobody has settled for a while: the coordinator is asked about them. So a
//! service need not register its branches anywhere, and one that was down picks up where it was.

use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use giro_base::Timestamp;
use giro_base::branch::ConfirmBranch;

use super::open::Open;
use super::{PendingBranch, TccParticipant};
use crate::error::Error;

/// Knows what is to become of a branch.
pub trait Coordinator {
    /// Asked about an open branch, perhaps more than once.
    fn ask(&mut self, branch: &Open) -> Decision;
}

impl<F: FnMut(&Open) -> Decision> Coordinator for F {
    fn ask(&mut self, branch: &Open) -> Decision {
        self(branch)
    }
}

/// What is to become of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its global transaction succeeded.
    Confirm,
    /// It succeeded, and each leg posts this much.
    ConfirmPart(Vec<u128>),
    /// It failed, or the coordinator does not know it.
    Cancel,
    /// Not known yet: ask again later.
    Wait,
}

/// What became of open branches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Confirmed now, or meanwhile.
    pub confirmed: u64,
    /// Cancelled now, or meanwhile.
    pub cancelled: u64,
    /// The coordinator does not know yet.
    pub waiting: u64,
    /// Somebody else settled it in another way meanwhile, or its time was over.
    pub differs: u64,
}

impl TccParticipant {
    /// Asks the coordinator about every open branch that was tried at `until` or before (ns), and
    /// does what it says.
    ///
    /// # Errors
    /// When the ledger stopped.
    pub fn settle_open(
        &self,
        until: Timestamp,
        coordinator: &mut impl Coordinator,
    ) -> Result<Settled, Error> {
        let mut settled = Settled::default();
        let mut open = self.open_branches(until, None);
        while let Some(page) = open.next_page()? {
            let mut pending: Vec<(bool, PendingBranch)> = Vec::new();
            for branch in page {
                let decision = coordinator.ask(&branch);
                let amounts = match decision {
                    Decision::Wait => {
                        settled.waiting += 1;
                        continue;
                    }
                    Decision::Cancel => {
                        pending.push((false, self.cancel(branch.key)));
                        continue;
                    }
                    Decision::Confirm => Vec::new(),
                    Decision::ConfirmPart(amounts) => amounts,
                };
                let confirm = ConfirmBranch {
                    key: branch.key,
                    amounts: amounts.into(),
                };
                pending.push((true, self.confirm(confirm)));
            }
            for (confirms, answer) in pending {
                let answer = match answer.wait() {
                    Ok(answer) => Some(answer.status.is_ok()),
                    // What the coordinator decided is none the ledger takes; others go on.
                    Err(Error::Branches(_)) => Some(false),
                    // Nothing was done, and it is asked again.
                    Err(Error::Full) => None,
                    Err(error) => return Err(error),
                };
                let count = match (answer, confirms) {
                    (Some(true), true) => &mut settled.confirmed,
                    (Some(true), false) => &mut settled.cancelled,
                    (Some(false), _) => &mut settled.differs,
                    (None, _) => &mut settled.waiting,
                };
                *count += 1;
            }
        }
        Ok(settled)
    }

    /// Asks the coordinator every now and then about branches that are open for longer than
    /// `age`, on a thread of its own, until the watcher is dropped. `report` gets what became of
    /// them each time.
    ///
    /// # Errors
    /// The system's, when it has no threads left.
    pub fn watch(
        &self,
        age: Duration,
        every: Duration,
        mut coordinator: impl Coordinator + Send + 'static,
        mut report: impl FnMut(Result<Settled, Error>) + Send + 'static,
    ) -> std::io::Result<Watcher> {
        let participant = self.clone();
        let (stop, stopped) = bounded::<()>(0);
        let thread = std::thread::Builder::new().name("giro-branches".to_owned());
        let thread = thread.spawn(move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let settled = participant.settle_open(before(age), &mut coordinator);
                let is_over = settled.is_err();
                report(settled);
                if is_over {
                    break;
                }
            }
        })?;
        Ok(Watcher {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// The time so long ago (ns).
fn before(age: Duration) -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let then = now.unwrap_or_default().saturating_sub(age);
    then.as_nanos() as Timestamp
}

/// Stops asking when dropped.
pub struct Watcher {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said why.
            let _ = thread.join();
        }
    }
}
