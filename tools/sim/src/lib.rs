//! The simulator: a group of nodes with clients, networks, disks and clocks, in one thread and in
//! virtual time. Everything that happens follows from a seed.
//!
//! What is real: whole nodes (`giro-node`), that is the group and its frames, the log with its
//! recovery, the state machine, sequencer and sessions. What is made up: the network,
//! the disks' bytes, clocks, clients, and who replaces broken nodes.
//!
//! What it guarantees: the same seed gives the same run, to the last bit of its trace; a broken
//! promise ends the run with the moment and the nodes, or it was not looked for (the list is in
//! `docs/internals/simulator.md`).
//!
//! Where to start reading: [`world::World`], then [`auditor::Auditor`].

#![forbid(unsafe_code)]

pub mod auditor;
pub mod client;
pub mod disk;
pub mod faults;
pub mod forge;
pub mod history;
pub mod image;
pub mod model;
pub mod network;
pub mod node;
pub mod operator;
pub mod sabotage;
pub mod trace;
pub mod up;
pub mod view;
pub mod workload;
pub mod world;

pub use self::{
    sabotage::Sabotage,
    world::{Report, Violation, run, run_replaced_leader},
};
