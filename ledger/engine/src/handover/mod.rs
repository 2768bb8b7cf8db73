//! Handing work to the shards' threads and back, without locks.
//!
//! `Workers::run` gives each shard its own part of some state and waits until all are done. The
//! caller's thread does the first shard's part itself. Threads spin for a short while between
//! two pieces of work, which is when they usually come, and sleep when they stay away.
//!
//! All `unsafe` of this crate is here. The protocol itself, `gate::Gate`, is model-checked with
//! loom: `RUSTFLAGS="--cfg loom" cargo test -p giro --lib --release`.

mod gate;
#[cfg(not(loom))]
mod workers;

#[cfg(not(loom))]
pub(crate) use self::workers::Workers;
