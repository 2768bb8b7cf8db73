//! Where a pending transfer stands.

/// Where a pending transfer stands; other transfers are always `Single`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not a pending transfer.
    Single = 0,
    /// Open: its amount is reserved.
    Pending = 1,
    /// Closed by a post.
    Posted = 2,
    /// Closed by a void.
    Voided = 3,
    /// Closed by its timeout.
    Expired = 4,
}

impl Phase {
    /// The phase stored as this byte.
    ///
    /// # Panics
    /// On a byte that no phase has: only this crate writes them.
    #[must_use]
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Single,
            1 => Self::Pending,
            2 => Self::Posted,
            3 => Self::Voided,
            4 => Self::Expired,
            _ => unreachable!("phase {byte}"),
        }
    }
}
