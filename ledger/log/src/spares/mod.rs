//! Segments made ahead of need: zero-written, flushed and named before the log gets them.
//!
//! What it guarantees: segment numbers have no gap and are never given twice; a segment handed
//! out is durable as a file, and never extended in place.
//!
//! Where to start reading: [`Workshop::prepare`] makes one; [`Background`] does so on a thread,
//! [`Inline`] in the caller's (simulation, tests), [`InMemory`] without files.

mod background;
mod inline;
mod workshop;

pub use background::Background;
pub use inline::{InMemory, Inline};
pub(crate) use workshop::Workshop;

use crate::error::LogError;
use crate::segment::SegmentFile;

/// Released segments that wait to be used again while enough are ready. More are removed: after a
/// peak, or a long time without checkpoints, the log gives room back.
const RECYCLABLE_MAX: usize = 2;

/// Where the log gets its next segments from.
pub trait Spares: Send {
    /// A segment is at hand.
    fn ready(&self) -> bool;
    /// The next segment, if one is at hand.
    fn take(&mut self) -> Option<SegmentFile>;
    /// The log no longer needs the oldest segment, which has this number: its file may be used
    /// again. They come oldest first.
    fn recycle(&mut self, sequence: u64);
    /// The log has closed this segment's place in the disk's table. Its name may be gone: then
    /// closing it frees its blocks, for which the log must not wait.
    fn close(&mut self, segment: SegmentFile) {
        drop(segment);
    }
    /// Why there is no segment, when one cannot be made. It is tried again by itself.
    fn failure(&self) -> Option<LogError>;
}
