//! Verifying an id run: it says what the segments say, and can be searched.

use std::iter::Sum;

use giro_base::hash::fold;

use crate::error::StoreError;
use crate::format::{Entry, EntryKind, Record};
use crate::reader::Reader;
use crate::run::{Identity, Run};

/// Some entries in any order: how many, and a sum over all that a wrong, missing or additional
/// one changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    count: u64,
    sum: u64,
}

impl Tally {
    pub(super) fn add(&mut self, entry: Entry) {
        self.count += 1;
        let mixed = fold(
            entry.hash ^ 0x8ebc_6af0_9c88_c6e3,
            entry.what ^ 0x5899_65cc_7537_4cc3,
        );
        self.sum = self.sum.wrapping_add(mixed);
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |a, b| Self {
            count: a.count + b.count,
            sum: a.sum.wrapping_add(b.sum),
        })
    }
}

/// Entries looked at together.
const ENTRIES_AT_ONCE: u64 = 64 * Entry::PER_PAGE;

/// Checks a run; gives how many burned ids it has.
pub(super) fn verify(
    run: &Run,
    reader: &mut Reader,
    identity: Identity,
    expected: Tally,
) -> Result<u64, StoreError> {
    run.load_filters(reader)?;
    let burned = reader.range::<u128>(run.file(), run.burned(), 0..run.burned().count)?;
    let mut seen = vec![false; burned.len()];
    let mut tally = Tally::default();
    let mut before = Entry::default();
    let hasher = identity.hasher();
    let partitions: Vec<_> = run.partitions().copied().collect();
    for partition in &partitions {
        let section = run.entries_of(partition);
        let mut done = 0;
        while done < section.count {
            let end = (done + ENTRIES_AT_ONCE).min(section.count);
            let entries = reader.range::<Entry>(run.file(), &section, done..end)?;
            for (entry, place) in entries.into_iter().zip(done..) {
                let page = section.page + place / Entry::PER_PAGE;
                let wrong = |reason: &str| Err(run.file().damaged(page, reason));
                if entry < before {
                    return wrong("entries are not in order");
                }
                before = entry;
                if !run.filter_passes(entry.hash) || !run.pages_of(entry.hash).any(|p| p == page) {
                    return wrong("an entry cannot be found");
                }
                if entry.kind() != Some(EntryKind::Burned) {
                    tally.add(entry);
                    continue;
                }
                let number = entry.number() as usize;
                let id = burned.get(number).copied();
                if id.map(|id| hasher.hash(id)) != Some(entry.hash) || seen[number] {
                    return wrong("a burned id is another than was burned");
                }
                seen[number] = true;
            }
            done = end;
        }
    }
    if tally != expected || seen.contains(&false) {
        return Err(run
            .file()
            .damaged(0, "the run does not say what the segments say"));
    }
    Ok(burned.len() as u64)
}
