//! The stages of `cargo xtask ci`, in the order in which they fail soonest.

use std::time::Instant;

use anyhow::bail;

use crate::{command, server, stages, tidy};

/// Which stages, and how strict.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run only these stages, in their usual order.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    only: Vec<String>,
    /// Run all but these stages.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    skip: Vec<String>,
    /// Show the stages and end.
    #[arg(long)]
    list: bool,
    /// A stage whose tools are not installed is a failure, not a skip.
    #[arg(long)]
    require_all: bool,
    /// Go on after a failure, to see all of them.
    #[arg(long)]
    keep_going: bool,
}

/// One check.
struct Stage {
    name: &'static str,
    what: &'static str,
    /// Why it cannot run on this machine, if it cannot.
    missing: fn() -> Option<String>,
    run: fn(&Arguments) -> anyhow::Result<()>,
}

/// Bounds of the stages that could go on for ever; the commands of the same name run longer.
const FUZZ_SECONDS: u64 = 60;
const KILL_ROUNDS: u32 = 5;
const SIEGE_KILLS: u32 = 12;
const DTM_PAYMENTS: u32 = 200;
const SIM_SECONDS: u64 = 60;

const STAGES: &[Stage] = &[
    Stage {
        name: "fmt",
        what: "the sources are formatted",
        missing: nothing,
        run: |_| command::run(&mut command::cargo("fmt --all --check")),
    },
    Stage {
        name: "tidy",
        what: "our own lints",
        missing: nothing,
        run: |_| tidy::run(),
    },
    Stage {
        name: "deny",
        what: "licences, sources and advisories of dependencies",
        missing: stages::no_deny,
        run: |_| stages::deny(),
    },
    Stage {
        name: "clippy",
        what: "the compiler's and clippy's lints, warnings denied",
        missing: nothing,
        run: |_| stages::clippy(),
    },
    Stage {
        name: "tests",
        what: "unit and integration tests, a bounded oracle and crash images among them",
        missing: nothing,
        run: |_| stages::tests(),
    },
    Stage {
        name: "doctests",
        what: "examples in comments and in README.md",
        missing: nothing,
        run: |_| command::run(&mut command::cargo("test --workspace --doc")),
    },
    Stage {
        name: "docs",
        what: "links between doc comments",
        missing: nothing,
        run: |_| stages::docs(),
    },
    Stage {
        name: "loom",
        what: "every interleaving of the hand-overs between threads",
        missing: nothing,
        run: |_| stages::loom(),
    },
    Stage {
        name: "sim",
        what: "simulated groups of nodes, for a minute, each seed twice",
        missing: nothing,
        run: |_| {
            stages::sim(&stages::Seeds {
                seeds: 100_000,
                seed: 1,
                seconds: Some(SIM_SECONDS),
                twice: true,
            })
        },
    },
    Stage {
        name: "fuzz",
        what: "the fuzz targets, from their corpus, for a minute",
        missing: stages::no_fuzz,
        run: |_| stages::fuzz(FUZZ_SECONDS, None),
    },
    Stage {
        name: "count",
        what: "instructions of the hot structures, against those on record",
        missing: stages::no_valgrind,
        run: |_| stages::instructions(false),
    },
    Stage {
        name: "build",
        what: "the release build that the stages below use",
        missing: nothing,
        run: |_| server::build(),
    },
    Stage {
        name: "examples",
        what: "the examples run",
        missing: nothing,
        run: |_| stages::examples(),
    },
    Stage {
        name: "official",
        what: "the field's official clients, unmodified",
        missing: no_python,
        run: |arguments| stages::official(arguments.require_all),
    },
    Stage {
        name: "http",
        what: "requests made of the OpenAPI description, right and wrong ones",
        missing: no_python,
        run: |_| stages::http(),
    },
    Stage {
        name: "dtm",
        what: "two ledgers, a real DTM server, and kills",
        missing: stages::no_go,
        run: |_| stages::dtm(DTM_PAYMENTS, None),
    },
    Stage {
        name: "readme",
        what: "README.md's commands and first use",
        missing: no_python,
        run: |_| stages::readme(),
    },
    Stage {
        name: "kill",
        what: "kill -9 under load, some rounds",
        missing: no_python,
        run: |_| stages::kill(KILL_ROUNDS, None),
    },
    Stage {
        name: "siege",
        what: "a group of three: kills, cuts and replacements under load, some rounds",
        missing: no_python,
        run: |arguments| stages::siege(SIEGE_KILLS, None, arguments.require_all),
    },
];

fn nothing() -> Option<String> {
    None
}

fn no_python() -> Option<String> {
    let there = command::exists("python3", "--version");
    (!there).then(|| "no python3 on this machine".to_owned())
}

/// How a stage ended.
enum Outcome {
    Passed,
    Failed(anyhow::Error),
    Skipped(String),
}

/// A stage that was run.
struct Ended {
    name: &'static str,
    outcome: Outcome,
    seconds: f64,
    /// Left on the disk of builds and trials: without room, servers wait for it, and so do tests.
    free_gib: u64,
}

/// Runs the chosen stages and sums up.
///
/// # Errors
/// When one fails, or is skipped where everything is required.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    for name in arguments.only.iter().chain(&arguments.skip) {
        if !STAGES.iter().any(|stage| stage.name == name) {
            bail!("no stage is called {name}; `cargo xtask ci --list` shows them");
        }
    }
    if arguments.list {
        for stage in STAGES {
            println!("{:<10} {}", stage.name, stage.what);
        }
        return Ok(());
    }
    let mut ended = Vec::new();
    for stage in STAGES.iter().filter(|stage| is_chosen(stage, arguments)) {
        println!("\n== {}: {}", stage.name, stage.what);
        let started = Instant::now();
        let outcome = run_stage(stage, arguments);
        let seconds = started.elapsed().as_secs_f64();
        let stop = matches!(outcome, Outcome::Failed(_)) && !arguments.keep_going;
        let free_gib = command::free_bytes() >> 30;
        ended.push(Ended {
            name: stage.name,
            outcome,
            seconds,
            free_gib,
        });
        if stop {
            break;
        }
    }
    sum_up(&ended)
}

fn is_chosen(stage: &Stage, arguments: &Arguments) -> bool {
    let named = |names: &[String]| names.iter().any(|name| name == stage.name);
    (arguments.only.is_empty() || named(&arguments.only)) && !named(&arguments.skip)
}

fn run_stage(stage: &Stage, arguments: &Arguments) -> Outcome {
    if let Some(why) = (stage.missing)() {
        if arguments.require_all {
            return Outcome::Failed(anyhow::anyhow!("cannot run: {why}"));
        }
        println!("skipped: {why}");
        return Outcome::Skipped(why);
    }
    match (stage.run)(arguments) {
        Ok(()) => Outcome::Passed,
        Err(error) => {
            println!("FAILED: {error:#}");
            Outcome::Failed(error)
        }
    }
}

fn sum_up(ended: &[Ended]) -> anyhow::Result<()> {
    println!();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for Ended {
        name,
        outcome,
        seconds,
        free_gib,
    } in ended
    {
        let (count, text) = match outcome {
            Outcome::Passed => (&mut passed, "passed".to_owned()),
            Outcome::Failed(error) => (&mut failed, format!("FAILED: {error:#}")),
            Outcome::Skipped(why) => (&mut skipped, format!("skipped: {why}")),
        };
        *count += 1;
        println!("{name:<10} {seconds:>6.1} s, {free_gib:>4} GiB free  {text}");
    }
    println!("stages: {passed} passed, {failed} failed, {skipped} skipped");
    if failed > 0 {
        bail!("{failed} of {} stages failed", ended.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(only: &[&str], skip: &[&str]) -> Arguments {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Arguments {
            only: owned(only),
            skip: owned(skip),
            list: false,
            require_all: false,
            keep_going: false,
        }
    }

    #[test]
    fn stages_are_chosen_by_name() {
        let chosen = |only: &[&str], skip: &[&str]| {
            let arguments = arguments(only, skip);
            let chosen = STAGES.iter().filter(|stage| is_chosen(stage, &arguments));
            chosen.map(|stage| stage.name).collect::<Vec<_>>()
        };
        assert_eq!(chosen(&["tidy", "fmt"], &[]), ["fmt", "tidy"]);
        assert_eq!(chosen(&[], &[]).len(), STAGES.len());
        assert!(!chosen(&[], &["kill"]).contains(&"kill"));
    }

    #[test]
    fn an_unknown_stage_is_refused() {
        let error = run(&arguments(&["fnt"], &[])).unwrap_err().to_string();
        assert!(error.contains("fnt"), "{error}");
    }

    #[test]
    fn a_missing_tool_fails_only_where_everything_is_required() {
        let stage = Stage {
            name: "there",
            what: "",
            missing: || Some("no tool".into()),
            run: |_| panic!("it cannot run"),
        };
        let mut arguments = arguments(&[], &[]);
        let outcome = run_stage(&stage, &arguments);
        assert!(matches!(outcome, Outcome::Skipped(_)));
        arguments.require_all = true;
        let outcome = run_stage(&stage, &arguments);
        assert!(matches!(outcome, Outcome::Failed(_)));
    }
}
