//! Finding a peer: its name is resolved anew for each attempt, away from the ledger's thread.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::Builder;
use std::time::Duration;

use giro_replication::NodeId;
use socket2::SockRef;

/// Longest attempt at one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long what was sent may stay unacknowledged before the system gives the connection up.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(2);

/// How an attempt ended.
pub(super) struct Dialed {
    pub(super) peer: NodeId,
    pub(super) outcome: io::Result<OwnedFd>,
}

/// Attempts under way, each on a short-lived thread.
pub(super) struct Dialer {
    wake: Arc<OwnedFd>,
    sender: Sender<Dialed>,
    ended: Receiver<Dialed>,
}

impl Dialer {
    /// Attempts that end write to `wake`, an eventfd.
    pub(super) fn new(wake: Arc<OwnedFd>) -> Self {
        let (sender, ended) = mpsc::channel();
        Self {
            wake,
            sender,
            ended,
        }
    }

    /// Begins an attempt.
    pub(super) fn dial(&self, peer: NodeId, name: &str) {
        let thread = Builder::new().name(format!("giro-dial-{peer}"));
        self.dial_on(thread, peer, name);
    }

    fn dial_on(&self, thread: Builder, peer: NodeId, name: &str) {
        let (sender, wake) = (self.sender.clone(), Arc::clone(&self.wake));
        let name = name.to_owned();
        let started = thread.spawn(move || end(&sender, &wake, peer, connect(&name)));
        if let Err(error) = started {
            // As from the thread: whoever waits looks only when it is woken.
            end(&self.sender, &self.wake, peer, Err(error));
        }
    }

    /// The next attempt that ended.
    pub(super) fn next(&self) -> Option<Dialed> {
        self.ended.try_recv().ok()
    }
}

/// An attempt ended: says so, and wakes whoever waits for it.
fn end(sender: &Sender<Dialed>, wake: &OwnedFd, peer: NodeId, outcome: io::Result<OwnedFd>) {
    // Nobody listens any more when the server has ended.
    let _ = sender.send(Dialed { peer, outcome });
    let _ = rustix::io::write(wake, &1_u64.to_le_bytes());
}

/// A connection to the node with this name, resolved now. Waits.
///
/// # Errors
/// The resolver's, and those of the last address.
pub(crate) fn connect(name: &str) -> io::Result<OwnedFd> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in name.to_socket_addrs()? {
        match connect_to(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn connect_to(address: SocketAddr) -> io::Result<OwnedFd> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(stream.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

    use super::*;

    const WAKE_MAX: Timespec = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };

    fn outcome(name: &str) -> io::Result<OwnedFd> {
        outcome_of(|dialer| dialer.dial(7, name))
    }

    fn outcome_of(dial: impl FnOnce(&Dialer)) -> io::Result<OwnedFd> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap());
        let dialer = Dialer::new(Arc::clone(&wake));
        dial(&dialer);
        let mut pollfd = [PollFd::new(&*wake, PollFlags::IN)];
        let woken = poll(&mut pollfd, Some(&WAKE_MAX)).unwrap();
        assert_eq!(woken, 1, "who waits is woken");
        let mut count = [0; 8];
        rustix::io::read(&*wake, &mut count).unwrap();
        let dialed = dialer.next().expect("it ended");
        assert_eq!(dialed.peer, 7);
        dialed.outcome
    }

    #[test]
    fn a_peer_is_found_by_its_name() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        outcome(&format!("127.0.0.1:{port}")).unwrap();
        outcome(&format!("localhost:{port}")).unwrap();
    }

    #[test]
    fn a_peer_that_is_not_there_is_an_error_and_no_wait() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        outcome(&format!("127.0.0.1:{port}")).unwrap_err();
        outcome("no port").unwrap_err();
    }

    #[test]
    fn an_attempt_that_gets_no_thread_ends_as_any_other() {
        // More than there is memory for: the system refuses the thread.
        let thread = || Builder::new().stack_size(1 << 60);
        outcome_of(|dialer| dialer.dial_on(thread(), 7, "127.0.0.1:1")).unwrap_err();
    }
}
