//! `giro`: makes, runs and inspects ledgers.

mod cluster_key;
mod commands;
mod config;
mod leave;
mod logging;
mod metrics;
mod places;
mod say;
mod show;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A payment ledger: double entry, two-phase transfers, durable before it answers.
#[derive(Parser)]
#[command(name = "giro", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a ledger for trying things out, making it in ./giro-data when there is none.
    Dev(commands::dev::Arguments),
    /// Make a ledger in a directory.
    Format(commands::format::Arguments),
    /// Run the ledger in a directory.
    Start(commands::start::Arguments),
    /// Look at a group of replicas, and change it.
    Cluster(commands::cluster::Arguments),
    /// Talk to a running ledger in statements.
    Repl(commands::repl::Arguments),
    /// Show what happens in a running ledger: its change feed.
    Tail(commands::tail::Arguments),
    /// Show what a stopped ledger holds: its identity, log, sessions, history, checkpoint.
    Inspect(commands::inspect::Arguments),
    /// Check a stopped ledger: history, indexes, checkpoint, log, and each against the others.
    Verify(commands::verify::Arguments),
    /// Copy a ledger, running or not, and check the copy.
    Backup(commands::backup::Backup),
    /// Make a ledger of a backup.
    Restore(commands::backup::Restore),
    /// Rehearse peak load: run a workload, audit it, and write the figures.
    Bench(commands::bench::Arguments),
    /// Print the version and what it was built for.
    Version(commands::version::Arguments),
}

fn main() -> ExitCode {
    logging::start();
    raise_file_limit();
    let result = match Arguments::parse().command {
        Command::Dev(arguments) => commands::dev::run(&arguments),
        Command::Format(arguments) => commands::format::run(&arguments),
        Command::Start(arguments) => commands::start::run(&arguments),
        Command::Cluster(arguments) => commands::cluster::run(&arguments),
        Command::Repl(arguments) => commands::repl::run(&arguments),
        Command::Tail(arguments) => commands::tail::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Verify(arguments) => commands::verify::run(&arguments),
        Command::Backup(arguments) => commands::backup::back_up(&arguments),
        Command::Restore(arguments) => commands::backup::restore(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Version(arguments) => commands::version::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // It is a failure also where nobody reads why.
            let _ = writeln!(io::stderr(), "giro: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Files of the history stay open, two a generation, whoever reads it, and a connection takes one:
/// all that the system allows may be used.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
