//! Spares without a thread: made when they are asked for, or without files.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{RECYCLABLE_MAX, Spares, Workshop};
use crate::error::LogError;
use crate::segment::SegmentFile;

/// Makes segments in the caller's thread: for simulation and tests, which must be repeatable.
pub struct Inline {
    state: Mutex<State>,
    count: usize,
}

struct State {
    workshop: Workshop,
    ready: VecDeque<SegmentFile>,
    failure: Option<LogError>,
}

impl Inline {
    pub(crate) fn new(workshop: Workshop, found: Vec<SegmentFile>, count: usize) -> Self {
        let state = State {
            workshop,
            ready: found.into(),
            failure: None,
        };
        Self {
            state: Mutex::new(state),
            count,
        }
    }

    /// The state after trying to have `count` segments.
    fn stocked(&self, count: usize) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.ready.len() < count {
            match state.workshop.prepare(&|| false) {
                Ok(segment) => {
                    state.ready.push_back(segment);
                    state.failure = None;
                }
                Err(error) => {
                    state.failure = Some(error);
                    break;
                }
            }
        }
        state
    }
}

impl Spares for Inline {
    fn ready(&self) -> bool {
        !self.stocked(1).ready.is_empty()
    }

    fn take(&mut self) -> Option<SegmentFile> {
        let segment = self.stocked(1).ready.pop_front()?;
        drop(self.stocked(self.count));
        Some(segment)
    }

    fn recycle(&mut self, sequence: u64) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.workshop.recycle(sequence);
        if state.ready.len() >= self.count
            && let Err(error) = state.workshop.trim(RECYCLABLE_MAX)
        {
            state.failure = Some(error);
        }
    }

    fn failure(&self) -> Option<LogError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failure.as_ref().map(LogError::again)
    }
}

/// Segments that are no files.
#[derive(Debug, Default)]
pub struct InMemory {
    /// Number given out last.
    pub(crate) last: u64,
}

impl Spares for InMemory {
    fn ready(&self) -> bool {
        true
    }

    fn take(&mut self) -> Option<SegmentFile> {
        self.last += 1;
        Some(SegmentFile {
            sequence: self.last,
            path: PathBuf::from("memory"),
            file: None,
        })
    }

    fn recycle(&mut self, _: u64) {}

    fn failure(&self) -> Option<LogError> {
        None
    }
}
