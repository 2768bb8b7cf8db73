//! Memory for received frames: aligned for what lies in them, and used again.

use std::sync::Arc;

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;
use zerocopy::IntoBytes;

/// Frames from here on take memory that is used again; the system gives smaller ones cheaply.
const POOLED_BYTES_MIN: usize = 64 << 10;
/// Pieces of memory that are kept for the next frames.
const KEPT_MAX: usize = 64;

/// Where frames are received. Payloads of the frame share its memory for as long as they live.
#[derive(Clone)]
pub(super) struct FrameMemory {
    kept: Arc<ArrayQueue<Vec<u128>>>,
}

/// A frame that is being received.
pub(super) struct Room {
    words: Vec<u128>,
    bytes: usize,
    kept: Arc<ArrayQueue<Vec<u128>>>,
}

impl FrameMemory {
    pub(super) fn new() -> Self {
        Self {
            kept: Arc::new(ArrayQueue::new(KEPT_MAX)),
        }
    }

    /// Room for a frame of this many bytes.
    pub(super) fn room(&self, bytes: usize) -> Room {
        let mut words = if bytes >= POOLED_BYTES_MIN {
            self.kept.pop().unwrap_or_default()
        } else {
            Vec::new()
        };
        let needed = bytes.div_ceil(size_of::<u128>());
        // Memory that was used before is overwritten, not cleared.
        if words.len() < needed {
            words.resize(needed, 0);
        }
        let kept = Arc::clone(&self.kept);
        Room { words, bytes, kept }
    }
}

impl Room {
    /// All of it.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.words.as_mut_bytes()[..self.bytes]
    }

    /// The frame; its memory comes back when the last payload is gone.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        &self.words.as_bytes()[..self.bytes]
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let words = std::mem::take(&mut self.words);
        if words.len() * size_of::<u128>() >= POOLED_BYTES_MIN {
            // When enough are kept, this one goes back to the system.
            let _ = self.kept.push(words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_large_frames_comes_back_when_the_last_part_is_gone() {
        let memory = FrameMemory::new();
        let mut room = memory.room(POOLED_BYTES_MIN + 5);
        room.bytes_mut().fill(7);
        let place = room.bytes_mut().as_ptr();
        let frame = room.freeze();
        assert_eq!(frame.len(), POOLED_BYTES_MIN + 5);
        assert!(frame.iter().all(|byte| *byte == 7));
        let part = frame.slice(100..200);
        drop(frame);
        assert!(memory.kept.is_empty(), "a part of it is still used");
        drop(part);
        assert_eq!(memory.kept.len(), 1);
        let mut again = memory.room(POOLED_BYTES_MIN + 1);
        assert_eq!(again.bytes_mut().as_ptr(), place);
        assert_eq!(again.bytes_mut().len(), POOLED_BYTES_MIN + 1);
    }

    #[test]
    fn frames_are_aligned_for_the_records_in_them() {
        let memory = FrameMemory::new();
        for bytes in [1, 192, 4096, POOLED_BYTES_MIN * 2 + 3] {
            let frame = memory.room(bytes).freeze();
            assert!(frame.as_ptr().addr().is_multiple_of(16));
        }
    }
}
