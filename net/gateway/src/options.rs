//! What a gateway can be told.

use std::time::Duration;

/// Limits and times of a gateway.
#[derive(Clone, Debug)]
pub struct Options {
    /// The ledger's cluster.
    pub cluster: u128,
    /// Where test traffic goes: to the ledger with the number that it names and this more. Real
    /// ledgers then have numbers below it. Default none: test traffic is refused.
    pub shadow_ledgers: Option<u32>,
    /// Most time for the ledger to answer once a request is there, and what a request has that
    /// names no deadline. Default 10 s.
    pub deadline: Duration,
    /// The same for DTM's routes. Below the 3 s that DTM waits. Default 2.5 s.
    pub dtm_deadline: Duration,
    /// Most bytes of a body. Default 4 MiB: a full batch of transfers fits.
    pub body_bytes_max: usize,
    /// Most bytes of the bodies that are being received, together. Default 64 MiB.
    pub bodies_bytes_max: usize,
    /// Most time for a body to come. Default 10 s.
    pub body_timeout: Duration,
    /// Most time for a request's head to come, and for a connection to be quiet. Default 30 s.
    pub header_timeout: Duration,
    /// Most time for a client to take an answer. Default 30 s.
    pub answer_timeout: Duration,
    /// Most connections at a time. One more is answered 503 and closed. Default 1024.
    pub connections_max: usize,
    /// Most requests in flight to the ledger. Default 8.
    pub sessions_max: usize,
    /// How long a stop waits for requests that are being answered. Default 5 s.
    pub drain_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cluster: 0,
            shadow_ledgers: None,
            deadline: Duration::from_secs(10),
            dtm_deadline: Duration::from_millis(2500),
            body_bytes_max: 4 << 20,
            bodies_bytes_max: 64 << 20,
            body_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            connections_max: 1024,
            sessions_max: 8,
            drain_timeout: Duration::from_secs(5),
        }
    }
}
