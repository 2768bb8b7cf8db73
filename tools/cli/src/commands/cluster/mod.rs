//! `giro cluster`: looks at a group of replicas and changes it.
//!
//! A running replica listens on a socket in its directory, so who may read the ledger may give
//! orders, and nobody else. Orders that change the group go to the leader's directory.

pub(crate) mod socket;
mod words;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use self::words::{Asked, Report};

/// The replica whose directory is named takes the order.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    order: Order,
}

#[derive(clap::Subcommand)]
enum Order {
    /// Show the group as this replica sees it.
    Status(Target),
    /// Add a formatted, running replica as a learner: it gets everything and counts for nothing.
    Add {
        #[command(flatten)]
        target: Target,
        /// The new replica's number.
        #[arg(long)]
        replica: u8,
        /// Where other replicas reach it; by its place in their `peers` when not given.
        #[arg(long, value_name = "HOST:PORT", default_value = "")]
        peer: String,
    },
    /// Make a learner that has caught up a voter.
    Promote {
        #[command(flatten)]
        target: Target,
        /// The learner's number.
        #[arg(long)]
        replica: u8,
    },
    /// Remove a replica for good; its number is never given again.
    Remove {
        #[command(flatten)]
        target: Target,
        /// Its number.
        #[arg(long)]
        replica: u8,
    },
    /// Hand leadership over.
    Transfer {
        #[command(flatten)]
        target: Target,
        /// The next leader's number.
        #[arg(long)]
        replica: u8,
    },
    /// Replace a lost replica: adds a new one, waits until it has caught up, and gives it the
    /// lost one's vote.
    Recover {
        #[command(flatten)]
        target: Target,
        /// The lost replica's number.
        #[arg(long)]
        lost: u8,
        /// The number of the new one, which runs already.
        #[arg(long)]
        replica: u8,
        /// Where other replicas reach the new one.
        #[arg(long, value_name = "HOST:PORT", default_value = "")]
        peer: String,
    },
}

#[derive(clap::Args)]
struct Target {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// How long to wait for a change to count, in seconds.
    #[arg(long, default_value_t = 30)]
    wait: u64,
    /// The directory of a running replica; of the leader, for all but `status`.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Between two looks at whether a change counts.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.order {
        Order::Status(target) => show(target, &ask(&target.dir, &Asked::Status)?),
        Order::Add {
            target,
            replica,
            peer,
        } => {
            let report = target.add(*replica, peer)?;
            show(target, &report)
        }
        Order::Promote { target, replica } => {
            let replica = *replica;
            ask(&target.dir, &Asked::Promote { replica })?;
            let report = target.until("the learner votes", |report| report.votes(replica))?;
            show(target, &report)
        }
        Order::Remove { target, replica } => {
            let replica = *replica;
            ask(&target.dir, &Asked::Remove { replica })?;
            let gone = |report: &Report| !report.has(replica);
            let report = target.until("the replica has left", gone)?;
            show(target, &report)
        }
        Order::Transfer { target, replica } => {
            let replica = *replica;
            ask(&target.dir, &Asked::Transfer { replica })?;
            let leads = |report: &Report| report.leader == Some(replica);
            let report = target.until("the other replica leads", leads)?;
            show(target, &report)
        }
        Order::Recover {
            target,
            lost,
            replica,
            peer,
        } => {
            target.add(*replica, peer)?;
            let report = target.replace(*lost, *replica)?;
            show(target, &report)
        }
    }
}

impl Target {
    fn add(&self, replica: u8, peer: &str) -> anyhow::Result<Report> {
        let peer = peer.to_owned();
        ask(&self.dir, &Asked::Add { replica, peer })?;
        self.until("the replica is a learner", |report| report.has(replica))
    }

    /// Tries until the learner has caught up far enough.
    fn replace(&self, lost: u8, replica: u8) -> anyhow::Result<Report> {
        let deadline = self.deadline();
        while let Err(error) = ask(&self.dir, &Asked::Replace { lost, replica }) {
            if Instant::now() >= deadline {
                let waited = self.wait;
                return Err(error.context(format!("given up after {waited} s (--wait)")));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        let done = |report: &Report| report.votes(replica) && !report.has(lost);
        self.until("the new replica votes", done)
    }

    /// Waits until a change counts.
    fn until(&self, what: &str, done: impl Fn(&Report) -> bool) -> anyhow::Result<Report> {
        let deadline = self.deadline();
        loop {
            let report = ask(&self.dir, &Asked::Status)?;
            if done(&report) && !report.is_joint {
                return Ok(report);
            }
            if Instant::now() >= deadline {
                bail!(
                    "the order was taken, but after {} s it is not so that {what}; see `giro cluster \
                     status`",
                    self.wait
                );
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.wait)
    }
}

fn ask(dir: &Path, asked: &Asked) -> anyhow::Result<Report> {
    let report = socket::ask(dir, asked);
    report.with_context(|| format!("asking the replica in {}", dir.display()))
}

fn show(target: &Target, report: &Report) -> anyhow::Result<()> {
    if target.json {
        println!("{}", serde_json::to_string(report)?);
        return Ok(());
    }
    let leader = report.leader.map_or("none known".to_owned(), |id| id.to_string());
    println!(
        "replica {} is {}, term {}, leader {leader}, view {}",
        report.replica, report.role, report.term, report.view
    );
    println!(
        "entries: {} in the log, {} durable, {} committed, {} executed; op {}",
        report.last, report.durable, report.committed, report.executed, report.op
    );
    let row = |cells: [&str; 6]| {
        let [replica, kind, incarnation, peer, heard, lag] = cells;
        println!("{replica:>7}  {kind:<8} {incarnation:<16}  {peer:<24} {heard:<5} {lag:>8}");
    };
    row(["replica", "kind", "incarnation", "peer", "heard", "lag"]);
    for member in &report.members {
        let heard = match member.is_healthy {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let lag = member.lag.map_or_else(String::new, |lag| lag.to_string());
        let (replica, kind) = (member.replica.to_string(), &member.kind);
        row([&replica, kind, &member.incarnation, &member.peer, heard, &lag]);
    }
    Ok(())
}
