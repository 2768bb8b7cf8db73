//! Several threads: the hand-over of requests and answers between the port threads, which have
//! the connections, and the first thread, which has the ledger.
//!
//! What it guarantees: the requests of a connection arrive in the order in which they were
//! received; nothing is handed over twice or lost; what one connection can have with the first
//! thread is bounded ([`HandedOver`]), and so is what a port thread can ([`link::PARCELS`]); a
//! thread that sleeps is woken when there is something for it.
//!
//! What it relies on: bounded lock-free queues, which are never full because what travels in them
//! is as numerous as their places and is used again. A large message travels as its buffer.
//!
//! Where to start reading: [`link`] (what two threads share), `courier` (the port thread's side),
//! `crew` (the first thread's side). `bell`, which decides who is woken, is model-checked with
//! loom: `RUSTFLAGS="--cfg loom" cargo test -p giro-server --lib --release`.

#[cfg(not(loom))]
mod answers;
mod bell;
#[cfg(not(loom))]
mod courier;
#[cfg(not(loom))]
mod crew;
#[cfg(not(loom))]
mod handed_over;
#[cfg(not(loom))]
mod line;
#[cfg(not(loom))]
mod link;
#[cfg(not(loom))]
mod parcel;
#[cfg(not(loom))]
mod port_thread;

#[cfg(not(loom))]
pub(crate) use self::crew::Crew;
#[cfg(not(loom))]
pub(crate) use self::handed_over::HandedOver;
