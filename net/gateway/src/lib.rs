//! The ledger over HTTP: JSON for people and programs, and the contracts of TCC coordinators.
//!
//! What it guarantees:
//!
//! - It runs on a thread of its own, and the data path does not know of it: it is a client of the
//!   binary port (`docs/decisions/0013-gateway-through-the-client.md`). Requests that run at the
//!   same time share messages, as all calls of one client do.
//! - Integers never pass through a float. Unknown fields are refused, and every refusal says which
//!   field and why.
//! - A success was durable before it was answered. What was not done is 4xx or 503; what may have
//!   been done is 504 (425 to a coordinator in phase two), and the same request sent again tells.
//! - Slow, endless and oversized requests are cut off; connections and the memory for bodies are
//!   bounded.
//!
//! What it relies on: a ledger's binary port, reachable at the address it is given, and nobody who
//! may not move money: there is no authentication here.
//!
//! Where to start reading: [`Gateway`], then `routes`. `docs/reference/http.md` has the routes.
#![forbid(unsafe_code)]

mod activity;
mod app;
mod book;
mod connection;
mod error;
mod extract;
mod gateway;
mod grpc;
mod metrics;
mod number;
mod observe;
mod options;
mod records;
mod routes;
mod shadow;

pub use gateway::{Gateway, GatewayError};
pub use grpc::v1;
pub use options::Options;
