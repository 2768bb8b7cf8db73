//! Stages that only read and build.

use crate::command::{cargo, exists, run, target_dir};

/// Clippy with warnings denied, on everything, tests and examples too.
pub(crate) fn clippy() -> anyhow::Result<()> {
    run(&mut cargo(
        "clippy --workspace --all-targets -- --deny warnings",
    ))
}

/// All tests but those in comments, which are a stage of their own. Of the benchmarks each runs
/// once.
pub(crate) fn tests() -> anyhow::Result<()> {
    run(&mut cargo(
        "test --workspace --lib --bins --tests --examples --bench hot",
    ))
}

/// Documentation of our crates, with broken links denied.
pub(crate) fn docs() -> anyhow::Result<()> {
    // The binary is left out: it has the library's name, and no public items.
    let mut command = cargo("doc --workspace --no-deps --exclude giro-cli");
    // Essays tell a reader of the source where to start, which is often private.
    let flags = "--deny warnings --allow rustdoc::private_intra_doc_links";
    run(command.env("RUSTDOCFLAGS", flags))
}

/// The model checks of the hand-overs. The flag reaches every crate, hence the own folder.
pub(crate) fn loom() -> anyhow::Result<()> {
    let mut command = cargo("test --package giro --package giro-server --lib --release");
    command.env("RUSTFLAGS", "--cfg loom");
    run(command.env("CARGO_TARGET_DIR", target_dir().join("loom")))
}

/// Why `cargo deny` cannot run.
pub(crate) fn no_deny() -> Option<String> {
    let there = exists("cargo-deny", "--version");
    (!there).then(|| "cargo-deny is missing: cargo install cargo-deny --locked".to_owned())
}

/// Licences, sources and bans. Advisories need a database from the net: `cargo deny check
/// advisories` by hand, where there is one.
pub(crate) fn deny() -> anyhow::Result<()> {
    run(&mut cargo(
        "deny --workspace --all-features check --hide-inclusion-graph licenses bans sources",
    ))
}

/// The oracle's long run.
pub(crate) fn oracle(events: u64, seed: Option<u64>) -> anyhow::Result<()> {
    let mut command =
        cargo("test --release -p giro-core -p giro --test oracle -- --nocapture --test-threads=1");
    command.env("GIRO_ORACLE_EVENTS", events.to_string());
    if let Some(seed) = seed {
        command.env("GIRO_ORACLE_SEED", seed.to_string());
    }
    run(&mut command)
}
