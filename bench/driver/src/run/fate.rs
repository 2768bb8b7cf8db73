//! What became of a job, as far as the target said.

use std::ops::RangeInclusive;

use crate::target::StepError;

/// How many of a job's steps took effect, at least and at most. They follow each other, so what
/// was acknowledged has happened, and what comes behind a failure was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    least: u8,
    most: u8,
}

/// More steps than a job has.
const ALL: u8 = u8::MAX;

impl Fate {
    /// All steps were answered, and rightly.
    pub const DONE: Self = Self {
        least: ALL,
        most: ALL,
    };
    /// None was sent, or the target says that nothing happened.
    pub const NOTHING: Self = Self { least: 0, most: 0 };
    /// Nobody came back to tell.
    pub const UNKNOWN: Self = Self {
        least: 0,
        most: ALL,
    };

    /// So many steps were acknowledged, and the next one was answered with this error.
    #[must_use]
    pub fn failed(acknowledged: usize, error: &StepError) -> Self {
        let least = u8::try_from(acknowledged).unwrap_or(ALL);
        let most = match error {
            StepError::Refused(_) => least,
            StepError::Unknown(_) | StepError::Wrong(_) => least.saturating_add(1),
        };
        Self { least, most }
    }

    /// Whether it is known how many steps took effect.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.least == self.most
    }

    /// The fewest and the most steps that took effect, of a job with so many.
    #[must_use]
    pub fn steps(self, of: usize) -> RangeInclusive<usize> {
        usize::from(self.least).min(of)..=usize::from(self.most).min(of)
    }
}
