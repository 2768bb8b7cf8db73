//! What the history consists of, found again when it is opened.

use std::io;
use std::sync::Arc;

use giro_base::Timestamp;

use super::names::Name;
use super::workshop::Workshop;
use crate::error::StoreError;
use crate::format::Part;
use crate::reader::Reader;
use crate::run::Run;
use crate::run::entries::IdRange;
use crate::segment::Segment;

/// All segments and runs, oldest first.
#[derive(Clone)]
pub struct Catalog {
    /// One for each generation, from 0.
    pub segments: Vec<Arc<Segment>>,
    /// They cover the same generations.
    pub runs: Vec<Arc<Run>>,
    /// Ids of transfers and burned ones of each run, where they can be looked at quickly.
    pub(super) ranges: Vec<IdRange>,
    /// Those of all runs.
    pub(super) range: IdRange,
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

    /// Takes a new generation's files.
    pub(super) fn push(&mut self, segment: Arc<Segment>, run: Arc<Run>) {
        assert_eq!(
            segment.number(),
            self.generations(),
            "generations come in order"
        );
        assert_eq!(segment.first_row(), self.end_row(), "rows have no gap");
        self.segments.push(segment);
        self.runs.push(run);
        self.arrange();
    }

    /// Puts a merged run in the place of those it was made of.
    pub(super) fn replace(&mut self, merged: Arc<Run>) {
        let start = self.runs.partition_point(|run| run.last() < merged.first());
        let end = self.runs.partition_point(|run| run.last() <= merged.last());
        self.runs.splice(start..end, [merged]);
        self.arrange();
    }

    fn arrange(&mut self) {
        self.ranges = self.runs.iter().map(|run| run.ids()).collect();
        self.range = IdRange::NONE;
        for range in &self.ranges {
            self.range.extend(*range);
        }
    }

    /// Opens what is there, and removes what a crash left behind.
    ///
    /// # Errors
    /// The system's; that a file is damaged, foreign, or missing.
    pub(super) fn open(workshop: &Workshop, reader: &mut Reader) -> Result<Self, StoreError> {
        let segments = open_segments(workshop, reader)?;
        let runs = open_runs(workshop, reader, segments.len() as u64)?;
        let mut catalog = Self {
            segments,
            runs,
            ranges: Vec::new(),
            range: IdRange::NONE,
        };
        catalog.arrange();
        Ok(catalog)
    }
}

fn list(workshop: &Workshop, dir: &std::path::Path) -> Result<Vec<Name>, StoreError> {
    let names = workshop.storage.list(dir).map_err(|error| {
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
            remove(workshop, &dir.join(&name))?;
        }
        found.push(parsed);
    }
    Ok(found)
}

fn remove(workshop: &Workshop, path: &std::path::Path) -> Result<(), StoreError> {
    tracing::info!(path = %path.display(), "removing what a crash left behind");
    workshop
        .storage
        .remove(path)
        .map_err(StoreError::io("remove", path))
}

fn open_segments(
    workshop: &Workshop,
    reader: &mut Reader,
) -> Result<Vec<Arc<Segment>>, StoreError> {
    let dir = &workshop.names.segments;
    let found = list(workshop, dir)?;
    let segment = |name| match name {
        Name::Segment(number) => Some(number),
        _ => None,
    };
    let mut numbers: Vec<u64> = found.into_iter().filter_map(segment).collect();
    numbers.sort_unstable();
    let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(numbers.len());
    for (number, expected) in numbers.into_iter().zip(0..) {
        let path = workshop.names.segment(expected);
        if number != expected {
            return Err(StoreError::Missing {
                dir: dir.clone(),
                missing: format!("segment {}", path.display()),
            });
        }
        let identity = (workshop.identity.cluster, number);
        let opened = Segment::open(&*workshop.storage, &path, identity, reader)?;
        let end = segments.last().map_or(0, |segment| segment.end_row());
        if opened.first_row() != end {
            return Err(opened.damaged(Part::Rows, "its rows do not follow the segment before"));
        }
        segments.push(Arc::new(opened));
    }
    Ok(segments)
}

fn open_runs(
    workshop: &Workshop,
    reader: &mut Reader,
    generations: u64,
) -> Result<Vec<Arc<Run>>, StoreError> {
    let dir = &workshop.names.ids;
    let run = |name| match name {
        Name::Run(first, last) => Some((first, last)),
        _ => None,
    };
    let mut found: Vec<(u64, u64)> = list(workshop, dir)?.into_iter().filter_map(run).collect();
    // Of runs that begin alike the larger comes first, and wins.
    found.sort_unstable_by_key(|(first, last)| (*first, std::cmp::Reverse(*last)));
    let (mut runs, mut left_over) = (Vec::new(), Vec::new());
    let mut next = 0;
    for (first, last) in found {
        let path = workshop.names.run(first, last);
        // Merged before the crash, or of a generation whose segment was never finished.
        if last < next || (first, last) == (generations, generations) {
            left_over.push(path);
            continue;
        }
        if first != next || last >= generations {
            return Err(missing_run(workshop, next, generations));
        }
        let identity = workshop.identity;
        let opened = Run::open(&*workshop.storage, &path, identity, (first, last), reader)?;
        runs.push(Arc::new(opened));
        next = last + 1;
    }
    if next != generations {
        return Err(missing_run(workshop, next, generations));
    }
    // Only now is it certain that what replaces them is there.
    for path in left_over {
        remove(workshop, &path)?;
    }
    workshop
        .storage
        .sync_dir(dir)
        .map_err(StoreError::io("flush", dir))?;
    Ok(runs)
}

fn missing_run(workshop: &Workshop, next: u64, generations: u64) -> StoreError {
    let names = &workshop.names;
    if next == generations {
        return StoreError::Missing {
            dir: names.segments.clone(),
            missing: format!("segment {}", names.segment(next).display()),
        };
    }
    StoreError::Missing {
        dir: names.ids.clone(),
        missing: format!("the id run of generation {next}"),
    }
}
