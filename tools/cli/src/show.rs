//! Progress on a terminal.

use giro::open::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar over the replay of a log; nothing where there is no terminal.
pub(crate) struct ReplayBar {
    bar: ProgressBar,
    records: u64,
}

/// Records between two drawings.
const RECORDS_PER_DRAW: u64 = 64;

impl ReplayBar {
    pub(crate) fn new() -> Self {
        let style = "replaying the log {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}";
        let style = ProgressStyle::with_template(style).expect("a valid template");
        Self {
            bar: ProgressBar::new(0).with_style(style),
            records: 0,
        }
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        self.records += 1;
        if self.records.is_multiple_of(RECORDS_PER_DRAW) {
            self.bar.set_length(progress.bytes_total);
            self.bar.set_position(progress.bytes);
            self.bar.set_message(format!("{} ops", progress.ops));
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
