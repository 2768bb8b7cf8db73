//! The state digest, after `docs/internals/digest.md`.

use giro_base::Account;

const K: [u64; 4] = [
    0x9E37_79B9_7F4A_7C15,
    0xD1B5_4A32_D192_ED03,
    0xA076_1D64_78BD_642F,
    0xE703_7ED1_A0B4_28DB,
];

/// The digest's two lanes.
pub(super) struct Digest {
    a: u64,
    b: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { a: K[0], b: K[1] }
    }
}

impl Digest {
    pub(super) fn absorb(&mut self, x: u64, y: u64) {
        self.a = mix(self.a ^ x, K[2] ^ y);
        self.b = mix(self.b ^ y, K[3] ^ x).wrapping_add(K[0]);
    }

    pub(super) fn value(&self) -> u128 {
        (u128::from(self.a) << 64) + u128::from(self.b)
    }
}

/// What a created account adds.
pub(super) fn of_account(id: u128) -> u64 {
    let [low, high] = halves(id);
    low ^ high
}

/// What a transfer or an expiry adds, from its accounts right after it.
pub(super) fn of_balances(debit: &Account, credit: &Account) -> u64 {
    let dr = mix(
        narrow(debit.debits_pending) ^ K[0],
        narrow(debit.debits_posted) ^ K[1],
    );
    let cr = mix(
        narrow(credit.credits_pending) ^ K[2],
        narrow(credit.credits_posted) ^ K[3],
    );
    dr.rotate_left(17) ^ cr
}

/// A balance in 64 bits: the low half, and the high half with its own halves swapped.
fn narrow(balance: u128) -> u64 {
    let [low, high] = halves(balance);
    low ^ high.rotate_left(32)
}

/// The two halves of the 128-bit product, one xor the other.
fn mix(x: u64, y: u64) -> u64 {
    let [low, high] = halves(u128::from(x) * u128::from(y));
    low ^ high
}

fn halves(value: u128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}
