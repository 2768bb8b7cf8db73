//! The directory of a ledger: making one, knowing whose it is, making it a group's, and keeping
//! others out.

mod format;
mod founding;
mod identity;
mod lock;

pub use format::{format, format_on, format_with_spares};
pub use founding::found_group_on;
pub use identity::{Identity, read_identity, read_identity_on, write_identity};
pub use lock::DirLock;
