//! Ctrl-C and its like: the first ends the run, which is audited and reported so far; a second ends
//! the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use super::process::end_program;

/// A second signal so soon is the first once more: a terminal that closes, and who ends a program
/// with its whole process group, send it twice.
const ONCE_MORE: Duration = Duration::from_millis(200);

/// Listens for the signals; the flag is set by the first.
///
/// # Errors
/// The system's, when there is no further thread or descriptor.
pub(super) fn stopped_by_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let all = [SIGINT, SIGTERM, SIGHUP, SIGQUIT].into_iter();
    // Who starts a program with `nohup` wants it to outlive its terminal.
    let wanted = all.filter(|signal| *signal != SIGHUP || !is_ignored(SIGHUP));
    let mut signals = Signals::new(wanted).context("cannot listen for signals")?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let listen = move || {
        let mut first: Option<Instant> = None;
        for signal in signals.forever() {
            match first {
                // Servers do not hear of it: they are in process groups of their own.
                _ if signal == SIGQUIT => end_program(128 + signal),
                None => {
                    stopped.store(true, Ordering::Relaxed);
                    first = Some(Instant::now());
                }
                Some(first) if first.elapsed() < ONCE_MORE => {}
                Some(_) => end_program(128 + signal),
            }
        }
    };
    std::thread::Builder::new()
        .name("giro-signals".into())
        .spawn(listen)?;
    Ok(stop)
}

/// Whether whoever started this program has it ignore a signal.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
