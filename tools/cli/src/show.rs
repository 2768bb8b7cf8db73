//! Progress on a terminal.

use giro::backup;
use giro::open::Progress;
use giro::verify::Stage;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar; nothing where there is no terminal.
pub(crate) struct Bar {
    bar: ProgressBar,
    steps: u64,
}

/// Steps between two drawings.
const STEPS_PER_DRAW: u64 = 64;

impl Bar {
    /// A bar over so many bytes, with this in front.
    pub(crate) fn new(what: &str) -> Self {
        let style =
            format!("{what} {{bar:30}} {{bytes}}/{{total_bytes}} {{bytes_per_sec}} {{msg}}");
        let style = ProgressStyle::with_template(&style).expect("a valid template");
        Self {
            bar: ProgressBar::new(0).with_style(style),
            steps: 0,
        }
    }

    /// Shows that so many bytes of all are done, and a note.
    pub(crate) fn show(&mut self, done: u64, all: u64, note: impl FnOnce() -> String) {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_PER_DRAW) || done == all {
            self.bar.set_length(all);
            self.bar.set_position(done);
            self.bar.set_message(note());
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A bar over the replay of a log.
pub(crate) struct ReplayBar(Bar);

impl ReplayBar {
    pub(crate) fn new() -> Self {
        Self(Bar::new("replaying the log"))
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        let Progress {
            bytes, bytes_total, ..
        } = progress;
        self.0
            .show(bytes, bytes_total, || format!("{} ops", progress.ops));
    }

    pub(crate) fn finish(&self) {
        self.0.finish();
    }
}

/// A bar over the first reading of a member's log.
pub(crate) struct SurveyBar(Bar);

impl SurveyBar {
    pub(crate) fn new() -> Self {
        Self(Bar::new("reading the log"))
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        let Progress {
            bytes, bytes_total, ..
        } = progress;
        self.0.show(bytes, bytes_total, || {
            format!("{} records", progress.records)
        });
    }

    pub(crate) fn finish(&self) {
        self.0.finish();
    }
}

/// Bars over a copy, one after the other.
pub(crate) struct CopyBar {
    history: Bar,
    log: Bar,
    check: ReplayBar,
}

impl CopyBar {
    pub(crate) fn new() -> Self {
        Self {
            history: Bar::new("copying the history"),
            log: Bar::new("copying the log"),
            check: ReplayBar::new(),
        }
    }

    pub(crate) fn show(&mut self, stage: backup::Stage) {
        match stage {
            backup::Stage::History { bytes, bytes_total } => {
                self.history.show(bytes, bytes_total, String::new);
            }
            backup::Stage::Log { bytes } => self.log.show(bytes, bytes, String::new),
            backup::Stage::Check(at) => self.check.show(at),
        }
    }

    pub(crate) fn finish(&self) {
        self.history.finish();
        self.log.finish();
        self.check.finish();
    }
}

/// Bars over a verification, one after the other.
pub(crate) struct VerifyBar {
    history: Bar,
    compare: Bar,
    replay: ReplayBar,
}

impl VerifyBar {
    pub(crate) fn new() -> Self {
        Self {
            history: Bar::new("checking the history"),
            compare: Bar::new("comparing log and history"),
            replay: ReplayBar::new(),
        }
    }

    pub(crate) fn show(&mut self, stage: Stage) {
        match stage {
            Stage::History(at) => {
                let bytes = |pages| pages * 4096;
                let (done, all) = (bytes(at.pages_done), bytes(at.pages));
                self.history.show(done, all, String::new);
            }
            Stage::Compare(at) => {
                let note = || format!("{} ops", at.ops);
                self.compare.show(at.bytes, at.bytes_total, note);
            }
            Stage::Replay(at) => self.replay.show(at),
        }
    }

    pub(crate) fn finish(&self) {
        self.history.finish();
        self.compare.finish();
        self.replay.finish();
    }
}
