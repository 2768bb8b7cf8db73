//! What the stages do.

mod checks;
mod fuzz;
mod live;
mod sim;

pub(crate) use checks::{clippy, deny, docs, loom, no_deny, oracle, tests};
pub(crate) use fuzz::{fuzz, no_fuzz};
pub(crate) use live::{examples, kill, official, readme};
pub(crate) use sim::{Seeds, sim};
