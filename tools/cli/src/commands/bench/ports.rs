//! Ports for servers that are started for a run.

use std::io;
use std::net::TcpListener;

/// Ports of the loopback interface that were free a moment ago, and differ. Should somebody else be
/// quicker, the server that gets one says so.
pub(super) fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let open = || TcpListener::bind("127.0.0.1:0");
    // All at once, so that they differ.
    let all = (0..count).map(|_| open()).collect::<Result<Vec<_>, _>>()?;
    let ports = all.iter().map(|listener| Ok(listener.local_addr()?.port()));
    ports.collect()
}

/// One of them.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(free_ports(1)?[0])
}
