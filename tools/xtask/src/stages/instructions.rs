//! Instructions of the hot structures, against those on record: they do not depend on what else
//! the machine does.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::command::{cargo, command, exists, output, root, run, scratch, target_dir};

/// What is on record: a line of name, instructions a unit, and unit for each case.
const RECORD: &str = "bench/hot/instructions.txt";
/// Passes of a case. More give the same number a unit, but for what only the first one does.
const PASSES: u32 = 4;
/// Compilers and memcpy of another machine may differ by so much (percent).
const TOLERANCE: f64 = 3.0;

pub(crate) fn no_valgrind() -> Option<String> {
    let there = exists("valgrind", "--version");
    (!there).then(|| "no valgrind on this machine: apt-get install valgrind".to_owned())
}

/// Counts, and compares with the record or writes it.
pub(crate) fn instructions(record: bool) -> anyhow::Result<()> {
    run(&mut cargo("build --release --package giro-hot"))?;
    let program = target_dir().join("release/giro-hot");
    let dir = scratch("instructions")?;
    let path = root().join(RECORD);
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let (mut text, mut differ) = (String::new(), Vec::new());
    for line in output(&mut command(&program, [""; 0]))?.lines() {
        let mut words = line.split_whitespace();
        let (name, units) = (words.next(), words.next());
        let (name, unit) = (name.context("a name")?, words.next().context("a unit")?);
        let units: f64 = units.context("units")?.parse()?;
        let count = count(&program, name, dir.path())? / (units * f64::from(PASSES));
        let before = recorded(&known, name);
        let change = before.map(|before| (count / before - 1.0) * 100.0);
        let shown = change.map_or("new".to_owned(), |change| format!("{change:+.1} %"));
        println!("{name:<16} {count:>9.1} a {unit:<9} {shown}");
        writeln!(text, "{name} {count:.1} {unit}")?;
        if change.is_none_or(|change| change.abs() > TOLERANCE) {
            differ.push(name.to_owned());
        }
    }
    if record {
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        return Ok(());
    }
    ensure!(
        differ.is_empty(),
        "{} differ from {RECORD} by more than {TOLERANCE} %: if that is meant, \
         `cargo xtask instructions --record` and say in the commit why",
        differ.join(", ")
    );
    Ok(())
}

/// Instructions of all passes of a case.
fn count(program: &Path, name: &str, dir: &Path) -> anyhow::Result<f64> {
    let file: PathBuf = dir.join(name);
    let mut valgrind = command("valgrind", ["--tool=callgrind", "--quiet"]);
    valgrind.arg(format!("--callgrind-out-file={}", file.display()));
    valgrind.arg("--toggle-collect=giro_hot::measured_pass");
    valgrind.arg(program).args([name, &PASSES.to_string()]);
    output(&mut valgrind)?;
    let text = std::fs::read_to_string(&file)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals:"));
    let total = total.context("callgrind counted nothing")?.trim().parse()?;
    Ok(total)
}

fn recorded(known: &str, name: &str) -> Option<f64> {
    known.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == name).then(|| words.next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_count_is_found_by_its_whole_name() {
        let known = "decide_all 1.0 x\ndecide 714.3 transfer\n";
        assert_eq!(recorded(known, "decide"), Some(714.3));
        assert_eq!(recorded(known, "dec"), None);
    }
}
