//! What the disk alone does, by fio: what servers are held against.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

/// A pattern of writes: direct, through io_uring, one at a time.
struct Pattern {
    name: &'static str,
    /// Of each write.
    bytes: &'static str,
    /// Of the file, which is overwritten.
    size: &'static str,
    /// Each write is flushed.
    flushed: bool,
    /// Bytes a second, or as many as there can be.
    rate: Option<u64>,
    seconds: u64,
}

/// Latencies of writes.
struct Latency {
    mean_us: f64,
    max_us: f64,
}

impl Pattern {
    fn start(&self, dir: &Path) -> Option<(Child, PathBuf)> {
        let file = dir.join(self.name);
        let mut command = Command::new("fio");
        command
            .args(["--rw=write", "--direct=1", "--ioengine=io_uring"])
            .args(["--fixedbufs", "--registerfiles", "--iodepth=1"])
            .args(["--overwrite=1", "--time_based", "--output-format=terse"])
            .arg(format!("--name={}", self.name))
            .arg(format!("--bs={}", self.bytes))
            .arg(format!("--size={}", self.size))
            .arg(format!("--runtime={}", self.seconds))
            .arg(format!("--filename={}", file.display()));
        if self.flushed {
            command.arg("--sync=dsync");
        }
        if let Some(rate) = self.rate {
            command.arg(format!("--rate={rate}"));
        }
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        child.ok().map(|child| (child, file))
    }
}

fn end((child, file): (Child, PathBuf)) -> anyhow::Result<Latency> {
    let output = child.wait_with_output()?;
    std::fs::remove_file(&file)?;
    let text = String::from_utf8_lossy(&output.stdout);
    // Fields 80 and 81 of fio's terse version 3: maximum and mean of a write's total latency (us).
    let field = |number: usize| {
        let field = text.split(';').nth(number - 1);
        let figure = field.and_then(|field| field.parse().ok());
        figure.context("fio's output has too few fields")
    };
    Ok(Latency {
        mean_us: field(81)?,
        max_us: field(80)?,
    })
}

/// The raw write that one transfer at a time is held against.
pub(crate) fn report_raw_write(dir: &Path) -> anyhow::Result<()> {
    let pattern = Pattern {
        name: "raw",
        bytes: "4k",
        size: "64m",
        flushed: true,
        rate: None,
        seconds: 5,
    };
    let Some(running) = pattern.start(dir) else {
        println!("(fio is not installed: no raw write to compare with)");
        return Ok(());
    };
    let mean_us = end(running)?.mean_us;
    println!("raw 4 KiB O_DIRECT+DSYNC overwrite: {mean_us} us mean");
    Ok(())
}

/// What the disk alone does with so many small writes a second.
pub(crate) fn report_small(dir: &Path, writes_per_s: u64, seconds: u64) -> anyhow::Result<()> {
    let pattern = Pattern {
        name: "raw",
        bytes: "4k",
        size: "64m",
        flushed: true,
        rate: Some(4096 * writes_per_s),
        seconds,
    };
    let Some(running) = pattern.start(dir) else {
        println!("(fio is not installed: nothing to hold it against)");
        return Ok(());
    };
    report(
        &format!("{writes_per_s} writes of 4 KiB a second"),
        &end(running)?,
    );
    Ok(())
}

fn report(what: &str, latency: &Latency) {
    let (mean, max) = (latency.mean_us / 1e3, latency.max_us / 1e3);
    println!(
        "the disk alone with {what} (fio): a flushed write takes {mean:.2} ms, \
         the slowest {max:.0} ms, {:.0} times as long",
        max / mean,
    );
}

/// What the disk alone does with as many bytes a second as a ledger writes to its log and to its
/// history.
pub(crate) fn report_beside(
    dir: &Path,
    (log, history): (u64, u64),
    seconds: u64,
) -> anyhow::Result<()> {
    let log = Pattern {
        name: "raw-log",
        bytes: "1m",
        size: "512m",
        flushed: true,
        rate: Some(log),
        seconds,
    };
    let history = Pattern {
        name: "raw-history",
        bytes: "2m",
        size: "4g",
        flushed: false,
        rate: Some(history),
        seconds,
    };
    let (Some(history), Some(log)) = (history.start(dir), log.start(dir)) else {
        println!("(fio is not installed: nothing to hold it against)");
        return Ok(());
    };
    let latency = end(log)?;
    end(history)?;
    report("as many bytes a second", &latency);
    Ok(())
}
