//! Getting a connection: addresses in turn, with pauses that grow.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use giro_wire::Address;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Longest time for one attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(5);
/// Pause before the second attempt in a row; doubled for each further one.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest pause where there are several servers.
const PAUSE_MAX_OF_SEVERAL: Duration = Duration::from_millis(50);
/// Idle time after which the system asks whether the server's machine lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Where to connect, and how it went so far.
pub(crate) struct Dial {
    addresses: Vec<Address>,
    pause_max: Duration,
    /// The address to try next, and the one that was connected to last.
    next: usize,
    current: usize,
    /// Attempts since a server last took something.
    attempts: u32,
    last_error: LastError,
}

/// What the last attempt failed of, for who waits for the first connection.
#[derive(Clone, Default)]
pub(crate) struct LastError(Arc<Mutex<Option<io::Error>>>);

impl LastError {
    pub(crate) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: Option<io::Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

impl Dial {
    /// `addresses` must not be empty.
    pub(crate) fn new(addresses: Vec<Address>, pause_max: Duration, last_error: LastError) -> Self {
        assert!(!addresses.is_empty(), "an empty list does not parse");
        Self {
            addresses,
            pause_max,
            next: 0,
            current: 0,
            attempts: 0,
            last_error,
        }
    }

    /// The server takes requests: the next attempt follows at once.
    pub(crate) fn heard(&mut self) {
        self.attempts = 0;
    }

    /// Whether there is another server to go to.
    pub(crate) fn has_others(&self) -> bool {
        self.addresses.len() > 1
    }

    /// The server that is connected does not lead, or says nothing. The view, unless it is 0, says
    /// who does.
    pub(crate) fn look_elsewhere(&mut self, view: u32) {
        let count = self.addresses.len();
        let leader = view as usize % count;
        self.next = if view != 0 && leader != self.current {
            leader
        } else {
            (self.current + 1) % count
        };
    }

    /// Tries until there is a connection.
    pub(crate) async fn connect(&mut self) -> TcpStream {
        loop {
            let attempt = self.attempts;
            self.attempts = self.attempts.saturating_add(1);
            sleep(self.pause(attempt)).await;
            self.current = self.next;
            let address = &self.addresses[self.current];
            match try_connect(address).await {
                Ok(stream) => {
                    self.last_error.set(None);
                    return stream;
                }
                Err(error) => {
                    tracing::debug!(%address, %error, "cannot connect");
                    let kind = error.kind();
                    let error =
                        io::Error::new(kind, format!("cannot connect to {address}: {error}"));
                    self.last_error.set(Some(error));
                    self.next = (self.current + 1) % self.addresses.len();
                }
            }
        }
    }

    /// None before the first attempt on each address; then with a random part, so that the
    /// clients of a server that comes back do not all come at once.
    fn pause(&self, attempt: u32) -> Duration {
        let round = attempt / self.addresses.len() as u32;
        if round == 0 {
            return Duration::ZERO;
        }
        let doubled = PAUSE_MIN.saturating_mul(1 << (round - 1).min(20));
        // One of several leads soon, whoever it is.
        let longest = match self.has_others() {
            true => self.pause_max.min(PAUSE_MAX_OF_SEVERAL),
            false => self.pause_max,
        };
        doubled.min(longest).mul_f64(rand::random_range(0.5..1.0))
    }
}

async fn try_connect(address: &Address) -> io::Result<TcpStream> {
    let host = (address.host.as_str(), address.port);
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer");
    let stream = timeout(ATTEMPT_MAX, TcpStream::connect(host))
        .await
        .map_err(late)??;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_leads_to_the_leader_and_silence_to_the_next_one() {
        let addresses = (1..=3).map(|port| Address {
            host: "h".to_owned(),
            port,
        });
        let mut dial = Dial::new(addresses.collect(), Duration::ZERO, LastError::default());
        dial.look_elsewhere(0);
        assert_eq!(dial.next, 1);
        dial.current = 1;
        dial.look_elsewhere(8);
        assert_eq!(dial.next, 2, "view 8 of three servers");
        dial.current = 2;
        dial.look_elsewhere(8);
        assert_eq!(
            dial.next, 0,
            "the view is this server's, and it does not lead"
        );
    }

    #[test]
    fn pauses_grow_up_to_their_limit() {
        let addresses = vec!["1".parse().unwrap(), "2".parse().unwrap()];
        let dial = Dial::new(addresses, Duration::from_secs(1), LastError::default());
        assert_eq!(dial.pause(0), Duration::ZERO);
        assert_eq!(dial.pause(1), Duration::ZERO, "the other address");
        assert!((5..=10).contains(&dial.pause(2).as_millis()));
        assert!((20..=40).contains(&dial.pause(7).as_millis()));
        let alone = vec!["1".parse().unwrap()];
        let alone = Dial::new(alone, Duration::from_secs(1), LastError::default());
        for attempt in [40, 1000, u32::MAX] {
            assert!((25..=50).contains(&dial.pause(attempt).as_millis()));
            assert!((500..=1000).contains(&alone.pause(attempt).as_millis()));
        }
    }
}
