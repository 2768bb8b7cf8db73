//! A configuration file with any content: it is taken or refused, with every value in its range.
#![no_main]
#![allow(
    dead_code,
    reason = "the module belongs to the binary, which uses all of it"
)]

#[path = "../../cli/src/config.rs"]
mod config;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static DIR: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|input: &[u8]| {
    let path = DIR.path().join("giro.toml");
    std::fs::write(&path, input).expect("a file");
    match config::Config::load(DIR.path(), &config::Flags::default()) {
        Ok(config) => {
            assert!((1..=64).contains(&config.ledger.shards));
            assert!(config.ledger.buffers >= 8);
            assert!(config.server.connections_max >= 1);
        }
        Err(error) => assert!(!format!("{error:#}").is_empty()),
    }
});
