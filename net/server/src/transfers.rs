//! Checkpoints to and from other nodes: each transfer has a thread of its own, which waits for its
//! disk and its connection where the ledger's thread must not.

use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use giro_node::transfer::{Fetched, Fetcher, Hello, Pinned, Sent, TransferError};
use giro_replication::NodeId;

use crate::offers::Offers;
use crate::peers::connect;

/// Bytes a second that a sender sends at most: well below what a disk reads, so that the ledger's
/// own writes do not wait.
const PACE: u64 = 200 << 20;
/// How long either side waits for the other.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How often the log says how far a fetch is.
const SAID_EVERY: Duration = Duration::from_secs(5);

/// How a transfer ended.
pub(crate) enum Ended {
    /// One to this peer.
    Sent(NodeId, Result<(), TransferError>),
    /// That of the checkpoint at this entry.
    Fetched(u64, bool),
}

/// All transfers, seen from the ledger's thread.
pub(crate) struct Transfers {
    wake: Arc<OwnedFd>,
    done: Sender<Ended>,
    ended: Receiver<Ended>,
    offers: Offers<Pinned>,
    /// Dropped ones end the thread that fetches.
    fetching: Option<Arc<Progress>>,
}

/// What the fetching thread and the ledger's tell each other.
#[derive(Default)]
struct Progress {
    index: u64,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
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
        self.fetching = Some(Arc::clone(&progress));
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
                tell(&done, &wake, Ended::Fetched(index, outcome.is_ok()));
            });
        if let Err(error) = started {
            tracing::warn!(%error, "no thread to fetch a checkpoint");
            let _ = self.done.send(Ended::Fetched(index, false));
        }
    }

    /// Bytes that are here of the checkpoint being fetched, and of all of it.
    pub(crate) fn progress(&self) -> Option<(u64, u64)> {
        let progress = self.fetching.as_ref()?;
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Some((of(&progress.bytes), of(&progress.bytes_total)))
    }

    /// The next transfer that ended.
    pub(crate) fn next(&mut self) -> Option<Ended> {
        let ended = self.ended.try_recv().ok()?;
        match &ended {
            Ended::Sent(peer, Ok(())) => self.offers.end(*peer),
            Ended::Sent(peer, Err(_)) => self.offers.break_off(*peer),
            Ended::Fetched(index, _) => {
                let is_it = |progress: &mut Arc<Progress>| progress.index == *index;
                drop(self.fetching.take_if(is_it));
            }
        }
        Some(ended)
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
    progress: &Arc<Progress>,
) -> Result<Fetched, TransferError> {
    let socket = connect(name).map_err(failed("connect"))?;
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
        // Nobody else has it when another one is wanted, or the server has ended.
        Arc::strong_count(progress) > 1
    })
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
