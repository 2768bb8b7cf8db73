//! Cursors: queries over one segment, a bounded piece of work at a time.
//!
//! A [`Walk`] opens a cursor on one segment of the history after the other, in the order its query
//! wants rows. Each call to `step` reads about as many pages as it is told and then returns, so
//! that a query never keeps payments waiting. A cursor can be kept between calls, and sent to
//! another thread with a reader of its own.

mod balances;
mod changes;
mod select;
mod transfers;
mod walk;

pub use balances::{BalanceCursor, BalanceRow};
pub use changes::ChangeCursor;
pub use select::{AccountSides, Select, Window};
pub use transfers::{Row, TransferCursor};
pub use walk::{Cursor, Walk};

/// Whether a cursor has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be more.
    More,
    /// There is no more in this segment.
    Done,
}
