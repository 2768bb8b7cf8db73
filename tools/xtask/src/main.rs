//! The project's checks and longer trials, each a command: `cargo xtask ci` runs all that must
//! hold before a change lands, the others run one of them longer.
//!
//! What it guarantees: a stage that cannot run says so, and `--require-all` makes that a failure;
//! every process it starts it also ends, by its id.
//!
//! Where to start reading: [`ci`] (the stages), then the folder `stages`, and `tidy` for our own
//! lints.

mod ci;
mod command;
mod group;
mod server;
mod stages;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks and trials of Giro")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check, or some.
    Ci(ci::Arguments),
    /// Our own lints: lengths, ASCII, SAFETY comments, essays, links and test names in docs.
    Tidy,
    /// The field's official clients against a fresh ledger.
    Official,
    /// Two ledgers and a real DTM server between them: payments, failures, kills, and an audit.
    Dtm {
        /// Payments at a time in the random scenario.
        #[arg(long, default_value_t = 200)]
        payments: u32,
        /// Repeats a run's payments.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// kill -9 under load, restart, and a full check, round after round.
    Kill {
        /// Kills.
        #[arg(long, default_value_t = 20)]
        rounds: u32,
        /// Repeats a run's moments and batches, as far as timing allows.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// A group of three in network namespaces: kills, cuts, replacements under load, and an audit.
    Siege {
        /// Ends with the round that has so many.
        #[arg(long, default_value_t = 20)]
        kills: u32,
        /// Repeats a run's faults and batches, as far as timing allows.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Instructions of the hot structures, against those on record.
    Instructions {
        /// Puts what was counted on record.
        #[arg(long)]
        record: bool,
    },
    /// Random batches against the reference model, in release mode.
    Oracle {
        /// Events, over all shard counts.
        #[arg(long, default_value_t = 10_000_000)]
        events: u64,
        /// Starts another sequence.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Simulated groups of nodes: faults, crashes, partitions, and an auditor.
    Sim {
        /// Seeds to run.
        #[arg(long, default_value_t = 1000)]
        seeds: u64,
        /// The first one.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Run each seed twice, and compare the traces.
        #[arg(long)]
        twice: bool,
    },
    /// The fuzz targets, for a time shared between them.
    Fuzz {
        /// Seconds for all of them together.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// One target.
        #[arg(long)]
        target: Option<String>,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Ci(arguments) => ci::run(&arguments),
        Command::Tidy => tidy::run(),
        Command::Official => stages::official(true),
        Command::Dtm { payments, seed } => stages::dtm(payments, seed),
        Command::Kill { rounds, seed } => stages::kill(rounds, seed),
        Command::Instructions { record } => stages::instructions(record),
        Command::Siege { kills, seed } => stages::siege(kills, seed, false),
        Command::Oracle { events, seed } => stages::oracle(events, seed),
        Command::Sim { seeds, seed, twice } => {
            let seconds = None;
            stages::sim(&stages::Seeds {
                seeds,
                seed,
                seconds,
                twice,
            })
        }
        Command::Fuzz { seconds, target } => stages::fuzz(seconds, target.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
