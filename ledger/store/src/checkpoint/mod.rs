//! The checkpoint: accounts, open pending transfers and sessions at the end of a generation, in
//! pieces, one for each generation until they are merged.
//!
//! What it guarantees: the pieces that are found when it is opened are whole, and together are the
//! state at the end of the last one's last generation.
//!
//! Where to start reading: `docs/internals/checkpoint.md`, then [`changes`], which works a piece
//! out, and [`Whole`], which puts them together.

mod changes;
pub mod format;
mod mark;
mod piece;
mod whole;
mod write;

use std::sync::Arc;

pub use changes::Changes;
pub use mark::{Mark, SessionState};
pub use piece::Piece;
pub use whole::Whole;
pub use write::{merge_pieces, write_piece};

/// Pieces behind the first one from which on they are merged, if they are large enough.
const PIECES_MIN: usize = 4;
/// From so many on they are merged however small they are.
const PIECES_MAX: usize = 64;

/// Whether it is time to make one piece of these.
#[must_use]
pub fn is_mergeable(pieces: &[Arc<Piece>]) -> bool {
    let Some((oldest, behind)) = pieces.split_first() else {
        return false;
    };
    let pages: u64 = behind.iter().map(|piece| piece.pages()).sum();
    behind.len() >= PIECES_MAX || (behind.len() >= PIECES_MIN && pages >= oldest.pages())
}
