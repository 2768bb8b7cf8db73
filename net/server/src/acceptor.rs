//! Accepting connections, as long as there is room for them.

use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use giro_log::uring::{Completion, Ring, Target};
use socket2::{SockRef, TcpKeepalive};

use crate::connection::{Action, Place};

/// Pause after the system refused to accept, usually because the process has too many files.
const RETRY_PAUSE_NS: u64 = 100_000_000;
/// Between questions whether a silent peer lives, and how many go unanswered.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// The token of accept operations of clients; they belong to no connection.
pub(crate) fn accept_token() -> u64 {
    let nowhere = Place {
        slot: 0,
        generation: 0,
    };
    nowhere.token(Action::Accept)
}

/// A listening socket and its standing order to accept.
pub(crate) struct Acceptor {
    listener: TcpListener,
    keepalive: Duration,
    token: u64,
    is_armed: bool,
    retry_at: u64,
}

impl Acceptor {
    /// Its operations carry `token`.
    pub(crate) fn new(listener: TcpListener, keepalive: Duration, token: u64) -> Self {
        Self {
            listener,
            keepalive,
            token,
            is_armed: false,
            retry_at: 0,
        }
    }

    /// Sees to it that connections are accepted.
    pub(crate) fn arm(&mut self, ring: &mut Ring, now: u64) {
        if !self.is_armed && now >= self.retry_at {
            ring.accept_multishot(Target::of(&self.listener), self.token);
            self.is_armed = true;
        }
    }

    /// Accepts no more.
    pub(crate) fn stop(&mut self, ring: &mut Ring, token: u64) {
        self.retry_at = u64::MAX;
        if self.is_armed {
            ring.cancel(self.token, token);
        }
    }

    /// The socket of an accepted connection.
    pub(crate) fn on_completion(&mut self, completion: Completion, now: u64) -> Option<OwnedFd> {
        if !completion.more() {
            self.is_armed = false;
        }
        match completion.count() {
            // SAFETY: the result of a successful accept is a new descriptor that nobody owns.
            Ok(_) => Some(unsafe { OwnedFd::from_raw_fd(completion.result) }),
            Err(error) => {
                if self.retry_at != u64::MAX {
                    tracing::warn!(%error, "cannot accept connections just now");
                    self.retry_at = now + RETRY_PAUSE_NS;
                }
                None
            }
        }
    }

    /// Sets a connection up: small messages leave at once, dead peers are noticed. A socket
    /// that refuses is about to fail by itself.
    pub(crate) fn configure(&self, socket: &OwnedFd) {
        let socket = SockRef::from(socket);
        let keepalive = TcpKeepalive::new()
            .with_time(self.keepalive)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_RETRIES);
        let _ = socket.set_tcp_nodelay(true);
        let _ = socket.set_tcp_keepalive(&keepalive);
    }
}
