//! The binary port: one thread, one io_uring, thousands of connections, and the ledger behind
//! them.
//!
//! What it guarantees: no input of a client stops the process; every connection holds bounded
//! memory; every message has a defined outcome (`docs/reference/protocol.md`, "Bad input"); a
//! reply leaves only after the ledger says its request is durable.
//!
//! What it relies on: a [`Ledger`], which is driven on the same thread. A hand-over to another
//! thread would cost more than a small request does. Message buffers come from the pool that the
//! ledger's log writes from, so that a large request goes from the socket to the disk in place.
//!
//! Where to start reading: [`Server::run`], then `reactor` (the turn), `receive` (bytes to
//! messages), `service` (messages to answers).

mod acceptor;
mod address;
mod admission;
mod clock;
mod connection;
mod counters;
mod desk;
mod engine;
mod error;
mod front;
mod handover;
mod io;
mod ledger;
mod options;
mod outbox;
mod port;
mod reactor;
mod receive;
mod router;
mod send;
mod server;
mod service;
mod sweep;

pub use address::ResolveError;
pub use counters::{Counters, Snapshot};
pub use engine::ServedEngine;
pub use error::{BindError, ServerError};
pub use giro_wire::{Address, AddressError};
pub use ledger::Ledger;
pub use options::{Options, REACTORS_MAX};
pub use server::{Handle, Server};
