//! What an operator can choose about the port.

use std::time::Duration;

/// Limits and deadlines of the binary port.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster's id; messages for another one close their connection.
    pub cluster: u128,
    /// Threads of the port. 1: one thread has the connections and the ledger. More: the first
    /// has the ledger, each other one its share of the connections. Default
    /// [`Options::reactors_for`] the machine's cores.
    pub reactors: usize,
    /// Most connections at a time, on all threads together. One more is accepted and closed at
    /// once, so that its client learns it. Default 4096; each costs up to 18 KiB.
    pub connections_max: usize,
    /// Most sessions the ledger keeps; here it only bounds the routing table. Default 4096.
    pub sessions_max: usize,
    /// Most replies larger than 4 KiB that wait for their clients at a time; each takes a buffer
    /// of up to 1 MiB. Default 64.
    pub large_replies_max: u32,
    /// Message buffers that receiving leaves to the ledger, which gathers small requests in
    /// them. Default 4. The pool must have more than these.
    pub reserved_buffers: usize,
    /// How long a request waits for a buffer or for the ledger to have room before it is
    /// dropped (its client sends it again). Default 500 ms: before the field's clients resend.
    pub request_deadline: Duration,
    /// How long a message may take from its first byte to its last. Default 10 s.
    pub receive_deadline: Duration,
    /// How long a client may take to accept what is sent to it. Default 10 s.
    pub send_deadline: Duration,
    /// How long a new connection may stay without a single valid message. Default 60 s: twice
    /// the time between pings of the field's clients.
    pub greeting_deadline: Duration,
    /// How long the thread looks for a write's end before it lets its processor sleep. Costs
    /// processor time while writes are in flight, and only then. Default none, else about as long
    /// as a small write takes.
    pub spin: Duration,
    /// How long a stop may take to finish and answer what was taken. Default 10 s.
    pub shutdown_deadline: Duration,
    /// Idle time after which the system asks whether a peer still lives. Default 30 s, then
    /// every 10 s, three times.
    pub keepalive: Duration,
}

/// Most threads of a port.
pub const REACTORS_MAX: usize = 64;

impl Options {
    /// How many threads a machine with this many cores gets unless told: 1 below 4 cores, else a
    /// quarter of them, at least 2 and at most 8. Chosen, not measured.
    #[must_use]
    pub fn reactors_for(cores: usize) -> usize {
        if cores < 4 {
            1
        } else {
            cores.div_ceil(4).clamp(2, 8)
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cluster: 0,
            reactors: Self::reactors_for(cores),
            connections_max: 4096,
            sessions_max: 4096,
            large_replies_max: 64,
            reserved_buffers: 4,
            request_deadline: Duration::from_millis(500),
            receive_deadline: Duration::from_secs(10),
            send_deadline: Duration::from_secs(10),
            greeting_deadline: Duration::from_secs(60),
            spin: Duration::ZERO,
            shutdown_deadline: Duration::from_secs(10),
            keepalive: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_machines_have_one_reactor_and_large_ones_a_few() {
        let of = [1, 2, 3, 4, 8, 9, 16, 32, 128].map(Options::reactors_for);
        assert_eq!(of, [1, 1, 1, 2, 2, 3, 4, 8, 8]);
    }
}
