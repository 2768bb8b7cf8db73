//! Hashing of ids into places. Never visible in results: two ledgers with other seeds answer
//! alike.

/// A keyed hash for 128-bit ids. The key is drawn when a ledger is formatted, so that clients,
/// who choose the ids, cannot aim at one bucket.
#[derive(Clone, Copy, Debug)]
pub struct IdHasher {
    key: [u64; 2],
}

impl IdHasher {
    /// A hasher with this key.
    #[must_use]
    pub const fn new(key: [u64; 2]) -> Self {
        // An odd constant keeps a zero key from swallowing its operand.
        Self {
            key: [
                key[0] ^ 0x9e37_79b9_7f4a_7c15,
                key[1] ^ 0xc2b2_ae3d_27d4_eb4f,
            ],
        }
    }

    /// 64 well-mixed bits of `id`.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self, id: u128) -> u64 {
        let low = id as u64 ^ self.key[0];
        let high = (id >> 64) as u64 ^ self.key[1];
        let first = fold(low, 0xa076_1d64_78bd_642f ^ high.rotate_left(32));
        fold(first ^ high, 0xe703_7ed1_a0b4_28db ^ self.key[0])
    }
}

/// High and low half of a 128-bit product, mixed.
#[inline(always)]
#[must_use]
pub fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
