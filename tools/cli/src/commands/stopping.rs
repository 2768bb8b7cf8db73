//! Ending well on SIGTERM and SIGINT, from a server's first moment on.

use std::sync::{Arc, Mutex};

use anyhow::Context;
use giro_gateway::Gateway;
use giro_server::Handle;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Listens for the signals.
pub(crate) struct StopSignals {
    serving: Arc<Mutex<Option<Serving>>>,
}

/// What is asked to end.
struct Serving {
    handle: Handle,
    gateway: Option<Gateway>,
}

impl StopSignals {
    /// Listens from now on. A signal ends the process at once as long as nothing [serves]: nobody
    /// was told anything yet, and opening a ledger may end anywhere.
    ///
    /// [serves]: Self::serve
    ///
    /// # Errors
    /// The system's, when there is no further thread or descriptor.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot listen for signals")?;
        let serving: Arc<Mutex<Option<Serving>>> = Arc::default();
        let asked = Arc::clone(&serving);
        std::thread::Builder::new()
            .name("giro-signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    let mut asked = asked.lock().expect("nobody panics with it");
                    let Some(serving) = asked.as_mut() else {
                        tracing::info!(signal, "stopped before it served anybody");
                        std::process::exit(0);
                    };
                    tracing::info!(signal, "stopping");
                    // First the edge, whose requests in flight need the ledger.
                    if let Some(gateway) = serving.gateway.take() {
                        gateway.stop();
                    }
                    serving.handle.stop();
                }
            })?;
        Ok(Self { serving })
    }

    /// From now on a signal ends these, which answer what they have taken.
    pub(crate) fn serve(&self, handle: Handle, gateway: Option<Gateway>) {
        let mut serving = self.serving.lock().expect("nobody panics with it");
        *serving = Some(Serving { handle, gateway });
    }
}
