//! The simulator.

use crate::command::{cargo, run};

/// Which seeds, and how long.
pub(crate) struct Seeds {
    /// How many.
    pub(crate) seeds: u64,
    /// The first one.
    pub(crate) seed: u64,
    /// At most so long.
    pub(crate) seconds: Option<u64>,
    /// Each one twice, with equal traces.
    pub(crate) twice: bool,
}

/// Runs them. Built as tests are, with every overflow checked: the simulator is fast enough.
pub(crate) fn sim(seeds: &Seeds) -> anyhow::Result<()> {
    let mut command = cargo("run --package giro-sim --");
    command.args(["--seeds", &seeds.seeds.to_string()]);
    command.args(["--seed", &seeds.seed.to_string()]);
    if let Some(seconds) = seeds.seconds {
        command.args(["--seconds", &seconds.to_string()]);
    }
    if seeds.twice {
        command.arg("--twice");
    }
    run(&mut command)
}
