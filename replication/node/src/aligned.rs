//! Shared bytes that ops can be read from where they lie.

use bytes::Bytes;
use zerocopy::IntoBytes;

/// Alignment that ops need.
const ALIGN: usize = 16;

struct Units {
    units: Vec<u128>,
    bytes: usize,
}

impl AsRef<[u8]> for Units {
    fn as_ref(&self) -> &[u8] {
        &self.units.as_bytes()[..self.bytes]
    }
}

/// A copy of the bytes, aligned to 16.
#[must_use]
pub fn aligned(bytes: &[u8]) -> Bytes {
    let mut units = vec![0_u128; bytes.len().div_ceil(ALIGN)];
    units.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    let bytes = bytes.len();
    Bytes::from_owner(Units { units, bytes })
}

/// The bytes themselves where they are aligned to 16, else a copy.
pub(crate) fn into_aligned(bytes: Bytes) -> Bytes {
    if bytes.as_ptr().addr().is_multiple_of(ALIGN) {
        bytes
    } else {
        aligned(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_aligned_and_those_that_were_are_not_copied() {
        let whole = aligned(&[7; 100]);
        assert_eq!(whole, [7; 100].as_slice());
        let at = whole.as_ptr();
        assert!(at.addr().is_multiple_of(ALIGN));
        assert_eq!(into_aligned(whole.clone()).as_ptr(), at);
        let odd = into_aligned(whole.slice(1..));
        assert_eq!(odd, [7; 99].as_slice());
        assert!(odd.as_ptr().addr().is_multiple_of(ALIGN));
    }
}
