//! Shared bytes that ops can be read from where they lie.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use giro_replication::limits::ENTRY_BYTES_MAX;
use zerocopy::IntoBytes;

/// Alignment that ops need.
const ALIGN: usize = 16;
/// Copies from here on take memory that is used again: all pieces have the size of the largest.
const REUSED_FROM: usize = ENTRY_BYTES_MAX / 2;
const UNITS_MAX: usize = ENTRY_BYTES_MAX.div_ceil(ALIGN);
/// Pieces that are kept for the next copies.
const SPARES_MAX: usize = 8;

struct Units {
    units: Vec<u128>,
    bytes: usize,
    /// Where the memory goes when nobody needs it any more.
    home: Option<SyncSender<Vec<u128>>>,
}

impl Drop for Units {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            // More than are kept are given back to the system.
            let _ = home.try_send(std::mem::take(&mut self.units));
        }
    }
}

/// Makes copies, the large ones in memory that earlier ones have left: the system would have to
/// clear a MiB for each, page by page.
pub(crate) struct Copies {
    spares: Receiver<Vec<u128>>,
    home: SyncSender<Vec<u128>>,
}

impl Copies {
    pub(crate) fn new() -> Self {
        let (home, spares) = sync_channel(SPARES_MAX);
        Self { spares, home }
    }

    /// As [`aligned`].
    pub(crate) fn of(&self, bytes: &[u8]) -> Bytes {
        if !(REUSED_FROM..=ENTRY_BYTES_MAX).contains(&bytes.len()) {
            return aligned(bytes);
        }
        let spare = self.spares.try_recv();
        let mut units = spare.unwrap_or_else(|_| vec![0; UNITS_MAX]);
        units.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        Bytes::from_owner(Units {
            units,
            bytes: bytes.len(),
            home: Some(self.home.clone()),
        })
    }
}

impl AsRef<[u8]> for Units {
    fn as_ref(&self) -> &[u8] {
        &self.units.as_bytes()[..self.bytes]
    }
}

/// A copy of the bytes, aligned to 16.
#[must_use]
pub fn aligned(bytes: &[u8]) -> Bytes {
    // Zeros that are written over at once would cost as much as the copy.
    let (whole, rest) = bytes.as_chunks::<ALIGN>();
    let mut units: Vec<u128> = Vec::with_capacity(bytes.len().div_ceil(ALIGN));
    let unit = |unit: &[u8; ALIGN]| -> u128 { zerocopy::transmute!(*unit) };
    units.extend(whole.iter().map(unit));
    if !rest.is_empty() {
        let mut last = [0_u8; ALIGN];
        last[..rest.len()].copy_from_slice(rest);
        units.push(unit(&last));
    }
    let bytes = bytes.len();
    Bytes::from_owner(Units {
        units,
        bytes,
        home: None,
    })
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
    fn large_copies_use_the_memory_of_earlier_ones_and_no_copy_changes() {
        let copies = Copies::new();
        let first = copies.of(&[1; ENTRY_BYTES_MAX]);
        let kept = first.slice(5..10);
        let at = first.as_ptr();
        drop(first);
        let other = copies.of(&[2; REUSED_FROM]);
        assert_ne!(other.as_ptr(), at, "a part of it is still there");
        assert_eq!(kept, [1; 5].as_slice());
        drop(kept);
        let again = copies.of(&[3; REUSED_FROM + 1]);
        assert_eq!(again.as_ptr(), at);
        assert_eq!(again, [3; REUSED_FROM + 1].as_slice());
        assert_eq!(other, [2; REUSED_FROM].as_slice());
        assert_eq!(copies.of(&[4; 33]), [4; 33].as_slice());
        let many: Vec<_> = (0..2 * SPARES_MAX)
            .map(|_| copies.of(&[5; REUSED_FROM]))
            .collect();
        drop((many, other, again));
        assert_eq!(copies.spares.try_iter().count(), SPARES_MAX);
        // They may outlive what made them.
        let last = copies.of(&[6; REUSED_FROM]);
        drop(copies);
        assert_eq!(last, [6; REUSED_FROM].as_slice());
    }

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
