//! Segment files: their names and what the log knows of an open one.

use std::path::{Path, PathBuf};

use giro_base::limits::{BUFFER_BYTES, SECTOR_BYTES};

use crate::storage::StorageFile;

/// Smallest segment: the largest record fits.
pub const SEGMENT_BYTES_MIN: u64 = BUFFER_BYTES as u64;
/// Segment size unless chosen otherwise.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// Largest segment: an unreasonable number is a mistake.
pub const SEGMENT_BYTES_MAX: u64 = 16 << 30;

const _: () = assert!(SEGMENT_BYTES_MIN.is_multiple_of(SECTOR_BYTES as u64));

/// A segment that is ready to be written.
pub struct SegmentFile {
    /// Its number.
    pub sequence: u64,
    /// Where it is.
    pub path: PathBuf,
    /// The file, open for [`Access::Log`](crate::storage::Access::Log); none in memory.
    pub file: Option<Box<dyn StorageFile>>,
}

/// The directory of the segments.
pub(crate) fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// Path of a segment in the log's directory.
#[must_use]
pub fn segment_path(log_dir: &Path, sequence: u64) -> PathBuf {
    log_dir.join(format!("{sequence:016x}.log"))
}

/// The name of a segment until it is ready.
pub(crate) fn unready_path(log_dir: &Path, sequence: u64) -> PathBuf {
    log_dir.join(format!("{sequence:016x}.new"))
}

pub(crate) fn is_unready(name: &str) -> bool {
    name.ends_with(".new")
}

/// The number in a segment's name; none when it is no segment.
pub(crate) fn sequence_of(name: &str) -> Option<u64> {
    let digits = name
        .strip_suffix(".log")
        .filter(|digits| digits.len() == 16)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (format!("{number:016x}") == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_their_number_back_and_others_none() {
        let path = segment_path(Path::new("d"), 0xab);
        assert_eq!(path, Path::new("d/00000000000000ab.log"));
        assert_eq!(sequence_of("00000000000000ab.log"), Some(0xab));
        for name in [
            "ab.log",
            "00000000000000AB.log",
            "00000000000000ab.new",
            "+0000000000000ab.log",
        ] {
            assert_eq!(sequence_of(name), None, "{name}");
        }
    }
}
