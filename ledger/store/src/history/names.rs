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
    /// Pieces of the checkpoint.
    pub checkpoints: PathBuf,
}

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A segment.
    Segment(u64),
    /// A run of these generations.
    Run(u64, u64),
    /// A piece of the checkpoint, of these generations.
    Piece(u64, u64),
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
        let checkpoints = segments.join("checkpoints");
        Self {
            segments,
            ids,
            checkpoints,
        }
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

    /// Path of a piece of the checkpoint.
    #[must_use]
    pub fn piece(&self, first: u64, last: u64) -> PathBuf {
        self.checkpoints
            .join(format!("{first:016x}-{last:016x}.chk"))
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
        let range = |ending| {
            let (first, last) = name.strip_suffix(ending)?.split_once('-')?;
            let (first, last) = (number(first)?, number(last)?);
            // There is always one behind the last.
            (first <= last && last < u64::MAX).then_some((first, last))
        };
        if let Some((first, last)) = range(".run") {
            return Self::Run(first, last);
        }
        match range(".chk") {
            Some((first, last)) => Self::Piece(first, last),
            None => Self::Unknown,
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
        assert_eq!(Name::of(&last(names.piece(0, 9))), Name::Piece(0, 9));
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
        let endless = "0000000000000000-ffffffffffffffff.chk";
        assert_eq!(Name::of(endless), Name::Unknown);
        assert_eq!(Name::of("0000000000000001.seg.tmp"), Name::Temporary);
    }
}
