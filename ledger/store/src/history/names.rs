//! Names of the history's files.

use std::path::{Path, PathBuf};

use crate::writer::TEMPORARY;

/// The directories and names under a ledger's directory.
#[derive(Clone, Debug)]
pub struct Names {
    /// Segments.
    pub segments: PathBuf,
    /// Id runs.
    pub ids: PathBuf,
}

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A segment.
    Segment(u64),
    /// A run of these generations.
    Run(u64, u64),
    /// A file that was never finished.
    Temporary,
    /// Nothing of ours.
    Unknown,
}

impl Names {
    /// Those under the ledger's directory.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        let segments = dir.join("history");
        let ids = segments.join("ids");
        Self { segments, ids }
    }

    /// Path of a segment.
    #[must_use]
    pub fn segment(&self, number: u64) -> PathBuf {
        self.segments.join(format!("{number:016x}.seg"))
    }

    /// Path of a run.
    #[must_use]
    pub fn run(&self, first: u64, last: u64) -> PathBuf {
        self.ids.join(format!("{first:016x}-{last:016x}.run"))
    }
}

impl Name {
    /// Reads a name. Exactly those are ours that [`Names`] makes.
    #[must_use]
    pub(super) fn of(name: &str) -> Self {
        if name.ends_with(TEMPORARY) {
            return Self::Temporary;
        }
        if let Some(number) = name.strip_suffix(".seg").and_then(number) {
            return Self::Segment(number);
        }
        let numbers = name.strip_suffix(".run").and_then(|n| n.split_once('-'));
        let numbers = numbers.and_then(|(first, last)| Some((number(first)?, number(last)?)));
        match numbers {
            Some((first, last)) if first <= last => Self::Run(first, last),
            _ => Self::Unknown,
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let plain = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let ours = text.len() == 16 && text.bytes().all(plain);
    ours.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_read() {
        let names = Names::new(Path::new("d"));
        let last = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(Name::of(&last(names.segment(26))), Name::Segment(26));
        assert_eq!(Name::of(&last(names.run(1, 9))), Name::Run(1, 9));
        for other in [
            "ids",
            "1a.seg",
            "000000000000001A.seg",
            "+00000000000001a.seg",
            ".run",
        ] {
            assert_eq!(Name::of(other), Name::Unknown, "{other}");
        }
        let backwards = "0000000000000002-0000000000000001.run";
        assert_eq!(Name::of(backwards), Name::Unknown);
        assert_eq!(Name::of("0000000000000001.seg.tmp"), Name::Temporary);
    }
}
