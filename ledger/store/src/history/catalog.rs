//! What the history consists of, found again when it is opened.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use giro_base::Timestamp;

use super::names::Name;
use super::workshop::{Workshop, Written};
use crate::checkpoint::format::PiecePart;
use crate::checkpoint::{Piece, Whole};
use crate::error::StoreError;
use crate::format::Part;
use crate::reader::Reader;
use crate::run::Run;
use crate::run::entries::IdRange;
use crate::segment::Segment;
use crate::sieve::Sieve;

/// All segments and runs, oldest first.
#[derive(Clone)]
pub struct Catalog {
    /// One for each generation, from 0.
    pub segments: Vec<Arc<Segment>>,
    /// They cover the same generations.
    pub runs: Vec<Arc<Run>>,
    /// They cover the same generations.
    pub pieces: Vec<Arc<Piece>>,
    /// Ids of transfers and burned ones of each run, where they can be looked at quickly.
    pub(super) ranges: Vec<IdRange>,
    /// Those of all runs.
    pub(super) range: IdRange,
    /// Ids that ranges do not tell from others, oldest first.
    pub(super) sieves: Vec<Arc<Sieve>>,
    /// Places of the runs that are in no sieve.
    pub(super) unsieved: Vec<usize>,
}

impl Catalog {
    /// Generations on disk.
    #[must_use]
    pub fn generations(&self) -> u64 {
        self.segments.len() as u64
    }

    /// Row behind the last one on disk.
    #[must_use]
    pub fn end_row(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.end_row())
    }

    /// The segment that has `row`.
    #[must_use]
    pub fn segment_of_row(&self, row: u64) -> Option<&Arc<Segment>> {
        let place = self.segments.partition_point(|s| s.end_row() <= row);
        self.segments.get(place)
    }

    /// The first segment with a transfer not before `timestamp`.
    #[must_use]
    pub fn segment_at_or_after(&self, timestamp: Timestamp) -> Option<&Arc<Segment>> {
        // Segments without transfers have no times: they are passed over on the way.
        let place = self.segments.partition_point(|segment| {
            let end = segment.end_row();
            let with_rows = self.segments.partition_point(|s| s.end_row() < end);
            self.segments[with_rows].header().timestamp_last < timestamp
        });
        self.segments[place..].iter().find(|s| s.rows() > 0)
    }

    /// Ids that ranges do not tell from others, in memory; oldest first.
    #[must_use]
    pub fn sieves(&self) -> &[Arc<Sieve>] {
        &self.sieves
    }

    /// The runs whose ids are in no sieve.
    pub fn unsieved(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.unsieved.iter().map(|place| &self.runs[*place])
    }

    /// The state at the end of the last generation; none before there is one.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Whole<'_>> {
        Whole::of(&self.pieces)
    }

    /// Takes a new generation's files.
    pub(super) fn push(&mut self, written: Written) {
        let Written {
            segment,
            run,
            piece,
            sieve,
        } = written;
        assert_eq!(
            segment.number(),
            self.generations(),
            "generations come in order"
        );
        assert_eq!(segment.first_row(), self.end_row(), "rows have no gap");
        self.segments.push(segment);
        self.runs.push(run);
        self.pieces.push(piece);
        match sieve {
            Some(sieve) => self.sift(sieve),
            None => self.arrange(),
        }
    }

    /// Puts a merged run in the place of those it was made of.
    pub(super) fn replace(&mut self, merged: Arc<Run>) {
        let start = self.runs.partition_point(|run| run.last() < merged.first());
        let end = self.runs.partition_point(|run| run.last() <= merged.last());
        self.runs.splice(start..end, [merged]);
        self.arrange();
    }

    /// Takes a new sieve, in the place of those whose ids it has.
    pub(super) fn sift(&mut self, sieve: Arc<Sieve>) {
        take_sieve(&mut self.sieves, sieve);
        self.arrange();
    }

    /// Puts a merged piece in the place of those it was made of.
    pub(super) fn replace_pieces(&mut self, merged: Arc<Piece>) {
        let end = self.pieces.partition_point(|p| p.last() <= merged.last());
        self.pieces.splice(..end, [merged]);
    }

    fn arrange(&mut self) {
        self.ranges = self.runs.iter().map(|run| run.ids()).collect();
        self.range = IdRange::NONE;
        for range in &self.ranges {
            self.range.extend(*range);
        }
        let unsieved = self.runs.iter().enumerate();
        let unsieved = unsieved.filter(|(_, run)| !is_sieved(run, &self.sieves));
        self.unsieved = unsieved.map(|(place, _)| place).collect();
    }

    /// Opens what is there, and says what a crash left behind beside it: files that were never
    /// finished, those of generations without a piece of the checkpoint, those that were merged.
    ///
    /// # Errors
    /// The system's; that a file is damaged, foreign, or missing.
    pub(super) fn open(
        workshop: &Workshop,
        reader: &mut Reader,
    ) -> Result<(Self, Vec<PathBuf>), StoreError> {
        let mut finder = Finder {
            workshop,
            reader,
            leftovers: Vec::new(),
        };
        let pieces = finder.pieces()?;
        let generations = pieces.last().map_or(0, |piece| piece.last() + 1);
        let segments = finder.segments(generations)?;
        let end = segments.last().map_or(0, |segment| segment.end_row());
        if let Some(piece) = pieces.last()
            && piece.state().rows_end != end
        {
            return Err(piece.damaged(PiecePart::State, "it ends at another row than the segments"));
        }
        let mut catalog = Self {
            runs: finder.runs(generations)?,
            segments,
            pieces,
            ranges: Vec::new(),
            range: IdRange::NONE,
            sieves: Vec::new(),
            unsieved: Vec::new(),
        };
        catalog.arrange();
        Ok((catalog, finder.leftovers))
    }
}

/// Whether a sieve has all ids of a run.
pub(super) fn is_sieved(run: &Run, sieves: &[Arc<Sieve>]) -> bool {
    let mut sieves = sieves.iter();
    sieves.any(|sieve| sieve.covers(run.first(), run.last()))
}

/// Puts a sieve in the place of those whose ids it has, and gives these.
pub(super) fn take_sieve(sieves: &mut Vec<Arc<Sieve>>, sieve: Arc<Sieve>) -> Vec<Arc<Sieve>> {
    let covered = sieves.extract_if(.., |old| sieve.covers_all_of(old));
    let covered = covered.collect();
    let place = sieves.partition_point(|old| old.first() < sieve.first());
    sieves.insert(place, sieve);
    covered
}

/// Finds the files of a history and opens them.
struct Finder<'a> {
    workshop: &'a Workshop,
    reader: &'a mut Reader,
    leftovers: Vec<PathBuf>,
}

impl Finder<'_> {
    fn list(&mut self, dir: &Path) -> Result<Vec<Name>, StoreError> {
        let names = self.workshop.storage.list(dir).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                let parent = dir.parent().unwrap_or(dir);
                return StoreError::Missing {
                    dir: parent.to_owned(),
                    missing: format!("the directory {}", dir.display()),
                };
            }
            StoreError::io("list", dir)(error)
        })?;
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let parsed = Name::of(&name);
            if parsed == Name::Temporary {
                self.leftovers.push(dir.join(&name));
            }
            found.push(parsed);
        }
        Ok(found)
    }

    /// The pieces of the checkpoint, which say how far the history goes.
    fn pieces(&mut self) -> Result<Vec<Arc<Piece>>, StoreError> {
        let Workshop {
            names,
            storage,
            identity,
            ..
        } = self.workshop;
        let dir = &names.checkpoints;
        let piece = |name| match name {
            Name::Piece(first, last) => Some((first, last)),
            _ => None,
        };
        let found = self.list(dir)?.into_iter().filter_map(piece).collect();
        let Chain {
            kept,
            merged,
            missing,
        } = Chain::of(found);
        if let Some(missing) = missing {
            return Err(StoreError::Missing {
                dir: dir.clone(),
                missing: format!("the checkpoint's piece of generation {missing}"),
            });
        }
        let mut pieces = Vec::with_capacity(kept.len());
        for range in kept {
            let path = names.piece(range.0, range.1);
            let cluster = identity.cluster;
            pieces.push(Piece::open(&**storage, &path, cluster, range, self.reader)?);
        }
        let merged = merged
            .into_iter()
            .map(|(first, last)| names.piece(first, last));
        self.leftovers.extend(merged);
        Ok(pieces)
    }

    /// A crash leaves files of one generation without a piece, that being written. More of them
    /// mean that pieces are lost.
    fn check_behind(
        &self,
        generations: u64,
        mut behind: impl Iterator<Item = u64>,
    ) -> Result<(), StoreError> {
        if behind.all(|number| number == generations) {
            return Ok(());
        }
        Err(StoreError::Missing {
            dir: self.workshop.names.checkpoints.clone(),
            missing: format!("the checkpoint's piece of generation {generations}"),
        })
    }

    fn segments(&mut self, generations: u64) -> Result<Vec<Arc<Segment>>, StoreError> {
        let workshop = self.workshop;
        let dir = &workshop.names.segments;
        let segment = |name| match name {
            Name::Segment(number) => Some(number),
            _ => None,
        };
        let mut numbers: Vec<u64> = self.list(dir)?.into_iter().filter_map(segment).collect();
        numbers.sort_unstable();
        let behind = numbers.split_off(numbers.partition_point(|n| *n < generations));
        self.check_behind(generations, behind.iter().copied())?;
        let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(numbers.len());
        let mut found = numbers.into_iter();
        for expected in 0..generations {
            let path = workshop.names.segment(expected);
            if found.next() != Some(expected) {
                return Err(StoreError::Missing {
                    dir: dir.clone(),
                    missing: format!("segment {}", path.display()),
                });
            }
            let identity = (workshop.identity.cluster, expected);
            let opened = Segment::open(&*workshop.storage, &path, identity, self.reader)?;
            let end = segments.last().map_or(0, |segment| segment.end_row());
            if opened.first_row() != end {
                return Err(opened.damaged(Part::Rows, "its rows do not follow the segment before"));
            }
            segments.push(Arc::new(opened));
        }
        let behind = behind
            .into_iter()
            .map(|number| workshop.names.segment(number));
        self.leftovers.extend(behind);
        Ok(segments)
    }

    fn runs(&mut self, generations: u64) -> Result<Vec<Arc<Run>>, StoreError> {
        let workshop = self.workshop;
        let dir = &workshop.names.ids;
        let run = |name| match name {
            Name::Run(first, last) => Some((first, last)),
            _ => None,
        };
        let found = self.list(dir)?.into_iter().filter_map(run);
        let (found, behind): (Vec<_>, Vec<_>) = found.partition(|(first, _)| *first < generations);
        self.check_behind(generations, behind.iter().map(|(first, _)| *first))?;
        let chain = Chain::of(found);
        let end = chain.kept.last().map_or(0, |(_, last)| last + 1);
        if let Some(missing) = chain.missing.or((end != generations).then_some(end)) {
            return Err(StoreError::Missing {
                dir: dir.clone(),
                missing: format!("the id run of generation {missing}"),
            });
        }
        let mut runs = Vec::with_capacity(chain.kept.len());
        for (first, last) in chain.kept {
            let path = workshop.names.run(first, last);
            let (storage, identity) = (&*workshop.storage, workshop.identity);
            let opened = Run::open(storage, &path, identity, (first, last), self.reader)?;
            runs.push(Arc::new(opened));
        }
        let leftovers = chain.merged.into_iter().chain(behind);
        let leftovers = leftovers.map(|(first, last)| workshop.names.run(first, last));
        self.leftovers.extend(leftovers);
        Ok(runs)
    }
}

/// Files of ranges of generations, as a crash may leave them.
struct Chain {
    /// Those that follow each other from generation 0 on; of those that begin alike the largest.
    kept: Vec<(u64, u64)>,
    /// Those that were merged to one of them.
    merged: Vec<(u64, u64)>,
    /// The first generation that is in none, though later ones are.
    missing: Option<u64>,
}

impl Chain {
    fn of(mut found: Vec<(u64, u64)>) -> Self {
        found.sort_unstable_by_key(|(first, last)| (*first, std::cmp::Reverse(*last)));
        let mut chain = Self {
            kept: Vec::new(),
            merged: Vec::new(),
            missing: None,
        };
        let mut next = 0;
        for (first, last) in found {
            if last < next {
                chain.merged.push((first, last));
            } else if first == next {
                chain.kept.push((first, last));
                next = last + 1;
            } else {
                chain.missing = Some(next);
                break;
            }
        }
        chain
    }
}
