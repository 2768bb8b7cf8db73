//! The binary port: thousands of connections, and the ledger behind them, on one thread with one
//! io_uring or on several.
//!
//! What it guarantees: no input of a client stops the process; every connection holds bounded
//! memory; every message has a defined outcome (`docs/reference/protocol.md`, "Bad input"); a
//! reply leaves only after the ledger says its request is durable.
//!
//! What it relies on: a [`Ledger`], which is driven on one thread. With one thread it has the
//! connections too: a hand-over costs more than a small request does. With several, the others
//! receive and verify, and hand requests over. Message buffers come from the pool that the
//! ledger's log writes from, so that a large request goes from the socket to the disk in place.
//!
//! Where to start reading: [`Server::run`], then `reactor` (the turn), `port` (connections),
//! `receive` (bytes to messages), `service` (messages to answers), `handover` (several threads).

#[cfg(not(loom))]
mod acceptor;
#[cfg(not(loom))]
mod address;
#[cfg(not(loom))]
mod admission;
#[cfg(not(loom))]
mod beginning;
#[cfg(not(loom))]
mod clock;
#[cfg(not(loom))]
mod connection;
#[cfg(not(loom))]
mod counters;
#[cfg(not(loom))]
mod desk;
#[cfg(not(loom))]
mod engine;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod front;
#[cfg(not(loom))]
mod gate;
mod handover;
#[cfg(not(loom))]
mod io;
#[cfg(not(loom))]
mod ledger;
#[cfg(not(loom))]
mod offers;
#[cfg(not(loom))]
mod old;
#[cfg(not(loom))]
mod options;
#[cfg(not(loom))]
mod orders;
#[cfg(not(loom))]
mod outbox;
#[cfg(not(loom))]
mod peers;
#[cfg(not(loom))]
mod port;
#[cfg(not(loom))]
mod reactor;
#[cfg(not(loom))]
mod receive;
#[cfg(not(loom))]
mod replica;
#[cfg(not(loom))]
mod router;
#[cfg(not(loom))]
mod send;
#[cfg(not(loom))]
mod server;
#[cfg(not(loom))]
mod service;
#[cfg(not(loom))]
mod sweep;
#[cfg(not(loom))]
mod transfers;

#[cfg(not(loom))]
pub use address::ResolveError;
#[cfg(not(loom))]
pub use counters::{Counters, Figure, Kind, Snapshot};
#[cfg(not(loom))]
pub use engine::ServedEngine;
#[cfg(not(loom))]
pub use error::{BindError, ServerError};
#[cfg(not(loom))]
pub use giro_wire::{Address, AddressError};
#[cfg(not(loom))]
pub use ledger::{Ledger, Standing, Told};
#[cfg(not(loom))]
pub use options::{Options, REACTORS_MAX};
#[cfg(not(loom))]
pub use orders::{Commander, Order, OrderError, Standings};
#[cfg(not(loom))]
pub use replica::ServedReplica;
#[cfg(not(loom))]
pub use server::{Handle, Server};
