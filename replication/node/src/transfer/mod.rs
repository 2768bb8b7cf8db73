//! A checkpoint on its way from one node's directory to another's: `docs/internals/replication.md`.
//!
//! The receiver connects and sends a [`Hello`]; the sender answers with a listing of files; the
//! receiver says which of them it lacks, and gets their pages. Every page is checked on both sides.
//! It runs on any stream, on threads that wait.

mod block;
mod error;
mod fetch;
mod hello;
pub(crate) mod install;
mod listing;
mod send;

pub use self::{
    error::TransferError,
    fetch::{Fetched, Fetcher},
    hello::{BadHello, HELLO_BYTES, Hello},
    listing::{ListedFile, decode_listing, encode_listing},
    send::{Pinned, Sent},
};
