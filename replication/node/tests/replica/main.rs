//! Whole nodes on real directories, driven by hand: frames are passed and writes are completed
//! when a test says so.

mod backlog;
mod beginning;
mod damage;
mod failover;
mod files;
mod founding;
mod frames;
mod gate;
mod lent;
mod relief;
mod restarts;
mod support;
mod transfer;
