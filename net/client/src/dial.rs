//! Getting a connection: addresses in turn, with pauses that grow.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use giro_wire::Address;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::choice::Choice;
use crate::options::ClientOptions;

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
    choice: Choice,
    pause_max: Duration,
    /// How long one of several may leave an attempt without an answer, the first time round.
    silence_max: Duration,
    /// Attempts since a server last answered.
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
    pub(crate) fn new(
        addresses: Vec<Address>,
        options: &ClientOptions,
        last_error: LastError,
    ) -> Self {
        Self {
            choice: Choice::new(addresses.len()),
            addresses,
            pause_max: options.reconnect_delay_max,
            silence_max: options.silence_max,
            attempts: 0,
            last_error,
        }
    }

    /// The server answers: the next attempt follows at once.
    pub(crate) fn answered(&mut self) {
        self.attempts = 0;
        self.choice.answered();
    }

    /// Whether there is another server to go to.
    pub(crate) fn has_others(&self) -> bool {
        self.addresses.len() > 1
    }

    /// The server does not lead, or says nothing. The view, unless it is 0, says who does.
    pub(crate) fn look_elsewhere(&mut self, view: u32) {
        if self.choice.redirected(view) {
            // Somebody new leads: that is not one of the attempts that failed.
            self.attempts = 0;
        }
    }

    /// The connection is gone.
    pub(crate) fn lost(&mut self) {
        self.choice.lost();
    }

    /// Tries until there is a connection.
    pub(crate) async fn connect(&mut self) -> TcpStream {
        loop {
            let attempt = self.attempts;
            self.attempts = self.attempts.saturating_add(1);
            sleep(self.pause(attempt)).await;
            let patience = self.patience(attempt);
            let address = &self.addresses[self.choice.go()];
            match try_connect(address, patience).await {
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
                    self.choice.failed();
                }
            }
        }
    }

    /// How often each address was tried before this attempt.
    fn round(&self, attempt: u32) -> u32 {
        attempt / self.choice.count() as u32
    }

    /// None before the first attempt on each address; then with a random part, so that the
    /// clients of a server that comes back do not all come at once.
    fn pause(&self, attempt: u32) -> Duration {
        let round = self.round(attempt);
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

    /// How long an attempt may take: short where others can be tried, and twice as long each time
    /// round, since all of them may be slow.
    fn patience(&self, attempt: u32) -> Duration {
        if !self.has_others() {
            return ATTEMPT_MAX;
        }
        let doubled = 1 << self.round(attempt).min(20);
        self.silence_max.saturating_mul(doubled).min(ATTEMPT_MAX)
    }
}

async fn try_connect(address: &Address, patience: Duration) -> io::Result<TcpStream> {
    let host = (address.host.as_str(), address.port);
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer");
    let stream = timeout(patience, TcpStream::connect(host))
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

    fn dial(addresses: &[&str]) -> Dial {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        let options = ClientOptions::default();
        Dial::new(addresses.collect(), &options, LastError::default())
    }

    #[test]
    fn pauses_grow_up_to_their_limit() {
        let (dial, alone) = (dial(&["1", "2"]), dial(&["1"]));
        assert_eq!(dial.pause(0), Duration::ZERO);
        assert_eq!(dial.pause(1), Duration::ZERO, "the other address");
        assert!((5..=10).contains(&dial.pause(2).as_millis()));
        assert!((20..=40).contains(&dial.pause(7).as_millis()));
        for attempt in [40, 1000, u32::MAX] {
            assert!((25..=50).contains(&dial.pause(attempt).as_millis()));
            assert!((500..=1000).contains(&alone.pause(attempt).as_millis()));
        }
    }

    #[test]
    fn one_of_several_is_not_waited_for_at_first() {
        let (dial, alone) = (dial(&["1", "2"]), dial(&["1"]));
        let patience = |attempt| dial.patience(attempt).as_millis();
        assert_eq!([0, 1, 2, 3, 4].map(patience), [750, 750, 1500, 1500, 3000]);
        assert_eq!(dial.patience(u32::MAX), ATTEMPT_MAX);
        assert_eq!(alone.patience(0), ATTEMPT_MAX);
    }

    #[test]
    fn a_view_that_is_followed_does_not_wait() {
        let mut dial = dial(&["1", "2", "3"]);
        dial.attempts = 10;
        dial.look_elsewhere(0);
        assert_eq!(dial.attempts, 10);
        dial.look_elsewhere(4);
        assert_eq!(dial.attempts, 0);
        dial.attempts = 10;
        dial.look_elsewhere(4);
        assert_eq!(dial.attempts, 10, "once");
    }
}
