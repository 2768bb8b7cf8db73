//! `giro tail`: the change feed as lines of JSON on standard output.
//!
//! Each line says where a reader goes on who has it. Lines leave whole and before the command
//! waits for more, so that the last whole line always tells where to go on.

mod line;

use std::io::{self, BufWriter, StdoutLock, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use giro_client::{CallError, Changes, Client, ClientOptions, Position, Refusal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::time::sleep;

/// Where to connect, and what to show.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The server's address.
    #[arg(
        long,
        env = "GIRO_ADDRESSES",
        value_name = "[HOST:]PORT",
        default_value = "3000"
    )]
    addresses: String,
    /// The cluster's id.
    #[arg(long, default_value_t = 0)]
    cluster: u128,
    /// Go on behind this event: the `position` of its line. A timestamp in nanoseconds is a
    /// position, too.
    #[arg(long, value_name = "POSITION", default_value_t = Position::START)]
    after: Position,
    /// Wait for more at the end.
    #[arg(long)]
    follow: bool,
    /// End after so many events.
    #[arg(long, value_name = "EVENTS")]
    limit: Option<u64>,
    /// How long to wait for a session, and for each answer, in milliseconds.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    deadline_ms: u64,
}

/// Shortest and longest pause before an up-to-date feed is looked at again.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// Pause after a server did not answer.
const PAUSE_UNANSWERED: Duration = Duration::from_secs(1);
/// How long a line may wait for a reader who does not read, after a signal to stop.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes of lines gathered before they leave.
const OUT_BYTES: usize = 256 << 10;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let stop = stop_on_signals()?;
    // The connection lives on a thread of its own, also while somebody reads slowly.
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the client's thread")?;
    let options = ClientOptions {
        cluster: arguments.cluster,
        sessions_max: 1,
        deadline: Duration::from_millis(arguments.deadline_ms),
        ..ClientOptions::default()
    };
    let connecting = Client::connect(&arguments.addresses, options);
    let client = runtime.block_on(async {
        tokio::select! {
            connected = connecting => connected.map(Some),
            () = stop.notified() => Ok(None),
        }
    });
    let client = client.with_context(|| {
        let addresses = &arguments.addresses;
        format!(
            "cannot open a session at {addresses}; is `giro start` or `giro dev` running there?"
        )
    })?;
    let Some(client) = client else { return Ok(()) };
    let mut tail = Tail {
        changes: client.changes(arguments.after),
        out: BufWriter::with_capacity(OUT_BYTES, io::stdout().lock()),
        left: arguments.limit.unwrap_or(u64::MAX),
        follow: arguments.follow,
    };
    let shown = runtime.block_on(async {
        let shown = tokio::select! {
            shown = tail.show() => shown,
            () = stop.notified() => Ok(()),
        };
        shown.and_then(|()| Ok(tail.out.flush()?))
    });
    // `giro tail | head` is no error.
    if let Err(error) = &shown
        && is_closed_pipe(error)
    {
        // What is still here cannot be written any more.
        let (_, _) = tail.out.into_parts();
        return Ok(());
    }
    shown?;
    eprintln!("go on with --after={}", tail.changes.position());
    Ok(())
}

struct Tail {
    changes: Changes,
    out: BufWriter<StdoutLock<'static>>,
    /// Events still to be shown.
    left: u64,
    follow: bool,
}

impl Tail {
    /// Writes events as lines, until there are enough or no more. May be dropped wherever it
    /// waits.
    async fn show(&mut self) -> anyhow::Result<()> {
        let mut pause = PAUSE_MIN;
        while self.left > 0 {
            if !self.changes.is_ready() {
                self.out.flush()?;
            }
            match self.changes.next().await {
                Ok(Some(change)) => {
                    // The line and its end are one write, and nothing waits in between.
                    self.out.write_all(line::of(&change).as_bytes())?;
                    self.left -= 1;
                    pause = PAUSE_MIN;
                }
                Ok(None) if !self.follow => return Ok(()),
                Ok(None) => {
                    sleep(pause).await;
                    pause = (2 * pause).min(PAUSE_MAX);
                    is_read(self.out.get_ref())?;
                }
                Err(error) if self.follow && may_pass(error) => {
                    tracing::warn!(%error, "the ledger does not answer; trying again");
                    sleep(PAUSE_UNANSWERED).await;
                    is_read(self.out.get_ref())?;
                }
                Err(error) => return Err(error).context("cannot read the change feed"),
            }
        }
        Ok(())
    }
}

/// Whether a server that is restarted or busy can be the reason.
fn may_pass(error: CallError) -> bool {
    matches!(
        error,
        CallError::Refused(Refusal::Deadline | Refusal::Busy(_))
    )
}

/// An error when standard output is a pipe that nobody reads: without events no write would tell.
fn is_read(out: &StdoutLock<'_>) -> io::Result<()> {
    let mut polled = [PollFd::new(out, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec::default()))?;
    if polled[0].revents().contains(PollFlags::ERR) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(())
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Tells once when somebody asks to stop.
fn stop_on_signals() -> anyhow::Result<Arc<Notify>> {
    let stop = Arc::new(Notify::new());
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot listen for signals")?;
    let told = Arc::clone(&stop);
    std::thread::Builder::new()
        .name("giro-signals".into())
        .spawn(move || {
            if signals.forever().next().is_some() {
                told.notify_one();
                // A line may wait for a reader that reads no more.
                std::thread::sleep(LINGER);
                std::process::exit(0);
            }
        })?;
    Ok(stop)
}
