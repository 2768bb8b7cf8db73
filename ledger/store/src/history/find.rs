//! Finding ids: every question of a call waits for the disk together.

use std::sync::Arc;

use giro_base::{Transfer, TransferFlags};

use super::catalog::Catalog;
use crate::error::StoreError;
use crate::format::{Entry, EntryKind, Part, Record, Section};
use crate::reader::{Extent, PageFile, Reader, records};
use crate::run::Run;
use crate::segment::Segment;

/// An id to be found, and what was found.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Hash of the id under the ledger's key.
    pub hash: u64,
    /// The id.
    pub id: u128,
    /// Filled in.
    pub answer: Answer,
}

/// What the history knows of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// A transfer with it failed in a way that must stay failed.
    Burned,
    /// A transfer has it.
    Transfer {
        /// Its row.
        row: u64,
        /// The transfer.
        transfer: Transfer,
        /// How it ended, as far as the history knows.
        fate: Fate,
    },
}

/// How a pending transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was not pending, or has not ended in what is on disk.
    None,
    /// A transfer posted it.
    Posted,
    /// A transfer voided it.
    Voided,
    /// Its time was over.
    Expired,
}

impl Question {
    /// A question without answer yet.
    #[must_use]
    pub fn new(hash: u64, id: u128) -> Self {
        Self {
            hash,
            id,
            answer: Answer::Nothing,
        }
    }
}

/// Something a run says of a question's hash.
struct Clue {
    question: usize,
    run: usize,
    entry: Entry,
    found: Found,
}

/// What a clue leads to.
#[derive(Clone, Copy)]
enum Found {
    Nothing,
    Transfer(Transfer),
    Burned(u128),
}

/// A page to be read for somebody.
struct Wanted<'f> {
    extent: Extent<'f>,
    /// Question or clue.
    for_whom: usize,
    /// Run, or place on the page.
    detail: usize,
}

/// Answers all questions.
///
/// # Errors
/// The system's, and that something is damaged.
pub(super) fn find(
    catalog: &Catalog,
    reader: &mut Reader,
    questions: &mut [Question],
) -> Result<(), StoreError> {
    let mut clues = clues(catalog, reader, questions)?;
    follow(catalog, reader, &mut clues)?;
    // Brings a question's clues together.
    clues.sort_by_key(|clue| clue.question);
    for clues in clues.chunk_by(|a, b| a.question == b.question) {
        let question = &mut questions[clues[0].question];
        question.answer = answer(question.id, clues);
    }
    Ok(())
}

fn answer(id: u128, clues: &[Clue]) -> Answer {
    for clue in clues {
        match clue.found {
            Found::Transfer(transfer) if transfer.id == id => {
                let row = clue.entry.number();
                let fate = fate(row, &transfer, clues);
                return Answer::Transfer {
                    row,
                    transfer,
                    fate,
                };
            }
            Found::Burned(burned) if burned == id => return Answer::Burned,
            _ => {}
        }
    }
    Answer::Nothing
}

fn fate(row: u64, transfer: &Transfer, clues: &[Clue]) -> Fate {
    if transfer.flags & TransferFlags::PENDING == 0 {
        return Fate::None;
    }
    let of_row = clues.iter().filter(|clue| clue.entry.number() == row);
    let mut fate = of_row.filter_map(|clue| match clue.entry.kind() {
        Some(EntryKind::Posted) => Some(Fate::Posted),
        Some(EntryKind::Voided) => Some(Fate::Voided),
        Some(EntryKind::Expired) => Some(Fate::Expired),
        _ => None,
    });
    fate.next().unwrap_or(Fate::None)
}

/// What the runs say of the questions' hashes.
fn clues(
    catalog: &Catalog,
    reader: &mut Reader,
    questions: &mut [Question],
) -> Result<Vec<Clue>, StoreError> {
    let runs = &catalog.runs;
    let mut wanted = Vec::new();
    let mut suspects = Vec::new();
    for (for_whom, question) in questions.iter_mut().enumerate() {
        question.answer = Answer::Nothing;
        catalog.suspects(reader, question, &mut suspects)?;
        for detail in suspects.iter().copied() {
            let run = &runs[detail];
            let pages = run.pages_of(question.hash);
            wanted.extend(pages.map(|page| Wanted {
                extent: one_page(run.file(), page),
                for_whom,
                detail,
            }));
        }
    }
    wanted.sort_by_key(|w: &Wanted<'_>| (w.detail, w.extent.page));
    let mut clues = Vec::new();
    read_wanted(reader, &wanted, |w, page, bytes| {
        let (run, question) = (&runs[w.detail], w.for_whom);
        let found = run.entries_on(page, questions[question].hash, records(bytes));
        if found.is_empty() {
            run.looked_in_vain();
        }
        for entry in found {
            clues.push(Clue {
                question,
                run: w.detail,
                entry: *entry,
                found: Found::Nothing,
            });
        }
        Ok(())
    })?;
    Ok(clues)
}

impl Catalog {
    /// The runs that may know something of a question's id, by their places.
    fn suspects(
        &self,
        reader: &mut Reader,
        question: &Question,
        suspects: &mut Vec<usize>,
    ) -> Result<(), StoreError> {
        let (hash, id) = (question.hash, question.id);
        suspects.clear();
        for sieve in &self.sieves {
            for (first, last) in sieve.suspects(hash) {
                let start = self.runs.partition_point(|run| run.last() < first);
                let end = self.runs.partition_point(|run| run.first() <= last);
                suspects.extend(start..end);
            }
        }
        for place in self.unsieved.iter().copied() {
            let run = &self.runs[place];
            run.load_filter(reader, hash, id)?;
            if run.may_know(hash, id) {
                suspects.push(place);
            }
        }
        suspects.sort_unstable();
        suspects.dedup();
        Ok(())
    }
}

/// Reads the transfers and burned ids that clues lead to.
fn follow(catalog: &Catalog, reader: &mut Reader, clues: &mut [Clue]) -> Result<(), StoreError> {
    let mut wanted = Vec::with_capacity(clues.len());
    for (for_whom, clue) in clues.iter().enumerate() {
        let run = &catalog.runs[clue.run];
        let place = match clue.entry.kind() {
            Some(EntryKind::Transfer) => place_of_row(catalog, clue.entry.number()),
            Some(EntryKind::Burned) => place_of_burned(run, clue.entry.number()),
            Some(_) => continue,
            None => None,
        };
        let Some((extent, detail)) = place else {
            return Err(run.file().damaged(0, "an entry leads nowhere"));
        };
        wanted.push(Wanted {
            extent,
            for_whom,
            detail,
        });
    }
    wanted.sort_by_key(|w| (std::ptr::from_ref(w.extent.file).addr(), w.extent.page));
    read_wanted(reader, &wanted, |w, _, bytes| {
        let clue = &mut clues[w.for_whom];
        clue.found = if clue.entry.kind() == Some(EntryKind::Burned) {
            Found::Burned(records::<u128>(bytes)[w.detail])
        } else {
            Found::Transfer(records::<Transfer>(bytes)[w.detail])
        };
        Ok(())
    })
}

fn place_of_row(catalog: &Catalog, row: u64) -> Option<(Extent<'_>, usize)> {
    let segment: &Arc<Segment> = catalog.segment_of_row(row)?;
    let offset = row - segment.first_row();
    place_in::<Transfer>(segment.file(), segment.section(Part::Rows), offset)
}

fn place_of_burned(run: &Run, number: u64) -> Option<(Extent<'_>, usize)> {
    place_in::<u128>(run.file(), run.burned(), number)
}

fn place_in<'f, T: Record>(
    file: &'f PageFile,
    section: &Section,
    position: u64,
) -> Option<(Extent<'f>, usize)> {
    let page = position / T::PER_PAGE;
    let inside = position < section.count && page < section.pages;
    inside.then(|| {
        let detail = (position % T::PER_PAGE) as usize;
        (one_page(file, section.page + page), detail)
    })
}

fn one_page(file: &PageFile, page: u64) -> Extent<'_> {
    Extent {
        file,
        page,
        pages: 1,
    }
}

/// Reads each page once for all who want it; those stand together.
fn read_wanted<'f>(
    reader: &mut Reader,
    wanted: &[Wanted<'f>],
    mut each: impl FnMut(&Wanted<'f>, u64, &crate::page::Payload) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let same = |a: &Wanted<'_>, b: &Wanted<'_>| {
        std::ptr::eq(a.extent.file, b.extent.file) && a.extent.page == b.extent.page
    };
    let groups: Vec<&[Wanted<'f>]> = wanted.chunk_by(same).collect();
    let extents: Vec<Extent<'f>> = groups.iter().map(|group| group[0].extent).collect();
    reader.read(&extents, |extent, _, bytes| {
        for w in groups[extent] {
            each(w, w.extent.page, bytes)?;
        }
        Ok(())
    })
}
