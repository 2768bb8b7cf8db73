//! The state digest: one number that two ledgers share only if every outcome and every balance
//! on the way was the same. `docs/internals/digest.md` defines it.

use giro_base::hash::fold;

/// A running digest over all executed operations. Not cryptographic: it finds faults, not forgers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    lanes: [u64; 2],
}

const KEYS: [u64; 4] = [
    0x9e37_79b9_7f4a_7c15,
    0xd1b5_4a32_d192_ed03,
    0xa076_1d64_78bd_642f,
    0xe703_7ed1_a0b4_28db,
];

impl Digest {
    /// The digest of a ledger in which nothing has happened.
    pub const EMPTY: Self = Self {
        lanes: [KEYS[0], KEYS[1]],
    };

    /// Continues with two words.
    #[inline(always)]
    pub fn add(&mut self, first: u64, second: u64) {
        self.lanes[0] = fold(self.lanes[0] ^ first, KEYS[2] ^ second);
        self.lanes[1] = fold(self.lanes[1] ^ second, KEYS[3] ^ first).wrapping_add(KEYS[0]);
    }

    /// The digest as one number.
    #[must_use]
    pub fn value(&self) -> u128 {
        u128::from(self.lanes[0]) << 64 | u128::from(self.lanes[1])
    }

    /// The digest with this value.
    #[must_use]
    pub fn from_value(value: u128) -> Self {
        Self {
            lanes: [(value >> 64) as u64, value as u64],
        }
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.value())
    }
}

/// What an event did to the balances, in one word: the debit side's and the credit side's pending
/// and posted amounts right after it.
#[inline(always)]
#[must_use]
pub fn effect(debits: [u128; 2], credits: [u128; 2]) -> u64 {
    let word = |value: u128| value as u64 ^ ((value >> 64) as u64).rotate_left(32);
    let debit = fold(word(debits[0]) ^ KEYS[0], word(debits[1]) ^ KEYS[1]);
    let credit = fold(word(credits[0]) ^ KEYS[2], word(credits[1]) ^ KEYS[3]);
    debit.rotate_left(17) ^ credit
}
