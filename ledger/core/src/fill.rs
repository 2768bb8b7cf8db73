//! How much a generation is expected to have of everything: so much of its memory is made resident
//! before it is written to. The first touch of a page takes the system as long as executing some
//! hundred transfers, on a virtual machine many times that.

use giro_base::Ahead;

/// Makes memory resident, a piece of each in turn: it is needed at the same time.
pub fn make_resident(mut memory: Vec<Ahead>) {
    while !memory.is_empty() {
        memory.retain_mut(Ahead::make_resident);
    }
}

/// Counts of what a generation has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Transfers.
    pub rows: usize,
    /// Posts and voids among them.
    pub closings: usize,
    /// Accounts they changed.
    pub openings: usize,
    /// Ids that failed for good.
    pub burned: usize,
    /// Branches that were tried.
    pub branches: usize,
    /// [Units](crate::generation::TEXT_UNIT_BYTES) of these branches' texts.
    pub text_units: usize,
    /// Ends of pending transfers of earlier generations.
    pub ends: usize,
}

impl Fill {
    /// Transfers, and nothing else.
    #[must_use]
    pub fn of_rows(rows: usize) -> Self {
        Self {
            rows,
            ..Self::default()
        }
    }

    /// Applies a function to each count.
    #[must_use]
    fn map2(self, other: Self, of: impl Fn(usize, usize) -> usize) -> Self {
        Self {
            rows: of(self.rows, other.rows),
            closings: of(self.closings, other.closings),
            openings: of(self.openings, other.openings),
            burned: of(self.burned, other.burned),
            branches: of(self.branches, other.branches),
            text_units: of(self.text_units, other.text_units),
            ends: of(self.ends, other.ends),
        }
    }

    /// What a generation will have that has this when one of so many `parts` of it is filled. Most
    /// accounts it will change are among those it has changed.
    #[must_use]
    pub fn at_its_end(self, parts: usize) -> Self {
        Self {
            openings: self.openings + self.openings / 8,
            ..self.map2(self, |count, _| parts * count)
        }
    }

    /// An eighth more of everything but transfers: no two generations are quite the same.
    #[must_use]
    pub fn with_margin(self) -> Self {
        Self {
            rows: self.rows,
            ..self.map2(self, |count, _| count + count / 8)
        }
    }

    /// The larger of each count.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.map2(other, usize::max)
    }

    /// Whether any count is larger than the other's.
    #[must_use]
    pub fn exceeds(self, other: Self) -> bool {
        self.max(other) != other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_expected_to_go_on_as_it_began() {
        let half = Fill {
            rows: 1000,
            closings: 400,
            openings: 80,
            ..Fill::default()
        };
        let whole = half.at_its_end(2).with_margin();
        assert_eq!((whole.rows, whole.closings, whole.branches), (2000, 900, 0));
        assert_eq!(whole.openings, 101);
        assert_eq!(half.at_its_end(16).closings, 6400);
        assert!(whole.exceeds(half) && !half.exceeds(whole) && !half.exceeds(half));
        let with_branches = Fill {
            branches: 1,
            ..half
        };
        assert!(with_branches.exceeds(whole));
        let both = with_branches.max(whole);
        assert!(!with_branches.exceeds(both) && !whole.exceeds(both));
        assert_eq!(Fill::of_rows(7).max(both).rows, 2000);
    }
}
