//! What transfers and expiries do to an account's balances, worked out again.

pub use giro_core::replay::{AccountState, Closes, Side, States};

use crate::format::ClosingRecord;

impl Closes for ClosingRecord {
    fn pending_amount(&self) -> u128 {
        self.pending_amount
    }

    fn pending_flags(&self) -> u16 {
        self.pending_flags
    }
}
