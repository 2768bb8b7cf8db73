//! The field's own load generator against Giro and against the peer, alternately in one run.
//!
//! `tigerbeetle benchmark` is both the load and the peer; it is not part of this project and is
//! named by an option. Each measurement starts a fresh server on a fresh ledger.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The peer's binary, which is also the load generator.
    #[arg(long, env = "TIGERBEETLE", value_name = "FILE")]
    tigerbeetle: PathBuf,
    /// Giro's binary.
    #[arg(long, default_value = "target/release/giro", value_name = "FILE")]
    giro: PathBuf,
    /// Where ledgers are made and removed; on the disk to be measured.
    #[arg(long, default_value = "target/bench-field", value_name = "DIR")]
    dir: PathBuf,
    /// Rounds; each measures every shape with both servers.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these shapes.
    #[arg(long, value_delimiter = ',')]
    shapes: Vec<String>,
    /// Transfers of a full-batch shape.
    #[arg(long, default_value_t = 10_000_000)]
    transfers: u64,
    /// Memory Giro makes resident at its start (the peer does the same with 3 GiB of its own).
    #[arg(long, default_value_t = 2048)]
    prefault_mib: u64,
    /// Log segments of 64 MiB Giro keeps ready (the peer's format makes 1 GiB, too).
    #[arg(long, default_value_t = 16)]
    log_spares: u32,
}

/// A load: its name, its flags, and its share of `--transfers`.
struct Shape {
    name: &'static str,
    flags: &'static [&'static str],
    divisor: u64,
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "1-client",
        flags: &[],
        divisor: 1,
    },
    Shape {
        name: "4-clients",
        flags: &["--clients=4"],
        divisor: 1,
    },
    Shape {
        name: "pending",
        flags: &["--transfer-pending"],
        divisor: 2,
    },
    Shape {
        name: "random-ids",
        flags: &["--id-order=random"],
        divisor: 2,
    },
    Shape {
        name: "64-a-batch",
        flags: &["--transfer-batch-count=64"],
        divisor: 20,
    },
    Shape {
        name: "one-at-a-time",
        flags: &["--transfer-batch-count=1"],
        divisor: 500,
    },
];

#[derive(Clone, Copy, Debug)]
struct Figures {
    transfers_per_s: f64,
    p99_ms: f64,
    max_ms: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contender {
    Giro,
    Peer,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    std::fs::create_dir_all(&arguments.dir)?;
    for shape in SHAPES {
        let chosen =
            arguments.shapes.is_empty() || arguments.shapes.iter().any(|s| s == shape.name);
        if !chosen {
            continue;
        }
        let mut all = [Vec::new(), Vec::new()];
        for round in 0..arguments.rounds {
            // Who goes first alternates, so that a drift of the machine favours neither.
            let order = if round % 2 == 0 {
                [Contender::Giro, Contender::Peer]
            } else {
                [Contender::Peer, Contender::Giro]
            };
            for contender in order {
                let figures = measure(arguments, shape, contender)?;
                eprintln!(
                    "{} round {round} {}: {figures:?}",
                    shape.name,
                    name(contender)
                );
                all[usize::from(contender == Contender::Peer)].push(figures);
            }
            if shape.name == "one-at-a-time" {
                report_raw_write(&arguments.dir)?;
            }
        }
        report(shape, &all[0], &all[1]);
    }
    Ok(())
}

fn report(shape: &Shape, giro: &[Figures], peer: &[Figures]) {
    let rate = |figures: &[Figures]| median(figures.iter().map(|f| f.transfers_per_s));
    let p99 = |figures: &[Figures]| median(figures.iter().map(|f| f.p99_ms));
    let max = |figures: &[Figures]| median(figures.iter().map(|f| f.max_ms));
    println!(
        "{:<14} giro {:>9.0}/s p99 {:>4.0} ms max {:>4.0} ms | \
         peer {:>9.0}/s p99 {:>4.0} ms max {:>4.0} ms | ratio {:.1}",
        shape.name,
        rate(giro),
        p99(giro),
        max(giro),
        rate(peer),
        p99(peer),
        max(peer),
        rate(giro) / rate(peer),
    );
    if shape.name == "one-at-a-time" {
        println!("{:<14} giro {:.1} us mean round trip", "", 1e6 / rate(giro));
    }
}

fn measure(arguments: &Arguments, shape: &Shape, who: Contender) -> anyhow::Result<Figures> {
    let place = arguments.dir.join(name(who));
    remove(&place)?;
    let server = match who {
        Contender::Giro => start_giro(arguments, &place)?,
        Contender::Peer => start_peer(arguments, &place)?,
    };
    let figures = load(arguments, shape, server.port);
    drop(server);
    remove(&place)?;
    figures.with_context(|| format!("{} against {}", shape.name, name(who)))
}

fn name(who: Contender) -> &'static str {
    match who {
        Contender::Giro => "giro",
        Contender::Peer => "peer",
    }
}

/// A running server; dropping it ends it.
struct Running {
    child: Child,
    port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start_giro(arguments: &Arguments, place: &Path) -> anyhow::Result<Running> {
    check(
        Command::new(&arguments.giro)
            .arg("format")
            .arg("--cluster=0")
            .arg(place),
    )?;
    let prefault = format!("--prefault-mib={}", arguments.prefault_mib);
    let spares = format!("--log-spares={}", arguments.log_spares);
    let mut command = Command::new(&arguments.giro);
    command.arg("start").arg(spares);
    start(command.arg("--addresses=0").arg(prefault).arg(place))
}

fn start_peer(arguments: &Arguments, place: &Path) -> anyhow::Result<Running> {
    let format = ["format", "--cluster=0", "--replica=0", "--replica-count=1"];
    check(Command::new(&arguments.tigerbeetle).args(format).arg(place))?;
    // With --addresses=0 it would end when its standard input does.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let child = Command::new(&arguments.tigerbeetle)
        .arg("start")
        .arg(format!("--addresses=127.0.0.1:{port}"))
        .arg(place)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let running = Running { child, port };
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if start.elapsed() > START_MAX {
            bail!("the peer does not listen on {port}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(running)
}

/// The longest a server takes until it listens.
const START_MAX: Duration = Duration::from_secs(60);

/// Giro prints the port it took as the first line.
fn start(command: &mut Command) -> anyhow::Result<Running> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    let out = child.stdout.take().context("standard output")?;
    BufReader::new(out).read_line(&mut line)?;
    let port = line.trim().parse();
    let running = Running {
        child,
        port: port.as_ref().copied().unwrap_or(0),
    };
    port.with_context(|| format!("no port in {line:?}"))?;
    Ok(running)
}

fn check(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn remove(place: &Path) -> anyhow::Result<()> {
    match place.is_dir() {
        true => std::fs::remove_dir_all(place)?,
        false if place.exists() => std::fs::remove_file(place)?,
        false => {}
    }
    Ok(())
}

fn load(arguments: &Arguments, shape: &Shape, port: u16) -> anyhow::Result<Figures> {
    let mut command = Command::new(&arguments.tigerbeetle);
    command
        .arg("benchmark")
        .arg(format!("--addresses=127.0.0.1:{port}"));
    command.arg(format!(
        "--transfer-count={}",
        arguments.transfers / shape.divisor
    ));
    command.arg("--query-count=0").args(shape.flags);
    let output = run_for(&mut command, LOAD_MAX)?;
    let figure = |before: &str, after: &str| {
        let line = output.lines().find(|line| line.starts_with(before));
        let text = line
            .and_then(|line| line.split('=').nth(1))
            .map(|text| text.replace(after, ""));
        let number = text.and_then(|text| text.trim().parse::<f64>().ok());
        number.with_context(|| format!("no {before:?} in the load generator's output:\n{output}"))
    };
    Ok(Figures {
        transfers_per_s: figure("load accepted", "tx/s")?,
        p99_ms: figure("batch latency p99", "ms")?,
        max_ms: figure("batch latency p100", "ms")?,
    })
}

const LOAD_MAX: Duration = Duration::from_secs(300);

/// What the command printed; it is ended when it takes longer.
fn run_for(command: &mut Command, limit: Duration) -> anyhow::Result<String> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > limit {
            child.kill()?;
            bail!("{command:?} took longer than {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The raw write that one transfer at a time is held against, by fio on the same disk.
fn report_raw_write(dir: &Path) -> anyhow::Result<()> {
    let file = dir.join("raw");
    let output = Command::new("fio")
        .args([
            "--name=raw",
            "--size=64m",
            "--rw=write",
            "--bs=4k",
            "--direct=1",
            "--sync=dsync",
        ])
        .args([
            "--ioengine=io_uring",
            "--fixedbufs",
            "--registerfiles",
            "--iodepth=1",
        ])
        .args([
            "--overwrite=1",
            "--runtime=5",
            "--time_based",
            "--output-format=terse",
        ])
        .arg(format!("--filename={}", file.display()))
        .output();
    let Ok(output) = output else {
        println!("(fio is not installed: no raw write to compare with)");
        return Ok(());
    };
    // Field 81 of fio's terse version 3 is the mean of a write's total latency (us).
    let text = String::from_utf8_lossy(&output.stdout);
    let mean = text
        .split(';')
        .nth(80)
        .context("fio's output has too few fields")?;
    println!("raw 4 KiB O_DIRECT+DSYNC overwrite: {mean} us mean");
    std::fs::remove_file(&file)?;
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
