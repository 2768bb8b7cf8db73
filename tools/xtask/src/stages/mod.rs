//! What the stages do.

mod checks;
mod dtm;
mod fuzz;
mod http;
mod instructions;
mod live;
mod sim;

pub(crate) use checks::{clippy, deny, docs, loom, no_deny, oracle, tests};
pub(crate) use dtm::{dtm, no_go};
pub(crate) use fuzz::{fuzz, no_fuzz};
pub(crate) use http::http;
pub(crate) use instructions::{instructions, no_valgrind};
pub(crate) use live::{examples, kill, official, readme, siege};
pub(crate) use sim::{Seeds, sim};
