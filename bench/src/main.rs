//! Measurements of Giro against its limits and its peers. Figures are ratios within one run.

mod execution;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures Giro; see BENCHMARKS.md")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Execution alone, in memory: transfers a second by accounts, shards and crossing.
    Execution(execution::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().what {
        What::Execution(arguments) => execution::run(&arguments),
    }
}
