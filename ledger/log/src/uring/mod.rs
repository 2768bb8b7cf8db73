//! io_uring: the only place of the tree that talks to it. The log and the server's reactors share
//! one [`Ring`] a thread.
//!
//! What it guarantees: an operation pushed is submitted in order, its completion is delivered
//! once, and a ring that is dropped first waits until the kernel lets go of every buffer.
//!
//! What it relies on: callers of the `unsafe` operations keep the memory they name in place until
//! the completion arrives.
//!
//! Where to start reading: [`Ring`].

mod op;
mod ring;
mod setup;
mod token;

pub use op::Target;
pub use ring::{Completion, Ring, RingHandle};
pub use setup::SetupError;
pub use token::{OWNER_DISK, OWNER_MESSAGE, OWNER_NET, OWNER_PEER, OWNER_WAKE, Token};
