//! Why the port cannot open, or had to stop.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use crate::address::ResolveError;

/// Why a server does not start or does not go on. `E` is the ledger's own error.
#[derive(Debug, Error)]
pub enum ServerError<E: std::error::Error + 'static> {
    /// The ledger failed; nobody knows what is on disk, so nothing may go on.
    #[error("the ledger stopped: {0}")]
    Ledger(#[source] E),
    /// The kernel's ring failed.
    #[error("io_uring: {0}")]
    Ring(#[source] io::Error),
    /// Memory for buffers is refused.
    #[error("no memory for {count} reply buffers of 1 MiB: lower `large_replies_max`: {source}")]
    Memory {
        /// Buffers asked for.
        count: u32,
        /// The system's error.
        source: io::Error,
    },
}

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
pub enum BindError {
    /// The host is not known.
    #[error(transparent)]
    Address(#[from] ResolveError),
    /// The system refuses the address.
    #[error("cannot listen on {address}: {source}; is another server running there?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The system has no descriptor to wake the server with.
    #[error("cannot make an eventfd: {0}; raise the limit of open files (ulimit -n)")]
    System(#[source] io::Error),
}
