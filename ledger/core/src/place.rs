//! Where a transfer or an account that an event names lies, in 32 bits.

/// The absence of a slot, row or event.
pub const NONE: u32 = u32::MAX;

/// The history on disk may know it: to be asked before the operation is decided.
pub const ASK: u32 = PAST | LOW;

const PAST: u32 = 1 << 30;
const BURNED: u32 = 2 << 30;
const OLDER: u32 = 3 << 30;
const LOW: u32 = PAST - 1;

/// Where a transfer's id leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// A row in memory, shortened ([`crate::window::Window::row_at`]).
    Row(u32),
    /// An answer of the history on disk: which of the operation's.
    Past(u32),
    /// A burned id, by its shortened number; answers of the history have none.
    Burned(u32),
    /// A slot among the older open pending transfers.
    Older(u32),
}

impl Stored {
    /// What this place, which is not [`NONE`], stands for.
    #[inline(always)]
    #[must_use]
    pub fn of(place: u32) -> Self {
        let low = place & LOW;
        match place >> 30 {
            0 => Self::Row(low),
            1 => Self::Past(low),
            2 => Self::Burned(low),
            _ => Self::Older(low),
        }
    }

    /// The same for a place in the index of recent transfers, which has two kinds.
    #[inline(always)]
    #[must_use]
    pub fn in_window(place: u32) -> Self {
        if place & BURNED == 0 {
            Self::Row(place)
        } else {
            Self::Burned(place & LOW)
        }
    }

    /// As a place.
    #[inline(always)]
    #[must_use]
    pub fn place(self) -> u32 {
        match self {
            Self::Row(low) => low,
            Self::Past(low) => PAST | low,
            Self::Burned(low) => BURNED | low,
            Self::Older(low) => OLDER | low,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        for low in [0, 1, LOW - 1] {
            for stored in [
                Stored::Row(low),
                Stored::Past(low),
                Stored::Burned(low),
                Stored::Older(low),
            ] {
                assert_eq!(Stored::of(stored.place()), stored);
                assert!(stored.place() != NONE && stored.place() != ASK);
                let is_recent = matches!(stored, Stored::Row(_) | Stored::Burned(_));
                assert_eq!(Stored::in_window(stored.place()) == stored, is_recent);
            }
        }
    }
}
