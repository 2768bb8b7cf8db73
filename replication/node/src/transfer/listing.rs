//! Which files a checkpoint consists of. There are no names in it, only kinds and generations.
//!
//! ```text
//! file   kind 2 | zeros 6 | first generation 8 | last generation 8 | pages 8 | fingerprint 16
//! ```
//!
//! Segments, then runs, then pieces; each kind covers all generations from 0 on, without a gap.

use giro_store::page::{Kind, PAGE_BYTES};

use super::error::TransferError;

const FILE_BYTES: usize = 48;
/// Most bytes of a listing: 349,525 files, of hundreds of thousands of generations.
pub(super) const LISTING_BYTES_MAX: usize = 16 << 20;
/// Most pages of a file: 1 TiB.
const PAGES_MAX: u64 = (1 << 40) / PAGE_BYTES as u64;

/// A file of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// What it is.
    pub kind: Kind,
    /// First generation in it.
    pub first: u64,
    /// Last one.
    pub last: u64,
    /// How many pages it has.
    pub pages: u64,
    /// Tells it from others of its kind and generations.
    pub fingerprint: u128,
}

impl ListedFile {
    /// Its length.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.pages * PAGE_BYTES as u64
    }
}

/// The bytes of a listing.
#[must_use]
pub fn encode_listing(files: &[ListedFile]) -> Vec<u8> {
    let mut out = Vec::with_capacity(files.len() * FILE_BYTES);
    for file in files {
        out.extend_from_slice(&u64::from(file.kind as u16).to_le_bytes());
        for number in [file.first, file.last, file.pages] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&file.fingerprint.to_le_bytes());
    }
    out
}

/// Reads a listing.
///
/// # Errors
/// [`TransferError::Bad`] when it is none of a whole checkpoint.
pub fn decode_listing(bytes: &[u8]) -> Result<Vec<ListedFile>, TransferError> {
    let (files, rest) = bytes.as_chunks::<FILE_BYTES>();
    let bad = |reason| Err(TransferError::Bad(reason));
    if !rest.is_empty() || bytes.len() > LISTING_BYTES_MAX {
        return bad("the listing has a wrong length");
    }
    let mut listed = Vec::with_capacity(files.len());
    for file in files {
        let Some(file) = decode_file(file) else {
            return bad("the listing has a file that cannot be");
        };
        listed.push(file);
    }
    let ends = [Kind::Segment, Kind::Run, Kind::Checkpoint].map(|kind| end_of(&listed, kind));
    match ends {
        [Some(segments), Some(runs), Some(pieces)] if segments == runs && runs == pieces => {}
        _ => return bad("the listing is not that of a whole checkpoint"),
    }
    if !listed.is_sorted_by_key(|file| file.kind as u16) {
        return bad("the listing has no order");
    }
    Ok(listed)
}

fn decode_file(bytes: &[u8; FILE_BYTES]) -> Option<ListedFile> {
    let mut numbers = bytes.as_chunks().0.iter().map(|n| u64::from_le_bytes(*n));
    let mut next = || numbers.next().unwrap_or_default();
    let kind = match next() {
        1 => Kind::Segment,
        2 => Kind::Run,
        3 => Kind::Checkpoint,
        _ => return None,
    };
    let (first, last, pages) = (next(), next(), next());
    let fingerprint = u128::from(next()) | u128::from(next()) << 64;
    let is_sound = first <= last && last < u64::MAX && (1..=PAGES_MAX).contains(&pages);
    let is_one = kind != Kind::Segment || first == last;
    (is_sound && is_one).then_some(ListedFile {
        kind,
        first,
        last,
        pages,
        fingerprint,
    })
}

/// The generation behind the last one that files of this kind have, from 0 on and without a gap.
fn end_of(files: &[ListedFile], kind: Kind) -> Option<u64> {
    let mut end = 0;
    for file in files.iter().filter(|file| file.kind == kind) {
        if file.first != end {
            return None;
        }
        end = file.last + 1;
    }
    (end > 0).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: Kind, first: u64, last: u64) -> ListedFile {
        ListedFile {
            kind,
            first,
            last,
            pages: 2,
            fingerprint: 5 << 90 | 1,
        }
    }

    fn whole() -> Vec<ListedFile> {
        vec![
            file(Kind::Segment, 0, 0),
            file(Kind::Segment, 1, 1),
            file(Kind::Run, 0, 1),
            file(Kind::Checkpoint, 0, 0),
            file(Kind::Checkpoint, 1, 1),
        ]
    }

    #[test]
    fn a_listing_is_read_as_it_was_written() {
        assert_eq!(decode_listing(&encode_listing(&whole())).unwrap(), whole());
    }

    #[test]
    fn only_whole_checkpoints_are_listed() {
        let refused = |files: Vec<ListedFile>| {
            decode_listing(&encode_listing(&files)).expect_err("it is no checkpoint");
        };
        refused(Vec::new());
        for left_out in 0..whole().len() {
            let mut files = whole();
            files.remove(left_out);
            refused(files);
        }
        for twice in 0..whole().len() {
            let mut files = whole();
            files.insert(twice, files[twice]);
            refused(files);
        }
        let changed = |change: fn(&mut Vec<ListedFile>)| {
            let mut files = whole();
            change(&mut files);
            refused(files);
        };
        changed(|files| files[1].last = 9);
        changed(|files| files[2].last = u64::MAX);
        changed(|files| files[3].pages = 0);
        changed(|files| files[3].pages = u64::MAX);
        changed(|files| files.swap(1, 2));
        let bytes = encode_listing(&whole());
        decode_listing(&bytes[..bytes.len() - 1]).unwrap_err();
        let mut other = bytes;
        other[0] = 4;
        decode_listing(&other).unwrap_err();
    }
}
