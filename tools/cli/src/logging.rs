//! Where log lines go: standard error, so that standard output stays for answers.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging; `GIRO_LOG` chooses what is shown (`info` unless set; `debug`, `giro=trace`).
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("GIRO_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours);
    lines.with_writer(std::io::stderr).init();
}
