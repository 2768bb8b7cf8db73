//! The gateway before a real ledger, by a real HTTP client.

mod cases;
mod common;
