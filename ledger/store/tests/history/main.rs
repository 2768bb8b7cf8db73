//! The history against plain lists of what happened.

#[path = "../support/mod.rs"]
mod support;

mod checkpoints;
mod crashes;
mod damage;
mod ids;
mod queries;
mod sieves;
mod sizes;
mod threads;
mod verified;
