//! Checkpoints to and from other nodes: each transfer has a thread of its own, which waits for its
//! disk and its connection where the ledger's thread must not.

use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::Thread;
use std::time::{Duration, Instant};

use giro_node::transfer::{Fetched, Fetcher, Hello, Pinned, Sent, TransferError};
use giro_replication::NodeId;

use crate::offers::{KEPT_NS, Offers};
use crate::peers::connect;

/// Bytes a second that a sender sends at most: well below what a disk reads, so that the ledger's
/// own writes do not wait.
const PACE: u64 = 200 << 20;
/// How long either side waits for the other.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Pauses of a receiver that cannot connect: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long it tries: then the sender has given the offer up, and makes it anew.
const TRIED_MAX: Duration = Duration::from_nanos(KEPT_NS);
/// How often the log says how far a fetch is.
const SAID_EVERY: Duration = Duration::from_secs(5);

/// How a transfer ended.
pub(crate) enum Ended {
    /// One to this peer.
    Sent(NodeId, Result<(), TransferError>),
    /// That of the checkpoint at this entry.
    Fetched {
        index: u64,
        is_whole: bool,
        /// Which fetch it was.
        number: u64,
    },
}

/// All transfers, seen from the ledger's thread.
pub(crate) struct Transfers {
    wake: Arc<OwnedFd>,
    done: Sender<Ended>,
    ended: Receiver<Ended>,
    offers: Offers<Pinned>,
    fetching: Option<Fetching>,
    /// Counts fetches. What comes of one that was given up is of no interest any more.
    number: u64,
}

/// A thread that fetches; it ends soon after this is dropped.
struct Fetching {
    from: NodeId,
    progress: Arc<Progress>,
    thread: Thread,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.progress.is_unwanted.store(true, Ordering::Relaxed);
        // It may be in a pause.
        self.thread.unpark();
    }
}

/// What the fetching thread and the ledger's tell each other.
#[derive(Default)]
struct Progress {
    index: u64,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    is_connected: AtomicBool,
    /// Another checkpoint is wanted, another node leads, or the server ends.
    is_unwanted: AtomicBool,
}

impl Progress {
    fn is_wanted(&self) -> bool {
        !self.is_unwanted.load(Ordering::Relaxed)
    }
}

impl Transfers {
    /// Transfers that end write to `wake`, an eventfd.
    pub(crate) fn new(wake: Arc<OwnedFd>) -> Self {
        let (done, ended) = mpsc::channel();
        Self {
            wake,
            done,
            ended,
            offers: Offers::new(),
            fetching: None,
            number: 0,
        }
    }

    /// Holds a checkpoint open for a peer that was offered it.
    pub(crate) fn offer(&mut self, peer: NodeId, pinned: Pinned, now: u64) {
        let index = pinned.index();
        tracing::info!(
            replica = peer - 1,
            index,
            "it lags behind what the log keeps: a checkpoint is offered"
        );
        self.offers.make(peer, index, pinned, now);
    }

    /// What was sent to a peer last may not have reached it.
    pub(crate) fn may_be_lost(&mut self, peer: NodeId) {
        self.offers.may_be_lost(peer);
    }

    /// Whether this peer was offered the checkpoint at this entry, and does not get it yet.
    pub(crate) fn is_offered(&self, peer: NodeId, index: u64) -> bool {
        self.offers.is_open(peer, index)
    }

    /// Sends it over the connection that the peer made.
    pub(crate) fn send(&mut self, peer: NodeId, socket: OwnedFd) {
        let Some(pinned) = self.offers.begin(peer).cloned() else {
            return;
        };
        let (done, wake) = (self.done.clone(), Arc::clone(&self.wake));
        let started = std::thread::Builder::new()
            .name(format!("giro-send-{peer}"))
            .spawn(move || {
                let outcome = send(&pinned, socket);
                let (replica, index) = (peer - 1, pinned.index());
                match &outcome {
                    Ok(Sent { files, bytes }) => {
                        tracing::info!(replica, index, files, bytes, "sent a checkpoint");
                    }
                    Err(error) => {
                        tracing::warn!(replica, index, %error, "a checkpoint was not sent");
                    }
                }
                tell(&done, &wake, Ended::Sent(peer, outcome.map(drop)));
            });
        if let Err(source) = started {
            tracing::warn!(error = %source, "no thread to send a checkpoint");
            let action = "start a thread";
            let failed = TransferError::Link { action, source };
            let _ = self.done.send(Ended::Sent(peer, Err(failed)));
        }
    }

    /// Fetches a checkpoint from the node with this name. One that is being fetched is given up.
    pub(crate) fn fetch(&mut self, fetcher: Fetcher, hello: Hello, name: String) {
        let index = fetcher.index();
        let progress = Arc::new(Progress {
            index,
            ..Progress::default()
        });
        self.fetching = None;
        self.number += 1;
        let number = self.number;
        let ended = move |is_whole| Ended::Fetched {
            index,
            is_whole,
            number,
        };
        let (from, shared) = (hello.to, Arc::clone(&progress));
        let (done, wake) = (self.done.clone(), Arc::clone(&self.wake));
        let started = std::thread::Builder::new()
            .name("giro-fetch".into())
            .spawn(move || {
                tracing::info!(from = name, index, "fetches a checkpoint");
                let outcome = fetch(&fetcher, &hello, &name, &progress);
                match &outcome {
                    Ok(Fetched {
                        bytes_total: bytes,
                        received,
                        ..
                    }) => tracing::info!(from = name, index, bytes, received, "it is here"),
                    Err(error) => {
                        tracing::warn!(
                            from = name, index, %error,
                            "a checkpoint was not fetched; what is here stays for the next attempt"
                        );
                    }
                }
                tell(&done, &wake, ended(outcome.is_ok()));
            });
        match started {
            Ok(handle) => {
                self.fetching = Some(Fetching {
                    from,
                    progress: shared,
                    thread: handle.thread().clone(),
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no thread to fetch a checkpoint");
                let _ = self.done.send(ended(false));
            }
        }
    }

    /// This node leads from now on. Who looks for another one in vain would miss what this one
    /// offers: gives that up, and says which checkpoint it was for.
    pub(crate) fn led_by(&mut self, leader: NodeId) -> Option<u64> {
        let is_in_vain = |fetching: &mut Fetching| {
            fetching.from != leader && !fetching.progress.is_connected.load(Ordering::Relaxed)
        };
        let given_up = self.fetching.take_if(is_in_vain)?;
        self.number += 1;
        Some(given_up.progress.index)
    }

    /// Bytes that are here of the checkpoint being fetched, and of all of it.
    pub(crate) fn progress(&self) -> Option<(u64, u64)> {
        let progress = &self.fetching.as_ref()?.progress;
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Some((of(&progress.bytes), of(&progress.bytes_total)))
    }

    /// The next transfer that ended.
    pub(crate) fn next(&mut self) -> Option<Ended> {
        loop {
            let ended = self.ended.try_recv().ok()?;
            match &ended {
                Ended::Sent(peer, Ok(())) => self.offers.end(*peer),
                Ended::Sent(peer, Err(_)) => self.offers.break_off(*peer),
                Ended::Fetched { number, .. } if *number == self.number => self.fetching = None,
                Ended::Fetched { .. } => continue,
            }
            return Some(ended);
        }
    }

    /// Peers that did not get what they were offered, and may be offered something again.
    pub(crate) fn sweep(&mut self, now: u64) -> Vec<NodeId> {
        self.offers.sweep(now)
    }
}

fn tell(done: &Sender<Ended>, wake: &OwnedFd, ended: Ended) {
    // Nobody listens any more when the server has ended.
    let _ = done.send(ended);
    let _ = rustix::io::write(wake, &1_u64.to_le_bytes());
}

fn send(pinned: &Pinned, socket: OwnedFd) -> Result<Sent, TransferError> {
    let mut stream = patient(socket).map_err(failed("set up the connection"))?;
    pinned.send(&mut stream, PACE)
}

fn fetch(
    fetcher: &Fetcher,
    hello: &Hello,
    name: &str,
    progress: &Progress,
) -> Result<Fetched, TransferError> {
    let socket = connect_patiently(name, progress)?;
    let mut stream = patient(socket).map_err(failed("set up the connection"))?;
    stream.write_all(&hello.encode()).map_err(failed("send"))?;
    let mut said = Instant::now();
    fetcher.fetch(&mut stream, &mut |at| {
        progress.bytes.store(at.bytes, Ordering::Relaxed);
        progress
            .bytes_total
            .store(at.bytes_total, Ordering::Relaxed);
        if said.elapsed() >= SAID_EVERY {
            said = Instant::now();
            let (bytes, of) = (at.bytes, at.bytes_total);
            tracing::info!(index = progress.index, bytes, of, "fetching a checkpoint");
        }
        progress.is_wanted()
    })
}

/// Connects to the node with this name, and tries again as long as its offer stands: it does not
/// hear that nobody comes.
fn connect_patiently(name: &str, progress: &Progress) -> Result<OwnedFd, TransferError> {
    let began = Instant::now();
    let mut pause = PAUSE_MIN;
    loop {
        let error = match connect(name) {
            Ok(socket) => {
                progress.is_connected.store(true, Ordering::Relaxed);
                return Ok(socket);
            }
            Err(error) => error,
        };
        if began.elapsed() + pause > TRIED_MAX {
            return Err(failed("connect")(error));
        }
        if pause == PAUSE_MIN {
            let index = progress.index;
            tracing::warn!(to = name, index, %error, "cannot connect for a checkpoint, tries on");
        }
        std::thread::park_timeout(pause);
        if !progress.is_wanted() {
            return Err(TransferError::Stopped);
        }
        pause = (2 * pause).min(PAUSE_MAX);
    }
}

fn patient(socket: OwnedFd) -> io::Result<TcpStream> {
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    Ok(stream)
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> TransferError {
    move |source| TransferError::Link { action, source }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// An address where nobody listens.
    fn nowhere() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    }

    #[test]
    fn a_receiver_that_cannot_connect_tries_again_soon() {
        let name = nowhere();
        let (began, there) = (Instant::now(), Duration::from_millis(250));
        let sender = std::thread::spawn({
            let name = name.clone();
            move || {
                std::thread::sleep(there);
                TcpListener::bind(name).unwrap().accept().unwrap();
            }
        });
        let progress = Progress::default();
        connect_patiently(&name, &progress).unwrap();
        sender.join().unwrap();
        assert!(progress.is_connected.load(Ordering::Relaxed));
        let took = began.elapsed();
        // Attempts are 100, 300 and 700 ms behind the first.
        assert!(took >= there && took < Duration::from_secs(3), "{took:?}");
    }

    #[test]
    fn a_receiver_that_nobody_wants_any_more_ends_in_the_middle_of_a_pause() {
        let name = nowhere();
        let progress = Arc::new(Progress::default());
        let receiver = std::thread::spawn({
            let progress = Arc::clone(&progress);
            move || connect_patiently(&name, &progress)
        });
        // Into the pause of 1600 ms.
        std::thread::sleep(Duration::from_millis(1600));
        let fetching = Fetching {
            from: 2,
            progress,
            thread: receiver.thread().clone(),
        };
        let began = Instant::now();
        drop(fetching);
        let ended = receiver.join().unwrap();
        assert!(matches!(ended, Err(TransferError::Stopped)), "{ended:?}");
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}
