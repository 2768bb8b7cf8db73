//! The history: what happened long ago, on disk, in memory that does not grow with it.
//!
//! Generations that leave the executor's memory become files that never change: a *segment* with
//! the transfers and everything that finds them, and an *id run* that knows every id. Runs are
//! merged in the background; segments never are, because timestamps only rise.
//!
//! What it guarantees: an id that was used or burned is found for ever; every page proves by its
//! checksum that it is whole and in its place before a byte of it is used; a file is there whole
//! and durable, or not at all, whenever the machine stops.
//!
//! What it relies on: generations come in order, each once, and renames are atomic.
//!
//! Where to start reading: `docs/internals/history.md`, then [`History`].

mod buckets;
pub mod checkpoint;
pub mod copy;
pub mod cursor;
mod error;
pub mod filter;
pub mod format;
mod history;
mod output;
pub mod pace;
pub mod page;
pub mod reader;
pub mod replay;
pub mod run;
pub mod scratch;
pub mod segment;
pub mod sieve;
mod sort;
pub mod verify;
pub mod writer;

pub use checkpoint::{Mark, Piece, SessionState, Whole};
pub use error::StoreError;
pub use history::{
    Answer, Built, Catalog, FAN_IN, Fate, Found, History, Names, Offer, Options, Question,
    Workshop, Written, mergeable,
};
pub use reader::Reader;
pub use run::Identity;
