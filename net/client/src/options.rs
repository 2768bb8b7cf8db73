//! What a client can choose.

use std::time::Duration;

use giro_wire::Release;

/// No time of a client is longer: ends of waits have to fit the clock.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Limits and times of a client. Times of more than a year count as a year.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The cluster's id.
    pub cluster: u128,
    /// Most sessions, and so most requests in flight at a time, all on one connection. They are
    /// opened as they are needed. Default 4.
    pub sessions_max: usize,
    /// How long a call may take ([`crate::Client::with_deadline`] changes it for some). Default
    /// 10 s.
    pub deadline: Duration,
    /// How long to wait for an answer before a request is sent again on the same connection;
    /// twice as long for each further time. Longer than the server's own deadline for taking a
    /// request, so that a refusal comes before. Default 2 s.
    pub resend_interval: Duration,
    /// Time between pings. A server that sends nothing and takes nothing between two of them is
    /// given up, and the client connects anew. Default 5 s.
    pub ping_interval: Duration,
    /// How long a server of several may leave a request, or an attempt to connect, without any
    /// sign before another one is asked; attempts take longer when all have failed. Longer than the
    /// server's own deadline for taking a request, so that a refusal comes before. Default 750 ms;
    /// without effect where there is one address.
    pub silence_max: Duration,
    /// Longest pause between two attempts to connect; the first ones follow faster. Default 1 s.
    pub reconnect_delay_max: Duration,
    /// Most calls that wait to be sent; further ones wait for room until their deadline. Default
    /// 8192.
    pub calls_max: usize,
    /// The release the client claims: the oldest with the operations it uses.
    pub release: Release,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            cluster: 0,
            sessions_max: 4,
            deadline: Duration::from_secs(10),
            resend_interval: Duration::from_secs(2),
            ping_interval: Duration::from_secs(5),
            silence_max: Duration::from_millis(750),
            reconnect_delay_max: Duration::from_secs(1),
            calls_max: 8192,
            release: Release::new(0, 17, 0),
        }
    }
}

impl ClientOptions {
    /// With times that can be added to the clock's.
    pub(crate) fn bounded(mut self) -> Self {
        for time in [
            &mut self.deadline,
            &mut self.resend_interval,
            &mut self.ping_interval,
            &mut self.silence_max,
            &mut self.reconnect_delay_max,
        ] {
            *time = (*time).min(TIME_MAX);
        }
        self
    }
}
