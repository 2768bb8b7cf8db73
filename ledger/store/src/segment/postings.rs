//! Which rows touched each account, brought together: rows come in their order, each with two
//! accounts, and leave account after account.

use giro_base::Region;

use super::content::Content;
use crate::format::Sides;
use crate::pace::{Pace, TURN_ROWS};
use crate::sort::{bits, clear, nothing, sort};

/// Up to so many slots rows go straight to their account's place: the places that are written to,
/// a cache line for each account, stay in the second cache. With more, sorting is faster.
const COUNTED_MAX: u32 = 1 << 14;

/// Postings in the making, in memory that is used again for the next segment.
pub(super) struct Postings {
    /// Rows from the segment's first, for each account rising; once it is [finished](Self::finish).
    pub(super) rows: Region<u32>,
    /// The accounts that have some, by slot, each with the place behind its last one.
    pub(super) ends: Vec<(u32, u32)>,
    /// How many each slot has, if slots are few.
    counts: Vec<u32>,
    /// Otherwise slots and rows, which sorting brings into order.
    keys: Region<u64>,
    words: Words,
}

/// Slots and numbers in one word, the slot above: sorting brings each account's together, in
/// order.
#[derive(Clone, Copy, Default)]
pub(super) struct Words {
    number_bits: u32,
}

impl Words {
    pub(super) fn new(numbers: usize) -> Self {
        let number_bits = bits(numbers as u64);
        assert!(number_bits <= u32::BITS, "numbers have 32 bits");
        Self { number_bits }
    }

    #[inline(always)]
    pub(super) fn word(self, slot: u32, number: u32) -> u64 {
        u64::from(slot) << self.number_bits | u64::from(number)
    }

    #[inline(always)]
    pub(super) fn slot(self, word: u64) -> u32 {
        (word >> self.number_bits) as u32
    }

    #[inline(always)]
    pub(super) fn number(self, word: u64) -> u32 {
        (word & ((1 << self.number_bits) - 1)) as u32
    }
}

impl Default for Postings {
    fn default() -> Self {
        Self {
            rows: nothing(),
            ends: Vec::new(),
            counts: Vec::new(),
            keys: nothing(),
            words: Words::default(),
        }
    }
}

impl Postings {
    /// Begins those of this content.
    pub(super) fn begin(&mut self, content: &Content<'_>) {
        let rows = content.transfers.len();
        clear(&mut self.rows, 2 * rows);
        self.ends.clear();
        self.counts.clear();
        let slots = content
            .openings
            .slot_max()
            .map_or(0, |slot| slot.saturating_add(1));
        if slots <= COUNTED_MAX {
            // One more, so that there are counts to see.
            self.counts.resize(slots as usize + 1, 0);
        } else {
            self.words = Words::new(rows);
            clear(&mut self.keys, 2 * rows);
        }
    }

    /// Takes the next row. Says whether its accounts may be: those without opening may not.
    #[inline(always)]
    pub(super) fn add(&mut self, sides: Sides, row: u32) -> bool {
        if self.counts.is_empty() {
            self.keys.push(self.words.word(sides.debit, row));
            self.keys.push(self.words.word(sides.credit, row));
            return true;
        }
        let slots = [sides.debit, sides.credit];
        slots.into_iter().all(|slot| {
            let count = self.counts.get_mut(slot as usize);
            count.map(|count| *count += 1).is_some()
        })
    }

    /// Completes them, once all rows were taken. `spare` has room for two words a row.
    pub(super) fn finish(&mut self, content: &Content<'_>, spare: &mut Region<u64>, pace: &Pace) {
        if self.counts.is_empty() {
            self.finish_sorted(content, spare);
        } else {
            self.finish_counted(content, pace);
        }
    }

    fn finish_counted(&mut self, content: &Content<'_>, pace: &Pace) {
        let mut end = 0;
        for (slot, count) in (0..).zip(&mut self.counts) {
            let start = end;
            end += *count;
            if end > start {
                self.ends.push((slot, end));
            }
            *count = start;
        }
        self.rows.set_len(end as usize);
        for row in 0..content.transfers.len() {
            pace.turn_at(row, TURN_ROWS);
            let sides = content.sides.get(row);
            for slot in [sides.debit, sides.credit] {
                let place = &mut self.counts[slot as usize];
                self.rows[*place as usize] = row as u32;
                *place += 1;
            }
        }
    }

    fn finish_sorted(&mut self, content: &Content<'_>, spare: &mut Region<u64>) {
        let words = self.words;
        spare.set_len(self.keys.len());
        let slot_max = content.openings.slot_max().unwrap_or(0);
        let used = words.number_bits..words.number_bits + bits(slot_max.into());
        if sort(&mut self.keys, spare, |word| *word, used) {
            std::mem::swap(&mut self.keys, spare);
        }
        self.rows.set_len(self.keys.len());
        for (row, word) in self.rows.iter_mut().zip(&self.keys) {
            *row = words.number(*word);
        }
        let mut end = 0;
        for own in self.keys.chunk_by(|a, b| words.slot(*a) == words.slot(*b)) {
            end += own.len() as u32;
            self.ends.push((words.slot(own[0]), end));
        }
    }
}

#[cfg(test)]
mod tests {
    use giro_base::Transfer;
    use giro_core::generation::{Links, Opening};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::segment::content::{Openings, SidesOf};

    /// Both ways, over the same rows, against what a plain sort says.
    #[test]
    fn few_and_many_accounts_have_their_rows_in_order() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut postings = Postings::default();
        for slots in [
            2,
            300,
            COUNTED_MAX - 1,
            COUNTED_MAX,
            COUNTED_MAX + 1,
            90_000,
        ] {
            let rows = 20_000;
            let links = |_| {
                let debit = rng.random_range(0..slots).min(rng.random_range(0..slots));
                let credit = (debit + rng.random_range(1..slots)) % slots;
                Links {
                    debit,
                    credit,
                    debit_previous: 0,
                    credit_previous: 0,
                }
            };
            let links: Vec<Links> = (0..rows).map(links).collect();
            let sides = (0..).zip(&links);
            let touches = sides.flat_map(|(row, l)| [(l.debit, row), (l.credit, row)]);
            let mut expected: Vec<(u32, u32)> = touches.collect();
            expected.sort_unstable();
            let mut openings: Vec<u32> = expected.iter().map(|(slot, _)| *slot).collect();
            openings.dedup();
            let opening = |slot: &u32| Opening {
                slot: *slot,
                ..Opening::default()
            };
            let openings: Vec<Opening> = openings.iter().map(opening).collect();
            let content = Content {
                transfers: &vec![Transfer::default(); rows],
                sides: SidesOf::Links(&links),
                closings: Vec::new(),
                expiries: Vec::new(),
                openings: Openings::of(&openings),
            };
            postings.begin(&content);
            for (row, links) in (0..).zip(&links) {
                let (debit, credit) = (links.debit, links.credit);
                assert!(postings.add(Sides { debit, credit }, row));
            }
            let mut spare = Region::new(2 * rows).unwrap();
            postings.finish(&content, &mut spare, &Pace::default());
            let mut found = Vec::new();
            let mut start = 0;
            for (slot, end) in &postings.ends {
                let own = &postings.rows[start..*end as usize];
                found.extend(own.iter().map(|row| (*slot, *row)));
                start = *end as usize;
            }
            assert_eq!(found, expected, "{slots} slots");
        }
    }

    #[test]
    fn an_account_without_opening_is_seen() {
        let content = Content {
            transfers: &[Transfer::default()],
            sides: SidesOf::Read(Vec::new()),
            closings: Vec::new(),
            expiries: Vec::new(),
            openings: Openings::of(&[]),
        };
        let mut postings = Postings::default();
        postings.begin(&content);
        let (debit, credit) = (7, 8);
        assert!(!postings.add(Sides { debit, credit }, 0));
    }
}
