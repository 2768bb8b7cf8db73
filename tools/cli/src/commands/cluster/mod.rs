//! `giro cluster`: looks at a group of replicas and changes it.
//!
//! A running replica listens on a socket in its directory, so who may read the ledger may give
//! orders, and nobody else. Orders that change the group go to the leader's directory. The order
//! that makes a group of a ledger alone goes to a directory that does not run.

mod found;
pub(crate) mod socket;
mod words;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use giro::Digest;
use giro_node::Executed;

use self::words::{Answered, Asked, Report};

/// The replica whose directory is named takes the order.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    order: Order,
}

#[derive(clap::Subcommand)]
enum Order {
    /// Make a ledger that is alone, and does not run, a group of one: replicas can be added then.
    /// For good.
    Found(Box<found::Arguments>),
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
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=WAIT_MAX_S))]
    wait: u64,
    /// The directory of a running replica; of the leader, for all but `status`.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// A day.
const WAIT_MAX_S: u64 = 86_400;
/// Between two looks at whether a change counts.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.order {
        Order::Found(arguments) => found::run(arguments),
        Order::Status(target) => show(target, &target.ask(&Asked::Status)?),
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
            target.ask(&Asked::Promote { replica })?;
            let report = target.until("the learner votes", |report| report.votes(replica))?;
            show(target, &report)
        }
        Order::Remove { target, replica } => {
            let replica = *replica;
            target.ask(&Asked::Remove { replica })?;
            let gone = |report: &Report| !report.has(replica);
            let report = target.until("the replica has left", gone)?;
            show(target, &report)
        }
        Order::Transfer { target, replica } => {
            let replica = *replica;
            target.ask(&Asked::Transfer { replica })?;
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
            let report = target.recover(*lost, *replica, peer)?;
            show(target, &report)
        }
    }
}

/// Where the running replica in `dir` is.
///
/// # Errors
/// When it does not answer.
pub(crate) fn executed(dir: &Path) -> anyhow::Result<Executed> {
    let report = match socket::ask(dir, &Asked::Status)? {
        Answered::Done(report) => report,
        Answered::Refused(why) | Answered::Later(why) => bail!(why),
    };
    let digest = u128::from_str_radix(&report.digest, 16);
    let digest = digest.context("the replica's digest is no number")?;
    Ok(Executed {
        op: report.op,
        digest: Digest::from_value(digest),
    })
}

impl Target {
    fn add(&self, replica: u8, peer: &str) -> anyhow::Result<Report> {
        let peer = peer.to_owned();
        self.ask(&Asked::Add { replica, peer })?;
        self.until("the replica is a learner", |report| report.has(replica))
    }

    /// Goes on where an order that was given before has stopped.
    fn recover(&self, lost: u8, replica: u8, peer: &str) -> anyhow::Result<Report> {
        let report = self.ask(&Asked::Status)?;
        if report.votes(replica) && !report.has(lost) {
            return Ok(report);
        }
        if !report.has(replica) {
            self.add(replica, peer)?;
        }
        self.replace(lost, replica)
    }

    fn replace(&self, lost: u8, replica: u8) -> anyhow::Result<Report> {
        self.ask(&Asked::Replace { lost, replica })?;
        let done = |report: &Report| report.votes(replica) && !report.has(lost);
        self.until("the new replica votes", done)
    }

    /// Gives an order; again, as long as only the moment is wrong.
    fn ask(&self, asked: &Asked) -> anyhow::Result<Report> {
        let deadline = self.deadline();
        let context = || format!("asking the replica in {}", self.dir.display());
        loop {
            let (why, is_over) = match socket::ask(&self.dir, asked).with_context(context)? {
                Answered::Done(report) => return Ok(*report),
                Answered::Refused(why) => (why, true),
                Answered::Later(why) => (why, Instant::now() >= deadline),
            };
            if is_over {
                return Err(anyhow!(why)).with_context(context);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits until a change counts.
    fn until(&self, what: &str, done: impl Fn(&Report) -> bool) -> anyhow::Result<Report> {
        let deadline = self.deadline();
        loop {
            let report = self.ask(&Asked::Status)?;
            if done(&report) && !report.is_joint {
                return Ok(report);
            }
            if Instant::now() >= deadline {
                bail!(
                    "the order was taken, but after {} s it is not so that {what}; see \
                     `giro cluster status`",
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

fn show(target: &Target, report: &Report) -> anyhow::Result<()> {
    if target.json {
        println!("{}", serde_json::to_string(report)?);
        return Ok(());
    }
    let leader = report
        .leader
        .map_or("none known".to_owned(), |id| id.to_string());
    println!(
        "replica {} is {}, term {}, leader {leader}, view {}",
        report.replica, report.role, report.term, report.view
    );
    println!(
        "entries: {} in the log, {} durable, {} committed, {} executed",
        report.last, report.durable, report.committed, report.executed
    );
    println!("state: op {}, digest {}", report.op, report.digest);
    if let Some(why) = &report.beginning {
        println!("{why}");
    }
    if report.stalled_ms > 0 {
        println!(
            "a write to disk has been under way for {} ms",
            report.stalled_ms
        );
    }
    if let (Some(bytes), Some(total)) = (report.fetching_bytes, report.fetching_bytes_total) {
        println!("fetches a checkpoint: {bytes} of {total} bytes are here");
    }
    if let Some(gate) = &report.gate {
        println!("{}", gate.line());
    }
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
        let mut lag = member.lag.map_or_else(String::new, |lag| lag.to_string());
        if member.holds_back == Some(true) {
            lag.push_str("  takes no entries until its execution has kept up");
        }
        let (replica, kind) = (member.replica.to_string(), &member.kind);
        row([
            &replica,
            kind,
            &member.incarnation,
            &member.peer,
            heard,
            &lag,
        ]);
    }
    Ok(())
}
