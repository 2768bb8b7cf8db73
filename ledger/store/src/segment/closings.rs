//! Where the closing of a row lies: those of a segment are by row, and one is wanted for each post
//! and void of accounts with many postings.

use giro_base::prefetch::prefetch;

use crate::format::ClosingRecord;

/// Rows for which one place is kept. Their closings are 256 bytes at most.
const STEP: u32 = 8;

/// Places among closings, in memory that is used again for the next segment.
#[derive(Default)]
pub(super) struct ClosingPlaces {
    /// Of the first closing at or behind each [`STEP`]th row, and the number of all.
    firsts: Vec<u32>,
}

impl ClosingPlaces {
    /// Takes the closings of a segment with so many rows. Those of rows it does not have are not
    /// found.
    pub(super) fn begin(&mut self, closings: &[ClosingRecord], rows: usize) {
        self.firsts.clear();
        if closings.is_empty() {
            return;
        }
        let count = rows.div_ceil(STEP as usize) + 1;
        self.firsts.reserve(count);
        for (closing, place) in closings.iter().zip(0..) {
            let step = (closing.row / STEP) as usize;
            if step >= count {
                break;
            }
            while self.firsts.len() <= step {
                self.firsts.push(place);
            }
        }
        self.firsts.resize(count, closings.len() as u32);
    }

    /// The closing of a row.
    pub(super) fn find<'c>(
        &self,
        closings: &'c [ClosingRecord],
        row: u32,
    ) -> Option<&'c ClosingRecord> {
        let step = (row / STEP) as usize;
        let (first, end) = (*self.firsts.get(step)?, *self.firsts.get(step + 1)?);
        let own = &closings[first as usize..end as usize];
        own.iter().find(|closing| closing.row == row)
    }

    /// Asks for the memory that [`find`](Self::find) will look at.
    pub(super) fn prefetch(&self, closings: &[ClosingRecord], row: u32) {
        let first = self.firsts.get((row / STEP) as usize);
        if let Some(closing) = first.and_then(|first| closings.get(*first as usize)) {
            prefetch(closing);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Those of rows below `rows`, about `share` of them, and of some that are far beyond.
    fn closings(rng: &mut ChaCha8Rng, rows: u32, share: f64) -> Vec<ClosingRecord> {
        let mut own: Vec<u32> = (0..rows).filter(|_| rng.random_bool(share)).collect();
        own.extend([rows + 1_000, u32::MAX].into_iter().filter(|_| share < 0.5));
        let closing = |row| ClosingRecord {
            row,
            ..ClosingRecord::default()
        };
        own.into_iter().map(closing).collect()
    }

    #[test]
    fn every_closing_is_found_by_its_row_and_no_other() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut places = ClosingPlaces::default();
        for rows in [0, 1, 7, 8, 9, 64, 1_000] {
            for share in [0.0, 0.02, 0.5, 1.0] {
                let closings = closings(&mut rng, rows, share);
                places.begin(&closings, rows as usize);
                for row in 0..rows {
                    places.prefetch(&closings, row);
                    let found = places.find(&closings, row);
                    let expected = closings.iter().find(|closing| closing.row == row);
                    assert_eq!(found, expected, "row {row} of {rows}");
                }
            }
        }
    }
}
