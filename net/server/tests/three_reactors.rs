//! The same cases as with one thread, and those of the hand-over, with a thread for the ledger
//! and two for the connections.

mod cases;
mod common;
#[path = "cases/spread.rs"]
mod spread;

/// Threads of the port in these tests.
const REACTORS: usize = 3;
