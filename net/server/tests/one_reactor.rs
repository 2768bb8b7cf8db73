//! The port with one thread for everything.

mod cases;
mod common;

/// Threads of the port in these tests.
const REACTORS: usize = 1;
