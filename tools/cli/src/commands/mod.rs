//! One file a command.

pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod cluster;
pub(crate) mod dev;
pub(crate) mod format;
pub(crate) mod inspect;
pub(crate) mod members;
pub(crate) mod repl;
pub(crate) mod serve;
pub(crate) mod start;
pub(crate) mod stopping;
pub(crate) mod tail;
pub(crate) mod verify;
pub(crate) mod version;
