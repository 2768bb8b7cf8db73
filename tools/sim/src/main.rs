//! Runs the simulator over seeds; a seed that breaks a promise prints how to repeat it.
//!
//! Where to start reading: `giro_sim::run`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use giro_sim::{Report, Sabotage, run};

#[derive(Parser)]
#[command(about = "Simulated groups of nodes")]
struct Arguments {
    /// Seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Stop after this many seconds, whatever is left.
    #[arg(long)]
    seconds: Option<u64>,
    /// Run each seed twice, and compare the traces.
    #[arg(long)]
    twice: bool,
}

/// What came of all seeds.
#[derive(Default)]
struct Totals {
    count: u64,
    requests: u64,
    faults: u64,
    evictions: u64,
    decided_ahead: u64,
    /// The longest.
    answered_us: u64,
    served_us: u64,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.count += 1;
        self.requests += report.requests;
        self.faults += report.faults;
        self.evictions += report.evictions;
        self.decided_ahead += report.decided_ahead;
        self.answered_us = self.answered_us.max(report.answered_us);
        self.served_us = self.served_us.max(report.served_us);
    }

    fn say(&self, seconds: f64) {
        let Self { count, .. } = self;
        let hourly = *count as f64 / seconds * 3600.0;
        println!(
            "{count} seeds clean in {seconds:.1} s ({hourly:.0} an hour): {} requests answered, \
             {} faults, {} evictions, {} entries decided ahead; with a minority down, the first \
             client waited at most {} ms, and all of them {} ms",
            self.requests,
            self.faults,
            self.evictions,
            self.decided_ahead,
            self.answered_us / 1000,
            self.served_us / 1000,
        );
    }
}

/// The seed that runs.
static CURRENT: AtomicU64 = AtomicU64::new(0);

fn say_again(seed: u64) {
    println!("again: cargo xtask sim --seeds 1 --seed {seed}");
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let started = Instant::now();
    // A failed assertion ends the process, and must name its seed as any other failure.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        say_again(CURRENT.load(Ordering::Relaxed));
    }));
    let mut totals = Totals::default();
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        let over = |limit| started.elapsed().as_secs() >= limit;
        if arguments.seconds.is_some_and(over) {
            break;
        }
        CURRENT.store(seed, Ordering::Relaxed);
        let report = match run(seed, Sabotage::None) {
            Ok(report) => report,
            Err(violation) => {
                println!("{}", violation.trace);
                println!("{violation}");
                say_again(seed);
                return ExitCode::FAILURE;
            }
        };
        if arguments.twice && run(seed, Sabotage::None).ok() != Some(report) {
            println!("seed {seed} does not run twice in the same way");
            return ExitCode::FAILURE;
        }
        if arguments.seeds == 1 {
            println!("{report:?}");
        }
        totals.add(&report);
    }
    totals.say(started.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}
