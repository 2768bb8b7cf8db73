//! One test for each rule that the library leaves to its user, and for each case of recovery in
//! `docs/internals/replication.md`.

mod backlog;
mod elections;
mod lent;
mod members;
mod promises;
mod reads;
mod recovery;
mod roll;
mod support;
mod untold;
mod window;
