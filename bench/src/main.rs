//! Measurements of Giro against its limits and its peers. Figures are ratios within one run.

mod delay;
mod disk;
mod execution;
mod failover;
mod field;
mod group;
mod grow;
mod history;
mod http;
mod memory;
mod plot;
mod servers;
mod stalls;
mod standstill;
mod tcc;
mod trio;

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
    /// The field's load generator against Giro and the peer, alternately.
    Field(field::Arguments),
    /// Time without a leader, when it is killed or stands still.
    Failover(failover::Arguments),
    /// The field's load generator against three replicas of each, alternately.
    Group(group::Arguments),
    /// A ledger that grows: memory and throughput over time, as a table and a plot.
    Grow(grow::Arguments),
    /// Writing the history alone: processor time and bytes a transfer.
    History(history::Arguments),
    /// Requests over HTTP, against a route of the same stack that does nothing.
    Http(http::Arguments),
    /// Memory an account takes.
    Memory(memory::Arguments),
    /// Latency of each batch under a load far below capacity, as a table and a plot.
    Stalls(stalls::Arguments),
    /// TCC payments through the library: try and confirm, durable.
    Tcc(tcc::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().what {
        What::Execution(arguments) => execution::run(&arguments),
        What::Field(arguments) => field::run(&arguments),
        What::Failover(arguments) => failover::run(&arguments),
        What::Group(arguments) => group::run(&arguments),
        What::Grow(arguments) => grow::run(&arguments),
        What::History(arguments) => history::run(&arguments),
        What::Http(arguments) => http::run(&arguments),
        What::Memory(arguments) => memory::run(&arguments),
        What::Stalls(arguments) => stalls::run(&arguments),
        What::Tcc(arguments) => tcc::run(&arguments),
    }
}
