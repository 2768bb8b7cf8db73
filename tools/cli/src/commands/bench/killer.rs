//! Kills the server at the peak.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context;

use super::options::RunArguments;
use super::place::Place;
use super::server::Server;

/// Waits for its moment, and does it on a thread of its own: the driver goes on asking.
pub(super) struct Killer {
    /// When (s), and whom, until it is done.
    due: Option<(f64, Arc<Mutex<Server>>)>,
    done: Option<(f64, JoinHandle<anyhow::Result<()>>)>,
}

impl Killer {
    /// One that does nothing, unless it is asked for.
    pub(super) fn new(arguments: &RunArguments, place: &Place) -> Self {
        let server = place.server().filter(|_| arguments.kill_at_peak);
        Self {
            due: server.map(|server| (arguments.middle(), server)),
            done: None,
        }
    }

    /// A second of the run is over, which began then.
    pub(super) fn look(&mut self, second: f64) {
        let is_due = |(at, _): &mut (f64, _)| second + 1.0 >= *at;
        let Some((_, server)) = self.due.take_if(is_due) else {
            return;
        };
        let kill = move || {
            let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
            server.kill_and_start()
        };
        self.done = Some((second + 1.0, std::thread::spawn(kill)));
    }

    /// When it was done (s), if it was.
    ///
    /// # Errors
    /// When the server could not be killed, or did not start again.
    pub(super) fn finish(self) -> anyhow::Result<Option<f64>> {
        let Some((second, thread)) = self.done else {
            return Ok(None);
        };
        let done = thread.join().map_err(|_| anyhow::anyhow!("a panic"));
        done.and_then(|done| done)
            .context("the server was to be killed and started again")?;
        Ok(Some(second))
    }
}
