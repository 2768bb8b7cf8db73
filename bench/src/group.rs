//! Three replicas on one machine: the field's load generator against ours and the peer's,
//! alternately in one run; with a follower that is killed or stands still; and what a group costs
//! a ledger that needs none.

use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;

use crate::servers::{Contender, Running, Servers, median};
use crate::trio::{COUNT, Trio};

/// All touch their memory in the background first.
const SETTLES: Duration = Duration::from_secs(5);

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    servers: Servers,
    /// Rounds; each measures every shape.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Transfers of each measurement.
    #[arg(long, default_value_t = 4_000_000)]
    transfers: u64,
    /// Clients of the generator; a shape each.
    #[arg(long, value_delimiter = ',', default_value = "1,4")]
    clients: Vec<u32>,
    /// Transfers of a batch, instead of the generator's 8,189.
    #[arg(long)]
    batch: Option<u32>,
    /// Also measures a ledger of ours alone, and one that is a group of one.
    #[arg(long)]
    alone: bool,
    /// Also measures ours with a follower killed, with one that stands still, and with one that is
    /// far away, before the load.
    #[arg(long)]
    disturbed: bool,
    /// How far away that is, each way (ms).
    #[arg(long, default_value_t = 100)]
    delay_ms: u64,
    /// Leaves the peer out.
    #[arg(long)]
    ours_only: bool,
    /// Leaves groups of three out.
    #[arg(long)]
    without_three: bool,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setup {
    /// A ledger of ours without a group.
    Alone,
    /// One that is its group's only member.
    OfOne,
    Three(Contender, Follower),
}

/// What happens to a follower before the load.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follower {
    Well,
    Killed,
    Stopped,
    /// What comes and goes takes so long, each way; 0 is what the way there costs by itself.
    Far(Duration),
}

struct Figures {
    transfers_per_s: f64,
    p99_ms: f64,
    /// Processor time of the one that leads, a million transfers (s); ours only.
    leader_s: Option<f64>,
}

/// What is measured in turn.
fn shapes(arguments: &Arguments) -> Vec<(Setup, String)> {
    let ours = |follower, name: &str| {
        let setup = Setup::Three(Contender::Giro, follower);
        (setup, name.to_owned())
    };
    let mut shapes = Vec::new();
    if arguments.alone {
        shapes.push((Setup::Alone, "giro, alone".to_owned()));
        shapes.push((Setup::OfOne, "giro, a group of one".to_owned()));
    }
    if arguments.without_three {
        return shapes;
    }
    shapes.push(ours(Follower::Well, "giro"));
    if arguments.disturbed {
        let far = |ms| {
            let follower = Follower::Far(Duration::from_millis(ms));
            ours(follower, &format!("giro, a follower {ms} ms away"))
        };
        shapes.extend([
            ours(Follower::Killed, "giro, a follower killed"),
            ours(Follower::Stopped, "giro, a follower stands still"),
            far(0),
            far(arguments.delay_ms),
        ]);
    }
    if !arguments.ours_only {
        let peer = Setup::Three(Contender::Peer, Follower::Well);
        shapes.push((peer, "peer".to_owned()));
    }
    shapes
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let shapes = shapes(arguments);
    for clients in &arguments.clients {
        let mut all: Vec<Vec<Figures>> = shapes.iter().map(|_| Vec::new()).collect();
        for round in 0..arguments.rounds {
            for step in 0..shapes.len() {
                // The order turns, so that a drift of the machine favours nobody.
                let place = (step + round) % shapes.len();
                let (setup, name) = &shapes[place];
                let figures = measure(arguments, *clients, *setup);
                let figures = figures.with_context(|| name.to_owned())?;
                eprintln!(
                    "{clients} clients, round {round}, {name}: {:.0}/s, p99 {:.0} ms",
                    figures.transfers_per_s, figures.p99_ms
                );
                all[place].push(figures);
            }
        }
        for ((_, name), figures) in shapes.iter().zip(&all) {
            report(*clients, name, figures, &all[0]);
        }
    }
    Ok(())
}

fn report(clients: u32, name: &str, figures: &[Figures], first: &[Figures]) {
    let rate = |figures: &[Figures]| median(figures.iter().map(|f| f.transfers_per_s));
    let p99 = median(figures.iter().map(|f| f.p99_ms));
    let leader = figures.iter().filter_map(|f| f.leader_s);
    let leader = match median(leader) {
        seconds if seconds.is_nan() => String::new(),
        seconds => format!(", leads with {seconds:.2} s of processor a million"),
    };
    println!(
        "{clients} clients  {name:<30} {:>9.0}/s  p99 {p99:>4.0} ms  ({:.2} of the first){leader}",
        rate(figures),
        rate(figures) / rate(first),
    );
}

fn measure(arguments: &Arguments, clients: u32, setup: Setup) -> anyhow::Result<Figures> {
    match setup {
        Setup::Alone => {
            let server = arguments.servers.start(Contender::Giro)?;
            measure_one(arguments, clients, &server)
        }
        Setup::OfOne => {
            let server = arguments.servers.start_as_group()?;
            measure_one(arguments, clients, &server)
        }
        Setup::Three(who, follower) => measure_three(arguments, clients, who, follower),
    }
}

fn measure_one(arguments: &Arguments, clients: u32, server: &Running) -> anyhow::Result<Figures> {
    std::thread::sleep(SETTLES);
    let address = format!("127.0.0.1:{}", server.port);
    load(arguments, clients, &address, || Some(server.processor_s()))
}

fn measure_three(
    arguments: &Arguments,
    clients: u32,
    who: Contender,
    follower: Follower,
) -> anyhow::Result<Figures> {
    let mut trio = match follower {
        Follower::Far(_) => Trio::start_with_ways(&arguments.servers)?,
        _ => Trio::start(&arguments.servers, who)?,
    };
    std::thread::sleep(SETTLES);
    let leader = match who {
        Contender::Giro => trio.leader(),
        Contender::Peer => None,
    };
    if let Some(leader) = leader {
        let other = (leader + 1) % COUNT;
        match follower {
            Follower::Well => {}
            Follower::Killed => trio.kill(other)?,
            Follower::Stopped => trio.signal(other, Signal::STOP)?,
            Follower::Far(delay) => trio.delay(other, delay),
        }
    }
    let used_s = || leader.map(|leader| trio.processor_s(leader));
    load(arguments, clients, &trio.addresses(), used_s)
}

/// The load, and what the one that leads `used_s` for it.
fn load(
    arguments: &Arguments,
    clients: u32,
    addresses: &str,
    used_s: impl Fn() -> Option<f64>,
) -> anyhow::Result<Figures> {
    let mut flags = vec![
        format!("--transfer-count={}", arguments.transfers),
        format!("--clients={clients}"),
        "--query-count=0".to_owned(),
    ];
    let batch = arguments.batch;
    flags.extend(batch.map(|batch| format!("--transfer-batch-count={batch}")));
    let before = used_s();
    let printed = arguments.servers.load_at(addresses, &flags, || {})?;
    let leader_s = used_s()
        .zip(before)
        .map(|(after, before)| (after - before) * 1e6 / arguments.transfers as f64);
    Ok(Figures {
        transfers_per_s: printed.figure("load accepted", "tx/s")?,
        p99_ms: printed.figure("batch latency p99", "ms")?,
        leader_s,
    })
}
