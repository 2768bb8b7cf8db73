//! Branches of TCC transactions: what is kept of those that are open, and how requests about them
//! become transfers. [`crate::decide`] has the rules, `docs/reference/tcc.md` the table.
//!
//! A branch's legs are transfers like any other, with ids worked out from the branch's key. What
//! became of the pending transfer of its first leg is the branch's state, for ever: the history
//! remembers ids. So the only store of branches is that of the open ones, for their texts.

mod expand;
mod open;
mod reading;
mod restore;
mod texts;

pub use self::expand::{Expanded, Span};
pub use self::open::{Alarms, NewBranch, Open, OpenBranches};
pub use self::reading::{Known, PROBES, has_further_leg, is_leg, probes, settled_info};
