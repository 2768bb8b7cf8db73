//! Where an address leads.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use giro_wire::Address;
use thiserror::Error;

/// Why an address leads nowhere.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// The name is unknown.
    #[error("cannot resolve `{host}`: {source}")]
    Unknown {
        /// The name.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The name is known and has no address.
    #[error("`{0}` has no address")]
    Nowhere(String),
}

/// All addresses the host has.
///
/// # Errors
/// [`ResolveError`] when there is none.
pub(crate) fn resolve(address: &Address) -> Result<Vec<SocketAddr>, ResolveError> {
    let found = (address.host.as_str(), address.port).to_socket_addrs();
    let found: Vec<_> = found
        .map_err(|source| ResolveError::Unknown {
            host: address.host.clone(),
            source,
        })?
        .collect();
    if found.is_empty() {
        return Err(ResolveError::Nowhere(address.host.clone()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_resolves() {
        let found = resolve(&"localhost:7".parse().unwrap()).unwrap();
        assert!(found.iter().all(|a| a.ip().is_loopback() && a.port() == 7));
    }
}
