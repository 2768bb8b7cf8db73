//! Pages: the unit every file of the history is made of, and how a page proves that it is whole
//! and lies where it belongs.

use giro_base::checksum;

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;
/// Bytes of a page in front of its checksum.
pub const PAYLOAD_BYTES: usize = PAGE_BYTES - 16;

/// A page with its checksum.
pub type Page = [u8; PAGE_BYTES];
/// What a page holds.
pub type Payload = [u8; PAYLOAD_BYTES];

/// What kind of file a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// Transfers of one generation, and their indexes.
    Segment = 1,
    /// Ids of some generations.
    Run = 2,
    /// A piece of the checkpoint: what some generations changed.
    Checkpoint = 3,
}

/// Who a file is: its ledger, its kind and the generations it holds. Part of each page's
/// checksum, so that a page of another file is not taken for one of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileTag(u128);

impl FileTag {
    /// The tag of a file that holds generations `first` to `last`.
    #[must_use]
    pub fn new(cluster: u128, kind: Kind, first: u64, last: u64) -> Self {
        let mut bytes = [0; 34];
        bytes[..16].copy_from_slice(&cluster.to_le_bytes());
        bytes[16..24].copy_from_slice(&first.to_le_bytes());
        bytes[24..32].copy_from_slice(&last.to_le_bytes());
        bytes[32..].copy_from_slice(&(kind as u16).to_le_bytes());
        Self(checksum(&bytes))
    }

    fn of_page(self, page: u64) -> u128 {
        self.0.wrapping_add(u128::from(page))
    }
}

/// Puts the checksum behind a page's payload.
pub fn seal(bytes: &mut Page, tag: FileTag, page: u64) {
    let sum = checksum(&bytes[..PAYLOAD_BYTES]) ^ tag.of_page(page);
    bytes[PAYLOAD_BYTES..].copy_from_slice(&sum.to_le_bytes());
}

/// The payload of a page that is whole and in its place; none otherwise.
#[must_use]
pub fn open(bytes: &Page, tag: FileTag, page: u64) -> Option<&Payload> {
    let (payload, sum) = bytes.split_first_chunk::<PAYLOAD_BYTES>()?;
    let expected = checksum(payload) ^ tag.of_page(page);
    (*sum == expected.to_le_bytes()).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_only_believed_whole_and_in_its_place() {
        let tag = FileTag::new(7, Kind::Segment, 3, 3);
        let mut page = [0; PAGE_BYTES];
        page[9] = 1;
        seal(&mut page, tag, 5);
        assert!(open(&page, tag, 5).is_some());
        assert!(open(&page, tag, 6).is_none());
        for other in [
            FileTag::new(8, Kind::Segment, 3, 3),
            FileTag::new(7, Kind::Run, 3, 3),
            FileTag::new(7, Kind::Segment, 2, 3),
            FileTag::new(7, Kind::Segment, 3, 4),
        ] {
            assert!(open(&page, other, 5).is_none());
        }
        for byte in 0..PAGE_BYTES {
            page[byte] ^= 0x10;
            assert!(open(&page, tag, 5).is_none(), "byte {byte}");
            page[byte] ^= 0x10;
        }
        assert!(open(&[0; PAGE_BYTES], tag, 0).is_none());
    }
}
