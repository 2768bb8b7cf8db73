//! What the disk alone does, by fio: what servers are held against.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

/// A pattern of direct writes through io_uring.
struct Pattern {
    name: &'static str,
    /// Of each write.
    bytes: &'static str,
    /// Writes under way at a time.
    depth: u32,
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
    /// Writes the file that [`start`](Self::start) overwrites, so that no other pattern is measured
    /// beside that. False without fio.
    fn prepare(&self, dir: &Path) -> anyhow::Result<bool> {
        let (mut command, _) = self.command(dir);
        command.arg("--create_only=1").stdout(Stdio::null());
        match command.status() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).context("fio does not start"),
            Ok(status) => {
                anyhow::ensure!(status.success(), "fio could not write {}", self.name);
                Ok(true)
            }
        }
    }

    fn start(&self, dir: &Path) -> anyhow::Result<(Child, PathBuf)> {
        let (mut command, file) = self.command(dir);
        let child = command.stdout(Stdio::piped()).spawn();
        Ok((child.context("fio does not start")?, file))
    }

    fn command(&self, dir: &Path) -> (Command, PathBuf) {
        let file = dir.join(self.name);
        let mut command = Command::new("fio");
        command
            .args(["--rw=write", "--direct=1", "--ioengine=io_uring"])
            .args(["--fixedbufs", "--registerfiles"])
            .args(["--overwrite=1", "--time_based", "--output-format=terse"])
            .arg(format!("--name={}", self.name))
            .arg(format!("--bs={}", self.bytes))
            .arg(format!("--iodepth={}", self.depth))
            .arg(format!("--size={}", self.size))
            .arg(format!("--runtime={}", self.seconds))
            .arg(format!("--filename={}", file.display()));
        if self.flushed {
            command.arg("--sync=dsync");
        }
        if let Some(rate) = self.rate {
            command.arg(format!("--rate={rate}"));
        }
        command.stderr(Stdio::null());
        (command, file)
    }

    /// Its latencies. Nothing, and a line that says so, without fio.
    fn measure(&self, dir: &Path) -> anyhow::Result<Option<Latency>> {
        if !self.prepare(dir)? {
            println!("{NO_FIO}");
            return Ok(None);
        }
        end(self.start(dir)?).map(Some)
    }
}

const NO_FIO: &str = "(fio is not installed: no disk to compare with)";

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
        depth: 1,
        size: "64m",
        flushed: true,
        rate: None,
        seconds: 5,
    };
    if let Some(Latency { mean_us, .. }) = pattern.measure(dir)? {
        println!("raw 4 KiB O_DIRECT+DSYNC overwrite: {mean_us} us mean");
    }
    Ok(())
}

/// What the disk alone does with so many small writes a second.
pub(crate) fn report_small(dir: &Path, writes_per_s: u64, seconds: u64) -> anyhow::Result<()> {
    let pattern = Pattern {
        name: "raw",
        bytes: "4k",
        depth: 1,
        size: "64m",
        flushed: true,
        rate: Some(4096 * writes_per_s),
        seconds,
    };
    if let Some(latency) = pattern.measure(dir)? {
        report(
            &format!("{writes_per_s} writes of 4 KiB a second"),
            &latency,
        );
    }
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
/// history, in writes of the same sizes.
pub(crate) fn report_beside(
    dir: &Path,
    (log, history): (u64, u64),
    seconds: u64,
) -> anyhow::Result<()> {
    let log = Pattern {
        name: "raw-log",
        bytes: "1m",
        depth: 1,
        size: "512m",
        flushed: true,
        rate: Some(log),
        seconds,
    };
    let history = Pattern {
        name: "raw-history",
        bytes: "512k",
        depth: 2,
        size: "1g",
        flushed: false,
        rate: Some(history),
        seconds,
    };
    if !history.prepare(dir)? || !log.prepare(dir)? {
        println!("{NO_FIO}");
        return Ok(());
    }
    let (history, log) = (history.start(dir)?, log.start(dir)?);
    let latency = end(log)?;
    end(history)?;
    report("as many bytes a second", &latency);
    Ok(())
}
