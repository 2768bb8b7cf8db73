//! The ids of a branch's legs.

use std::fmt;

use crate::limits::{BRANCH_LEGS_MAX, BRANCH_TEXT_BYTES_MAX};

/// What a branch's key comes down to: a number whose last 8 bits are zero, in which each leg and
/// each phase of it has an id. It is a 120-bit cryptographic hash, so no two keys share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BranchId(u128);

/// What a transfer is to its branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LegKind {
    /// The pending transfer that a try made. That of leg 0 stands for the branch: what became of
    /// it is the branch's state.
    Reserve = 0,
    /// The post that a confirm made.
    Confirm = 1,
    /// The void that a cancel made.
    Cancel = 2,
}

impl BranchId {
    /// That of a key, whose texts have at most [`BRANCH_TEXT_BYTES_MAX`] bytes each.
    ///
    /// It is the first 15 bytes of BLAKE3 over the lengths of both texts, one byte each, and the
    /// texts.
    ///
    /// # Panics
    /// When a text is longer.
    #[must_use]
    pub fn of(gid: &str, branch_id: &str) -> Self {
        assert!(gid.len() <= BRANCH_TEXT_BYTES_MAX);
        assert!(branch_id.len() <= BRANCH_TEXT_BYTES_MAX);
        let mut input = [0; 2 + 2 * BRANCH_TEXT_BYTES_MAX];
        let (gid, branch_id) = (gid.as_bytes(), branch_id.as_bytes());
        let length = 2 + gid.len() + branch_id.len();
        // Lengths fit a byte: see the assert below.
        input[0] = gid.len() as u8;
        input[1] = branch_id.len() as u8;
        input[2..2 + gid.len()].copy_from_slice(gid);
        input[2 + gid.len()..length].copy_from_slice(branch_id);
        let hash = blake3::hash(&input[..length]);
        let mut bytes = [0; 16];
        bytes[..15].copy_from_slice(&hash.as_bytes()[..15]);
        // Id 0 is nobody's; a hash of zeros will not be seen, and must not end the process.
        Self(u128::from_le_bytes(bytes).max(1) << 8)
    }

    /// The branch that has a leg with this id.
    #[must_use]
    pub const fn of_leg(id: u128) -> Self {
        Self(id & !0xFF)
    }

    /// The id of a leg, counted from 0.
    #[inline(always)]
    #[must_use]
    pub fn leg(self, kind: LegKind, leg: usize) -> u128 {
        debug_assert!(leg < BRANCH_LEGS_MAX);
        self.0 | (kind as u128) << 6 | leg as u128
    }

    /// As a number.
    #[inline(always)]
    #[must_use]
    pub const fn value(self) -> u128 {
        self.0
    }
}

impl fmt::Display for BranchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

const _: () = assert!(BRANCH_LEGS_MAX == 1 << 6 && BRANCH_TEXT_BYTES_MAX < 256);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_text_ends_is_part_of_the_key() {
        assert_ne!(BranchId::of("ab", "c"), BranchId::of("a", "bc"));
        assert_ne!(BranchId::of("abc", ""), BranchId::of("", "abc"));
        assert_eq!(BranchId::of("a", "bc"), BranchId::of("a", "bc"));
    }

    #[test]
    fn legs_have_ids_of_their_own_and_lead_back() {
        let branch = BranchId::of("gid-1", "01");
        let mut ids = Vec::new();
        for kind in [LegKind::Reserve, LegKind::Confirm, LegKind::Cancel] {
            ids.extend((0..BRANCH_LEGS_MAX).map(|leg| branch.leg(kind, leg)));
        }
        assert!(ids.iter().all(|id| BranchId::of_leg(*id) == branch));
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    /// Ids are in logs and histories: they must never be worked out in another way.
    #[test]
    fn ids_stay_what_they_are() {
        let id = BranchId::of("gid-1", "01").to_string();
        assert_eq!(id, "8d49d75a0f8ae359dd1457d7f1963000");
    }
}
