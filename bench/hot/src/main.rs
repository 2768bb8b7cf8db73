//! Runs one case for a number of passes, for callgrind: it counts what is below
//! `giro_hot::measured_pass`.

use anyhow::{Context, bail};
use giro_hot::{entries, measured_pass};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (name, passes) = match (arguments.next(), arguments.next()) {
        (None, _) => {
            for entry in entries() {
                println!("{} {} {}", entry.name, entry.units, entry.unit);
            }
            return Ok(());
        }
        (Some(_), None) => bail!("giro-hot [CASE PASSES]"),
        (Some(name), Some(passes)) => (name, passes),
    };
    let found = entries().into_iter().find(|entry| entry.name == name);
    let entry = found.with_context(|| format!("no case is called {name}"))?;
    let mut case = entry.make();
    for _ in 0..passes.parse::<u32>().context("passes")? {
        case.prepare();
        measured_pass(&mut *case);
    }
    Ok(())
}
